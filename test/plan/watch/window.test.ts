/** One probe from one vantage point: what is on, since when, and that it does not flap. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Reading, Signal, TargetMemory } from '../../../plan/watch/model.ts';
import { judge, NEW_TARGET, type Thresholds, take } from '../../../plan/watch/window.ts';

const S = 1_000;
const LIMITS: Thresholds = { windowMs: 60 * S, failures: 3, errorRate: 5, latencyMs: 500 };
const START = Date.UTC(2026, 0, 1);

type Step = 'ok' | 'slow' | 'slowish' | 'bad' | 'silent' | 'nothing';

const readingOf = (step: Step, at: number): Reading | null => {
  if (step === 'nothing') return null;
  const times = { ok: 20, slow: 900, slowish: 450, bad: 20, silent: null };
  return { at, ok: !['bad', 'silent'].includes(step), answered: step !== 'silent', ms: times[step] };
};

interface Walk {
  memory: TargetMemory;
  now: number;
  /** After each step. */
  seen: TargetMemory[];
}

/** A reading every two seconds, judged after each. */
function walk(steps: readonly Step[], from: Partial<Walk> = {}, limits = LIMITS): Walk {
  let { memory = NEW_TARGET, now = START } = from;
  const seen = steps.map((step) => {
    now += 2 * S;
    const reading = readingOf(step, now);
    memory = judge(reading === null ? memory : take(memory, reading, limits), limits, now);
    return memory;
  });
  return { memory, now, seen };
}
const times = (n: number, step: Step): Step[] => Array.from({ length: n }, () => step);
const on = ({ memory }: Walk, signal: Signal): boolean | null => memory.signals[signal].on;

describe('failing', () => {
  it('is not known before the first word, and not believed before the third failure in a row', () => {
    expect(on(walk([]), 'failing')).toBeNull();
    expect(on(walk(['bad', 'bad']), 'failing')).toBeNull();
    expect(on(walk(['ok', 'bad', 'bad', 'ok', 'bad', 'bad']), 'failing')).toBe(false);
    expect(walk(['ok', 'bad', 'bad', 'bad']).memory.signals.failing).toEqual({ on: true, since: START + 4 * S });
  });

  it('is over after as many successes, and a window without a failure', () => {
    const down = walk(['bad', 'bad', 'bad']);
    expect(on(walk(times(29, 'ok'), down), 'failing')).toBe(true);
    expect(walk(times(30, 'ok'), down).memory.signals.failing).toEqual({ on: false, since: null });
    expect(on(walk([...times(29, 'ok'), 'bad', ...times(29, 'ok')], down), 'failing')).toBe(true);
  });

  it('cannot be told of what was not read in the window, and goes on with its beginning when it is read again', () => {
    const down = walk(['bad', 'bad', 'bad']);
    const away = walk(times(40, 'nothing'), down);
    expect(away.memory.signals.failing).toEqual({ on: null, since: START + 2 * S });
    expect(walk(['bad'], away).memory.signals.failing).toEqual({ on: true, since: START + 2 * S });
    // Three in a row are three in a row: what was before the gap does not count.
    const up = walk([...times(5, 'ok'), 'bad', 'bad', ...times(40, 'nothing'), 'bad']);
    expect(on(up, 'failing')).not.toBe(true);
  });
});

describe('the error rate', () => {
  it('is told of a window that is half full, and never of one failure', () => {
    expect(on(walk(['bad', 'ok', 'bad', 'ok']), 'errorRate')).toBeNull();
    expect(on(walk([...times(29, 'ok'), 'bad']), 'errorRate')).toBe(false);
    const high = walk([...times(20, 'ok'), 'bad', 'ok', 'bad', ...times(6, 'ok')]);
    expect(high.memory.signals.errorRate).toEqual({ on: true, since: START + 42 * S });
    expect(on(high, 'failing')).toBe(false);
  });

  it('ends below half of its threshold', () => {
    const limits = { ...LIMITS, errorRate: 50 };
    const bad = (share: number): Step[] => Array.from({ length: 60 }, (_, i) => (i % 10 < share ? 'bad' : 'ok'));
    const high = walk(bad(6), {}, limits);
    expect(on(high, 'errorRate')).toBe(true);
    expect(on(walk(bad(4), high, limits), 'errorRate')).toBe(true);
    expect(on(walk(bad(2), high, limits), 'errorRate')).toBe(false);
  });
});

