/** What alerts add up to: sources, not messages; believed until they say something else; held by every limit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Alert, Trigger } from '../../topology/alerts.ts';
import { EMPTY_MEMORY, judge, type Memory, take, type Verdict } from '../../workflows/trigger/judge.ts';

const T0 = Date.parse('2026-03-29T03:00:00Z');
const MINUTE = 60_000;

const TRIGGER: Trigger = {
  name: 'eu-west-down',
  service: 'checkout',
  action: 'failover',
  to: 'eu-central',
  runMode: 'unplanned',
  mode: 'propose',
  when: [],
  quorum: { atLeast: 1, withinMs: 5 * MINUTE },
  times: { atLeast: 1, withinMs: 5 * MINUTE },
  forMs: 0,
  cooldownMs: 60 * MINUTE,
  maxPerDay: 3,
  flapping: { changes: 6, withinMs: 30 * MINUTE },
  correlateMs: 15 * MINUTE,
  maintenance: [],
};

let n = 0;
function alert(at: number, over: Partial<Alert> = {}): Alert {
  n += 1;
  return {
    ...{ source: 'am', delivery: `d${n}`, key: 'RegionDown', status: 'firing', startsAt: T0 + at },
    ...{ labels: { alertname: 'RegionDown' }, annotations: {}, severity: null, url: null },
    receivedAt: T0 + at + 30_000,
    ...over,
  } as Alert;
}

const told = (trigger: Trigger, ...alerts: Alert[]): Memory =>
  alerts.reduce((memory, one) => take(memory, one, trigger).memory, EMPTY_MEMORY);
const ask = (memory: Memory, at: number, trigger = TRIGGER, quiet: number | null = null): Verdict =>
  judge(memory, trigger, T0 + at, quiet).verdict;
const kindOf = (memory: Memory, at: number, trigger = TRIGGER): string => ask(memory, at, trigger).kind;

describe('one source', () => {
  test('is enough where nothing else is asked, and says since when', () => {
    const memory = told(TRIGGER, alert(0));
    expect(ask(memory, MINUTE)).toEqual({
      kind: 'due',
      text: 'RegionDown (am) since 2026-03-29T03:00:00.000Z',
      impactStartAt: T0,
      detectedAt: T0 + 30_000,
    });
    const resolved = take(memory, alert(2 * MINUTE, { status: 'resolved', startsAt: T0 }), TRIGGER).memory;
    expect(kindOf(resolved, 3 * MINUTE)).toBe('calm');
  });

  test('one delivery counts once, however often it comes', () => {
    const once = alert(0);
    const { memory } = take(EMPTY_MEMORY, once, TRIGGER);
    expect(take(memory, once, TRIGGER)).toEqual({ memory, news: false });
  });

  test('what it does not know any more says nothing about what it said', () => {
    const memory = told(TRIGGER, alert(0), alert(MINUTE, { status: 'unknown' }));
    expect(kindOf(memory, 2 * MINUTE)).toBe('due');
  });

  test('an end that overtakes its beginning ends it all the same; a new beginning counts', () => {
    const late = told(
      TRIGGER,
      alert(MINUTE, { status: 'resolved', startsAt: T0 }),
      alert(0, { receivedAt: T0 + 2 * MINUTE }),
    );
    expect(kindOf(late, 3 * MINUTE)).toBe('calm');
    expect(kindOf(take(late, alert(5 * MINUTE), TRIGGER).memory, 6 * MINUTE)).toBe('due');
  });
});

test('an alert that fires again with the beginning it had before is no late copy of it', () => {
  const ended = told(TRIGGER, alert(0), alert(MINUTE, { status: 'resolved', startsAt: T0, receivedAt: T0 + MINUTE }));
  const copy = take(ended, alert(0, { receivedAt: T0 + 2 * MINUTE }), TRIGGER).memory;
  expect(kindOf(copy, 3 * MINUTE)).toBe('calm');
  const again = take(ended, alert(0, { receivedAt: T0 + 20 * MINUTE }), TRIGGER).memory;
  expect(kindOf(again, 21 * MINUTE)).toBe('due');
});

test('hold-down: it must stay so for the whole time, and begins anew when it did not', () => {
  const trigger = { ...TRIGGER, forMs: 3 * MINUTE };
  let memory = told(trigger, alert(0));
  const at = (minutes: number): Verdict => {
    const judged = judge(memory, trigger, T0 + minutes * MINUTE, null);
    memory = judged.memory;
    return judged.verdict;
  };
  expect(at(1)).toMatchObject({ kind: 'pending', until: T0 + 4 * MINUTE });
  memory = take(memory, alert(2 * MINUTE, { status: 'resolved', startsAt: T0 }), trigger).memory;
  expect(at(2).kind).toBe('calm');
  memory = take(memory, alert(3 * MINUTE), trigger).memory;
  expect(at(4)).toMatchObject({ kind: 'pending', until: T0 + 7 * MINUTE });
  expect(at(7).kind).toBe('due');
});

test('quorum: different sources, near each other; two alerts of one source are one voice', () => {
  const trigger = { ...TRIGGER, quorum: { atLeast: 2, withinMs: 5 * MINUTE } };
  const same = told(trigger, alert(0), alert(0, { key: 'SitesDown' }));
  expect(ask(same, MINUTE, trigger)).toMatchObject({ kind: 'calm', text: expect.stringContaining('1 of 2 sources') });
  const other = alert(4 * MINUTE, { source: 'cw', key: 'canary' });
  expect(kindOf(take(same, other, trigger).memory, 5 * MINUTE, trigger)).toBe('due');
  const far = alert(9 * MINUTE, { source: 'cw', key: 'canary' });
  expect(kindOf(take(same, far, trigger).memory, 10 * MINUTE, trigger)).toBe('calm');
});

test('quorum: sources that have agreed do so until one of them says that it is over', () => {
  const trigger = { ...TRIGGER, quorum: { atLeast: 2, withinMs: 5 * MINUTE } };
  const first = judge(told(trigger, alert(0), alert(MINUTE, { source: 'watch' })), trigger, T0 + 2 * MINUTE, null);
  expect(first.verdict.kind).toBe('due');
  // One says it again every two minutes, with new alerts beside it; the other has said it once.
  const more = [alert(20 * MINUTE, { source: 'watch' }), alert(20 * MINUTE, { source: 'watch', key: 'another' })];
  const later = more.reduce((memory, one) => take(memory, one, trigger).memory, first.memory);
  const second = judge(later, trigger, T0 + 21 * MINUTE, null);
  expect(second.verdict.kind).toBe('due');
  const over = take(second.memory, alert(22 * MINUTE, { status: 'resolved' }), trigger).memory;
  expect(judge(over, trigger, T0 + 23 * MINUTE, null).verdict.kind).toBe('calm');
});

test('times: three failures in two minutes', () => {
  const trigger = { ...TRIGGER, times: { atLeast: 3, withinMs: 2 * MINUTE } };
  const two = told(trigger, alert(0), alert(30_000));
  expect(kindOf(two, MINUTE, trigger)).toBe('calm');
  const three = take(two, alert(50_000), trigger).memory;
  expect(kindOf(three, MINUTE + 30_000, trigger)).toBe('due');
  expect(kindOf(three, 10 * MINUTE, trigger)).toBe('calm');
});

describe('held', () => {
  const memory = told(TRIGGER, alert(0));

  test('by a cooldown, by the most in a day, by a maintenance window, by the longest of them', () => {
    expect(ask({ ...memory, calmUntil: T0 + 50 * MINUTE }, MINUTE)).toMatchObject({
      kind: 'held',
      until: T0 + 50 * MINUTE,
      text: expect.stringContaining('cooldown'),
    });
    const followed = [T0 - 20 * 60 * MINUTE, T0 - 10 * 60 * MINUTE, T0 - 5 * 60 * MINUTE];
    expect(ask({ ...memory, followed }, MINUTE)).toMatchObject({
      kind: 'held',
      until: followed[0]! + 24 * 60 * MINUTE,
      text: expect.stringContaining('maxPerDay'),
    });
    expect(ask(memory, MINUTE, TRIGGER, T0 + 90 * MINUTE)).toMatchObject({ kind: 'held', until: T0 + 90 * MINUTE });
    const both = { ...memory, calmUntil: T0 + 50 * MINUTE };
    expect(ask(both, MINUTE, TRIGGER, T0 + 90 * MINUTE)).toMatchObject({ until: T0 + 90 * MINUTE });
    expect(kindOf({ ...memory, followed }, 5 * 60 * MINUTE)).toBe('due');
  });

  test('while the alerts flap, and until they have been calm for the whole time', () => {
    const trigger = { ...TRIGGER, flapping: { changes: 4, withinMs: 10 * MINUTE } };
    const flaps = [0, 1, 2, 3, 4].map((minute) =>
      alert(minute * MINUTE, { status: minute % 2 === 0 ? 'firing' : 'resolved', receivedAt: T0 + minute * MINUTE }),
    );
    const flapped = judge(told(trigger, ...flaps), trigger, T0 + 5 * MINUTE, null);
    expect(flapped.verdict).toMatchObject({ kind: 'held', until: T0 + 14 * MINUTE });
    expect(judge(flapped.memory, trigger, T0 + 14 * MINUTE + 1, null).verdict.kind).toBe('due');
    // One more change before it was calm holds it again, although four in ten minutes it is no more.
    const again = take(
      flapped.memory,
      alert(13 * MINUTE, { status: 'resolved', receivedAt: T0 + 13 * MINUTE }),
      trigger,
    );
    const back = take(again.memory, alert(13.5 * MINUTE, { receivedAt: T0 + 13.5 * MINUTE }), trigger);
    expect(judge(back.memory, trigger, T0 + 15 * MINUTE, null).verdict.kind).toBe('held');
  });
});

test('whatever comes in whatever order: it never follows without enough sources that fire now', () => {
  const one = fc.record({
    source: fc.constantFrom('am', 'cw', 'pd'),
    key: fc.constantFrom('a', 'b'),
    delivery: fc.string({ maxLength: 3 }),
    status: fc.constantFrom('firing' as const, 'resolved' as const, 'unknown' as const),
    startsAt: fc.option(fc.integer({ min: T0, max: T0 + 10 * MINUTE })),
    receivedAt: fc.integer({ min: T0, max: T0 + 20 * MINUTE }),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), (list, atLeast) => {
      const trigger = { ...TRIGGER, quorum: { atLeast, withinMs: 5 * MINUTE } };
      const memory = told(trigger, ...list.map((given) => alert(0, given)));
      const firing = new Set(memory.alerts.filter((seen) => seen.firing).map(({ source }) => source));
      if (ask(memory, 30 * MINUTE, trigger).kind === 'due') expect(firing.size).toBeGreaterThanOrEqual(atLeast);
      // Said again, word for word, it changes nothing.
      const again = list.reduce((m, given) => take(m, alert(0, given), trigger).memory, memory);
      expect(again).toEqual(memory);
    }),
  );
});

test('memory stays bounded, and what fires is kept before what does not', () => {
  const many = Array.from({ length: 3_000 }, (_, i) =>
    alert(i, { key: `k${i}`, status: 'firing', receivedAt: T0 + i }),
  );
  const memory = told(
    TRIGGER,
    ...many.slice(0, 400),
    ...many.slice(0, 390).map((a) => ({ ...a, delivery: `${a.delivery}r`, status: 'resolved' as const })),
    ...many.slice(400),
  );
  expect(memory.alerts.length).toBe(500);
  expect(memory.deliveries.length).toBe(2_000);
  expect(memory.alerts.every(({ firing }) => firing)).toBe(true);
});
