/** The small pure parts: ramp arithmetic, loss window, digests. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planDigest } from '../../plan/digest.ts';
import { closeLoss, combineLoss, lossOf, noLoss } from '../../plan/loss.ts';
import { bytesBetween, comparePositions, contains } from '../../plan/positions.ts';
import { movedPercent, normalise, rampProblem, remainingSteps, weightsAt } from '../../plan/ramp.ts';
import { A, NOW, position, samplesOf } from './world.ts';

describe('ramp arithmetic', () => {
  it('moves a share of the starting weight', () => {
    const start = { a: 100, b: 0 };
    expect([10, 25, 50, 100].map((percent) => weightsAt({ start, from: 'a', to: 'b', percent }).b)).toEqual([
      10, 25, 50, 100,
    ]);
    expect(weightsAt({ start: { a: 60, b: 20, c: 20 }, from: 'a', to: 'b', percent: 50 })).toEqual({
      a: 30,
      b: 50,
      c: 20,
    });
  });

  it('never goes back on a repeat', () => {
    const again = weightsAt({ start: { a: 100, b: 0 }, from: 'a', to: 'b', percent: 10, present: { a: 50, b: 50 } });
    expect(again).toEqual({ a: 50, b: 50 });
  });

  it('respects what the router can tell apart, and still ends with everything', () => {
    const at = (percent: number) =>
      weightsAt({ start: { a: 100, b: 0 }, from: 'a', to: 'b', percent, resolution: 20 }).b;
    expect([10, 25, 50, 99, 100].map(at)).toEqual([20, 20, 60, 100, 100]);
  });

  it('adds up to 100, rises, and leaves the others alone', () => {
    const shares = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(
        shares,
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 25 }),
        (raw, percent, resolution) => {
          fc.pre(raw.some((weight) => weight > 0));
          const start = normalise(Object.fromEntries(raw.map((weight, i) => [`r${i}`, weight])));
          const next = weightsAt({ start, from: 'r0', to: 'r1', percent, resolution });
          const full = weightsAt({ start, from: 'r0', to: 'r1', percent: 100, resolution });
          expect(Object.values(next).reduce((a, b) => a + b, 0)).toBe(100);
          expect(Object.values(next).every((weight) => weight >= 0 && Number.isInteger(weight))).toBe(true);
          expect(next.r1).toBeGreaterThanOrEqual(start.r1!);
          expect(full.r0).toBe(0);
          for (const region of Object.keys(start).slice(2)) expect(next[region]).toBe(start[region]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('knows what is left', () => {
    expect(movedPercent({ a: 80, b: 20 }, { a: 40, b: 60 }, 'b', 'a')).toBe(50);
    expect(movedPercent({ a: 0, b: 100 }, { a: 0, b: 100 }, 'b', 'a')).toBe(100);
    expect(remainingSteps([10, 25, 50, 100], 100, 25)).toEqual([50, 100]);
    expect(remainingSteps([10, 25, 50, 100], 30, 0)).toEqual([10, 25, 30]);
    expect(remainingSteps([10, 25, 50, 100], 100, 100)).toEqual([]);
  });

  it('says what is wrong with a ramp', () => {
    expect(rampProblem([10, 25, 100])).toBeNull();
    expect(rampProblem([])).toContain('no steps');
    expect(rampProblem([10, 10])).toBe('the ramp does not rise: 10 comes after 10');
    expect(rampProblem([0, 100])).toContain('0 is no whole percent');
  });
});

describe('positions', () => {
  it('are ordered by timeline, then by integers beyond 2^53', () => {
    const near = { text: '', order: '9007199254740993', timeline: 1 };
    const far = { text: '', order: '9007199254740992', timeline: 1 };
    expect(comparePositions(near, far)).toBe(1);
    expect(comparePositions(position(1, 2), position(9, 1))).toBe(1);
    expect(contains(position(9), position(9))).toBe(true);
    expect(contains(position(9, 1), position(3, 2))).toBe(false);
    expect(bytesBetween(position(3), position(9))).toBe(6);
    expect(bytesBetween(position(9), position(3))).toBe(0);
    expect(bytesBetween(position(3, 1), position(9, 2))).toBeNull();
  });

  it('prove nothing where they cannot be read', () => {
    for (const order of ['', '12.5', '-1', 'NaN']) {
      const odd = { text: '', order, timeline: 1 };
      expect(contains(position(9), odd)).toBe(false);
      expect(contains(odd, position(0))).toBe(false);
      expect(bytesBetween(position(3), odd)).toBeNull();
      expect(bytesBetween(odd, position(9))).toBeNull();
    }
  });
});

describe('the loss window', () => {
  const END = 0x3054458;
  const base = {
    samples: samplesOf('db', A, NOW - 1_000, 5, END),
    reached: position(END - 2 * 1024),
    finalPosition: null,
    closedAt: null,
    sync: { enabled: false, cancelledWaiters: 'none' as const },
    now: NOW,
  };

  it('begins at the newest sample that the target holds, and is open while the source is not fenced', () => {
    expect(lossOf(base)).toMatchObject({
      kind: 'bounded',
      fromTime: new Date(NOW - 3_000).toISOString(),
      toTime: null,
      seconds: 3,
      atLeastBytes: 2048,
      atMostBytes: null,
    });
  });

  it('ends at the fence', () => {
    expect(lossOf({ ...base, closedAt: NOW - 500 })).toMatchObject({
      kind: 'bounded',
      toTime: new Date(NOW - 500).toISOString(),
      seconds: 2.5,
    });
  });

  it('is measured when the end of the log was read, and none when the target holds it', () => {
    expect(lossOf({ ...base, finalPosition: position(END + 1024), closedAt: NOW })).toMatchObject({
      kind: 'measured',
      atLeastBytes: 3072,
      atMostBytes: 3072,
    });
    expect(lossOf({ ...base, finalPosition: position(END - 4096) })).toMatchObject({ kind: 'none', seconds: 0 });
  });

  it('is unknown without a sample that the target holds, and still has its lower bound', () => {
    expect(lossOf({ ...base, reached: position(1) })).toMatchObject({ kind: 'unknown', fromTime: null, seconds: null });
    expect(lossOf({ ...base, reached: position(1) }).atLeastBytes).toBeGreaterThan(0);
    expect(lossOf({ ...base, samples: [], reached: null })).toMatchObject({ kind: 'unknown', atLeastBytes: null });
  });

  it('begins at the moment up to which a provider says that everything has arrived, when that is later', () => {
    expect(lossOf({ ...base, samples: [], reached: null, holdsUntil: NOW - 4_000 })).toMatchObject({
      kind: 'bounded',
      fromTime: new Date(NOW - 4_000).toISOString(),
      seconds: 4,
      atLeastBytes: null,
    });
    expect(lossOf({ ...base, holdsUntil: NOW - 1_000 }).seconds).toBe(1);
    expect(lossOf({ ...base, holdsUntil: NOW - 60_000 }).seconds).toBe(3);
  });

  it('is closed when it is known that nothing more is acknowledged, and stays unknown where it began unknown', () => {
    expect(closeLoss(lossOf(base), NOW + 2_000, 'Moved.')).toMatchObject({
      toTime: new Date(NOW + 2_000).toISOString(),
      seconds: 5,
      note: expect.stringMatching(/Moved\.$/),
    });
    const unknown = closeLoss(lossOf({ ...base, samples: [], reached: null }), NOW, 'Moved.');
    expect(unknown).toMatchObject({ kind: 'unknown', seconds: null, toTime: expect.any(String) });
    expect(closeLoss(noLoss('none'), NOW, 'Moved.')).toEqual(noLoss('none'));
  });

  it('counts only samples of a node that was writable', () => {
    const replicas = base.samples.map((sample) => ({ ...sample, state: 'replica' as const }));
    expect(lossOf({ ...base, samples: replicas }).kind).toBe('unknown');
  });

  it('says what synchronous replication promises, and what a cancelled waiter breaks', () => {
    expect(lossOf(base).note).toContain('asynchronous');
    const sync = (cancelledWaiters: 'none' | 'possible' | 'unknown') =>
      lossOf({ ...base, sync: { enabled: true, cancelledWaiters } }).note;
    expect(sync('possible')).toContain('acknowledged without being replicated');
    expect(sync('none')).not.toContain('without being replicated');
    expect(lossOf({ ...base, sync: null }).note).toContain('not known');
  });

  /** Every write that the source acknowledged and the target lacks falls into the window. */
  it('covers whatever is missing', () => {
    const world = fc.record({
      writes: fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 40 }),
      every: fc.integer({ min: 1, max: 20 }),
      applied: fc.nat({ max: 40 }),
      fenced: fc.boolean(),
    });
    fc.assert(
      fc.property(world, ({ writes, every, applied, fenced }) => {
        const log: Array<{ at: number; order: number }> = [];
        for (const gap of writes) log.push({ at: (log.at(-1)?.at ?? 0) + gap, order: (log.length + 1) * 8 });
        const end = log.at(-1)!.at + 1;
        const samples = Array.from({ length: Math.floor(end / every) }, (_, i) => {
          const time = i * every;
          const done = log.filter((write) => write.at <= time).length;
          return { node: 'db', region: A, state: 'writable' as const, at: time, position: position(done * 8) };
        });
        const reached = position(Math.min(applied, log.length) * 8);
        const loss = lossOf({ ...base, samples, reached, closedAt: fenced ? end : null, now: end });
        const missing = log.filter((write) => write.order > Number(reached.order));
        if (loss.kind === 'unknown') return;
        for (const write of missing) {
          expect(write.at).toBeGreaterThanOrEqual(Date.parse(loss.fromTime!));
          if (loss.toTime !== null) expect(write.at).toBeLessThanOrEqual(Date.parse(loss.toTime));
        }
        if (loss.atLeastBytes !== null) expect(loss.atLeastBytes).toBeLessThanOrEqual(missing.length * 8);
      }),
      { numRuns: 500 },
    );
  });

  it('of several stores is the widest window and the weakest knowledge', () => {
    const bounded = lossOf({ ...base, closedAt: NOW });
    const unknown = lossOf({ ...base, reached: null });
    expect(
      combineLoss([
        ['a', bounded],
        ['b', noLoss('fine')],
      ]),
    ).toMatchObject({ kind: 'bounded', seconds: 3 });
    expect(
      combineLoss([
        ['a', bounded],
        ['b', unknown],
      ]),
    ).toMatchObject({ kind: 'unknown', fromTime: null, toTime: null });
    expect(
      combineLoss([
        ['a', noLoss('x')],
        ['b', noLoss('x')],
      ]),
    ).toEqual(noLoss('x'));
  });
});

describe('digests', () => {
  const wanted = {
    action: 'failover' as const,
    service: 'checkout',
    from: 'a',
    to: 'b',
    mode: 'planned' as const,
    override: ['x', 'y'],
    topologyDigest: 't',
    stages: [],
  };

  it('cover what is wanted, in any order', () => {
    const { action, ...rest } = wanted;
    expect(planDigest({ ...rest, action, override: ['y', 'x', 'x'] })).toBe(planDigest(wanted));
    expect(planDigest(wanted)).toMatch(/^[0-9a-f]{64}$/);
    for (const change of [
      { to: 'c' },
      { mode: 'unplanned' as const },
      { percent: 10 },
      { ramp: [100] },
      { from: null },
    ]) {
      expect(planDigest({ ...wanted, ...change })).not.toBe(planDigest(wanted));
    }
  });
});
