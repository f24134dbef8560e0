/** Votes: a region that is down told from one that cannot be seen, and what stays as it was. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PointReport, Reports, Signal, SignalState } from '../../../plan/watch/model.ts';
import { alertOf, decide, type Verdicts } from '../../../plan/watch/verdict.ts';
import { blindAbout, subjectKey, subjectsOf, tally } from '../../../plan/watch/vote.ts';
import type { Watch } from '../../../topology/watches.ts';

const NOW = Date.UTC(2026, 0, 1);
const W: Watch = {
  ...{ name: 'checkout', service: 'checkout', regions: ['a', 'b'], probes: ['app', 'db'], from: ['control', 'a', 'b'] },
  ...{ intervalMs: 2_000, windowMs: 60_000, failures: 3, errorRate: 5, latencyMs: 500, votes: 2 },
};
const TARGETS = W.probes.flatMap((probe) => W.regions.map((region) => ({ probe, region })));
const SUBJECTS = subjectsOf(TARGETS);
const DOWN = { signal: 'down', probe: null, region: 'a' } as const;

const state = (is: boolean | null, since: number): SignalState => ({ on: is, since: is === true ? since : null });
/** What a vantage point sees of each region: `+` well, `-` nobody answers, `e` errors, `?` nothing known. */
function sees(regions: Record<string, '+' | '-' | 'e' | '?'>, since = NOW - 10_000): PointReport {
  const targets = TARGETS.map(({ probe, region }) => {
    const is = { '+': false, '-': true, e: true, '?': null }[regions[region]!];
    const silent = { '+': false, '-': true, e: false, '?': null }[regions[region]!];
    const all: Record<Signal, SignalState> = {
      ...{ failing: state(is, since), errorRate: state(false, since), latency: state(null, since) },
    };
    return { probe, region, signals: all, silent, text: is ? 'no answer' : '' };
  });
  return { at: NOW, targets };
}
const down = (reports: Reports) => tally(W, reports, DOWN);

describe('a region is down', () => {
  it('when a majority of those outside it see that, and another region', () => {
    const seen = down({ control: sees({ a: '-', b: '+' }, NOW - 9_000), a: null, b: sees({ a: '-', b: '+' }) });
    expect(seen).toMatchObject({ decided: true, on: ['control', 'b'], since: NOW - 10_000 });
    expect(seen.text).toBe('app: no answer; db: no answer');
  });

  it('also when what answers there is an error', () => {
    expect(down({ control: sees({ a: 'e', b: '+' }), a: null, b: sees({ a: '-', b: '+' }) }).decided).toBe(true);
  });

  it('whatever its own workers say', () => {
    const outside = sees({ a: '-', b: '+' });
    expect(down({ control: outside, a: sees({ a: '+', b: '-' }), b: outside }).decided).toBe(true);
    const well = sees({ a: '+', b: '+' });
    expect(down({ control: well, a: sees({ a: '-', b: '+' }), b: well }).decided).toBe(false);
  });
});

describe('it cannot be told', () => {
  it('when one alone sees it: the others see that it is well, or are away', () => {
    const bad = sees({ a: '-', b: '+' });
    expect(down({ control: sees({ a: '+', b: '+' }), a: null, b: bad }).decided).toBeNull();
    expect(down({ control: null, a: null, b: bad }).decided).toBeNull();
  });

  it('when somebody sees nothing at all: that says something of itself', () => {
    const cut = sees({ a: '-', b: '-' });
    const seen = down({ control: cut, a: null, b: sees({ a: '-', b: '+' }) });
    expect(seen).toMatchObject({
      decided: null,
      on: ['b'],
      abstain: [{ point: 'control', why: 'sees no other region' }],
    });
    expect(down({ control: cut, a: cut, b: cut }).decided).toBeNull();
  });

  it('when everything fails and answers, the service is broken and not the network', () => {
    const broken = sees({ a: 'e', b: 'e' });
    expect(down({ control: broken, a: broken, b: broken }).decided).toBe(true);
  });

  it('when all vantage points are away; and it says why', () => {
    const away = { control: null, a: null, b: null };
    for (const subject of SUBJECTS) expect(tally(W, away, subject).decided).toBeNull();
    expect(blindAbout(W, away, 'a')).toBe(
      '0 of the 2 votes that are needed about a: control does not answer, b does not answer',
    );
    expect(blindAbout(W, { control: sees({ a: '+', b: '+' }), a: null, b: sees({ a: '+', b: '+' }) }, 'a')).toBeNull();
  });

  it('unless the topology says that one is enough', () => {
    expect(tally({ ...W, votes: 1 }, { control: sees({ a: '-', b: '+' }), a: null, b: null }, DOWN).decided).toBe(true);
  });
});

it('one probe of two that fails is no region that is down', () => {
  const half = (): PointReport => {
    const report = sees({ a: '-', b: '+' });
    const targets = report.targets.map((one) =>
      one.probe === 'db'
        ? sees({ a: '+', b: '+' }).targets.find((t) => t.probe === 'db' && t.region === one.region)!
        : one,
    );
    return { ...report, targets };
  };
  const reports = { control: half(), a: null, b: half() };
  expect(down(reports).decided).toBe(false);
  expect(tally(W, reports, { signal: 'failing', probe: 'app', region: 'a' }).decided).toBe(true);
});