describe('latency', () => {
  it('is the median of the window: a few slow answers are none', () => {
    const few = Array.from({ length: 60 }, (_, i): Step => (i % 3 === 0 ? 'slow' : 'ok'));
    expect(on(walk(few), 'latency')).toBe(false);
    const many = walk(Array.from({ length: 60 }, (_, i): Step => (i % 3 === 0 ? 'ok' : 'slow')));
    expect(on(many, 'latency')).toBe(true);
    expect(on(walk(times(60, 'slowish'), many), 'latency')).toBe(true);
    expect(on(walk(times(60, 'ok'), many), 'latency')).toBe(false);
  });

  it('is not known of what nobody answers', () => {
    expect(on(walk(times(60, 'silent')), 'latency')).toBeNull();
  });
});

describe('silence', () => {
  it('is known at the first answer, and believed at the third without one', () => {
    expect(walk(['bad']).memory.isSilent).toBe(false);
    expect(walk(['silent', 'silent']).memory.isSilent).toBeNull();
    expect(walk(['ok', 'silent', 'silent', 'silent']).memory.isSilent).toBe(true);
    expect(walk([...times(3, 'silent'), 'bad', 'bad']).memory.isSilent).toBe(true);
    expect(walk([...times(3, 'silent'), 'bad', 'bad', 'bad']).memory.isSilent).toBe(false);
  });
});

describe('whatever is read', () => {
  const step = fc.constantFrom<Step>('ok', 'ok', 'ok', 'slow', 'slowish', 'bad', 'silent', 'nothing');
  const runs = fc.array(fc.tuple(step, fc.integer({ min: 1, max: 40 })), { maxLength: 12 });
  const stepsOf = (given: Array<[Step, number]>): Step[] => given.flatMap(([one, n]) => times(n, one));

  it('nothing is on without a failure or a slow answer, and what is on has begun', () => {
    fc.assert(
      fc.property(runs, (given) => {
        const steps = stepsOf(given);
        for (const [i, { signals }] of walk(steps).seen.entries()) {
          const before = steps.slice(0, i + 1);
          for (const [signal, { on: is, since }] of Object.entries(signals)) {
            if (is === true) expect(since).not.toBeNull();
            if (is === false) expect(since).toBeNull();
            if (since !== null) expect(since).toBeLessThanOrEqual(START + (i + 1) * 2 * S);
            const causes: Step[] = signal === 'latency' ? ['slow'] : ['bad', 'silent'];
            if (is === true) expect(before.some((one) => causes.includes(one))).toBe(true);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('failing does not begin twice within a window', () => {
    fc.assert(
      fc.property(runs, (given) => {
        const { seen } = walk(stepsOf(given));
        const begins = seen.flatMap(({ signals }, i) =>
          signals.failing.on === true && seen[i - 1]?.signals.failing.on === false ? [i * 2 * S] : [],
        );
        for (const [i, at] of begins.entries()) if (i > 0) expect(at - begins[i - 1]!).toBeGreaterThan(LIMITS.windowMs);
      }),
      { numRuns: 300 },
    );
  });

  it('the memory stays small, and going on from a copy of it is the same as going on', () => {
    fc.assert(
      fc.property(runs, fc.nat(), (given, cut) => {
        const steps = stepsOf(given);
        const at = steps.length === 0 ? 0 : cut % steps.length;
        const half = walk(steps.slice(0, at));
        const copied = JSON.parse(JSON.stringify(half.memory)) as TargetMemory;
        expect(walk(steps.slice(at), { memory: copied, now: half.now }).memory).toEqual(walk(steps).memory);
        expect(half.memory.buckets.length).toBeLessThanOrEqual(14);
      }),
      { numRuns: 200 },
    );
  });
});