it('a probe that is about no region is voted on by all who see anything', () => {
  const target = { probe: 'rate', region: null };
  const all: Record<Signal, SignalState> = {
    ...{ failing: state(true, NOW - 1), errorRate: state(null, 0), latency: state(null, 0) },
  };
  const report: PointReport = { at: NOW, targets: [{ ...target, signals: all, silent: false, text: 'value = 7' }] };
  const subject = { signal: 'failing', ...target } as const;
  expect(subjectsOf([target]).map(({ signal }) => signal)).toEqual(['failing', 'errorRate', 'latency']);
  expect(tally(W, { control: report, a: null, b: report }, subject)).toMatchObject({
    decided: true,
    on: ['control', 'b'],
  });
});

describe('verdicts', () => {
  const step = (reports: Reports, before: Verdicts, now: number) => decide(W, SUBJECTS, reports, before, now);
  const well: Reports = { control: sees({ a: '+', b: '+' }), a: sees({ a: '+', b: '+' }), b: sees({ a: '+', b: '+' }) };
  const lost: Reports = { control: sees({ a: '-', b: '+' }), a: null, b: sees({ a: '-', b: '+' }) };
  const away: Reports = { control: null, a: null, b: null };

  it('change by a vote, and by nothing else', () => {
    const first = step(well, {}, NOW);
    expect(first.changed.every((one) => one.on === false)).toBe(true);
    const second = step(lost, first.verdicts, NOW + 1);
    expect(second.changed.map(subjectKey)).toEqual(['down/a/', 'failing/a/app', 'failing/a/db']);
    expect(second.verdicts['down/a/']).toMatchObject({ on: true, since: NOW - 10_000, votes: '2/2' });
    const third = step(away, second.verdicts, NOW + 2);
    expect(third.changed).toEqual([]);
    expect(third.verdicts['down/a/']).toMatchObject({ on: true, votes: '2/2' });
    const fourth = step(well, third.verdicts, NOW + 3);
    expect(fourth.changed.map(({ on }) => on)).toEqual([false, false, false]);
    expect(fourth.verdicts['down/a/']).toMatchObject({ on: false, since: NOW - 10_000, until: NOW + 3 });
  });

  it('that come again begin after their end, whoever saw it all the time; and never in the future', () => {
    const on = step(lost, {}, NOW);
    const off = step(well, on.verdicts, NOW + 5);
    const again = step(lost, off.verdicts, NOW + 9);
    expect(again.verdicts['down/a/']!.since).toBe(NOW + 6);
    const ahead = {
      control: sees({ a: '-', b: '+' }, NOW + 60_000),
      a: null,
      b: sees({ a: '-', b: '+' }, NOW + 60_000),
    };
    expect(step(ahead, {}, NOW).verdicts['down/a/']!.since).toBe(NOW);
  });

  it('are told like any alert, with one key from beginning to end', () => {
    const { verdicts } = step(lost, {}, NOW);
    const firing = alertOf(W, verdicts['down/a/']!, NOW);
    expect(firing).toEqual({
      ...{ source: 'watch', key: 'checkout/RegionDown/a/', delivery: `checkout/RegionDown/a//firing/${NOW}` },
      ...{ status: 'firing', startsAt: NOW - 10_000, severity: 'critical', url: null, receivedAt: NOW },
      labels: { alertname: 'RegionDown', watch: 'checkout', service: 'checkout', region: 'a', vantages: '2/2' },
      annotations: {
        summary: 'a is down (checkout): every probe fails from 2/2 vantage points',
        seen: 'app: no answer; db: no answer',
      },
    });
    const over = alertOf(W, step(well, verdicts, NOW + 9).verdicts['down/a/']!, NOW + 9);
    expect([over.key, over.status, over.startsAt]).toEqual([firing.key, 'resolved', NOW - 10_000]);
    expect(over.delivery).not.toBe(firing.delivery);
  });

  it('never say down while fewer than the majority of those who can tell see it', () => {
    const view = fc.record({ a: fc.constantFrom<'+' | '-' | 'e' | '?'>('+', '-', 'e', '?'), b: fc.constantFrom<'+' | '-' | 'e' | '?'>('+', '-', 'e', '?') }); // biome-ignore format: one arbitrary
    const point = fc.option(view, { nil: null });
    const many = { ...W, from: ['control', 'a', 'b', 'c', 'd'] };
    fc.assert(
      fc.property(fc.record({ control: point, a: point, b: point, c: point, d: point }), (given) => {
        const reports = Object.fromEntries(
          Object.entries(given).map(([name, v]) => [name, v === null ? null : sees(v)]),
        );
        const { decided } = tally(many, reports, DOWN);
        const able = Object.entries(given).flatMap(([name, v]) =>
          name !== 'a' && v !== null && ['+', 'e'].includes(v.b) && v.a !== '?' ? [v.a] : [],
        );
        const bad = able.filter((one) => one !== '+').length;
        expect(decided === true).toBe(bad >= 2 && 2 * bad > able.length);
        expect(decided === false).toBe(able.length - bad >= 2 && 2 * (able.length - bad) > able.length);
      }),
      { numRuns: 500 },
    );
  });
});
