/** Three-valued judgement: what was seen, what was asked for, and never a pass without a reading. Pure. */
import { z } from 'zod';
import type { CheckResult, Millis } from './ports.ts';

export type Verdict = Omit<CheckResult, 'at'>;

export const expectationSchema = z
  .strictObject({
    equals: z
      .union([z.string(), z.number(), z.boolean()])
      .optional()
      .meta({ description: 'The value must be exactly this, type included', examples: ['ok', true, 0] }),
    min: z.number().optional().meta({ description: 'The value must be at least this' }),
    max: z.number().optional().meta({ description: 'The value must be at most this' }),
  })
  .meta({ description: 'What the value must be', examples: [{ equals: 'ok' }, { max: 30 }] });

export type Expectation = z.output<typeof expectationSchema>;

/** `= "ok"`, `≥ 1, ≤ 5`; `any value` when nothing is asked of it. */
export function showExpectation({ equals, min, max }: Expectation): string {
  const parts = [
    equals === undefined ? '' : `= ${JSON.stringify(equals)}`,
    min === undefined ? '' : `≥ ${min}`,
    max === undefined ? '' : `≤ ${max}`,
  ];
  return parts.filter(Boolean).join(', ') || 'any value';
}

/** Judges one value. One that is missing, or cannot be compared, is unknown. */
export function judgeValue(name: string, value: unknown, expectation: Expectation): Verdict {
  const threshold = `${name} ${showExpectation(expectation)}`;
  if (value === undefined || value === null) {
    return { outcome: 'unknown', observed: `no ${name}`, threshold, detail: `the answer has no value for ${name}` };
  }
  const text = JSON.stringify(value);
  const observed = `${name} = ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`;
  const { equals, min, max } = expectation;
  if (equals !== undefined && value !== equals) return { outcome: 'fail', observed, threshold, detail: '' };
  if (min === undefined && max === undefined) return { outcome: 'pass', observed, threshold, detail: '' };
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return { outcome: 'unknown', observed, threshold, detail: `${name} is not a number` };
  }
  const within = value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY);
  return { outcome: within ? 'pass' : 'fail', observed, threshold, detail: '' };
}

/** Judges a measured time against its bound; without a bound it is only told. */
export function judgeLatency(ms: number, boundMs: number | undefined): Verdict {
  const observed = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (boundMs === undefined) return { outcome: 'pass', observed, threshold: '', detail: '' };
  return { outcome: ms <= boundMs ? 'pass' : 'fail', observed, threshold: `≤ ${boundMs} ms`, detail: '' };
}

/** Everything must pass; a failure outweighs what is not known, and that outweighs every pass. None = unknown. */
export function together(verdicts: Verdict[]): Verdict {
  const has = (outcome: Verdict['outcome']) => verdicts.some((verdict) => verdict.outcome === outcome);
  const texts = (field: 'observed' | 'threshold' | 'detail') =>
    [...new Set(verdicts.map((verdict) => verdict[field]).filter(Boolean))].join(field === 'detail' ? '; ' : ', ');
  const outcome = has('fail') ? 'fail' : has('unknown') || verdicts.length === 0 ? 'unknown' : 'pass';
  const unserved = outcome === 'unknown' ? unservedBy(verdicts) : undefined;
  return {
    outcome,
    observed: texts('observed') || 'nothing',
    threshold: texts('threshold'),
    detail: texts('detail'),
    ...(unserved === undefined ? {} : { unserved }),
  };
}

/** Silent is only what nobody answered at all. */
function unservedBy(verdicts: Verdict[]): Verdict['unserved'] {
  if (verdicts.every(({ unserved }) => unserved === undefined)) return undefined;
  return verdicts.every(({ unserved }) => unserved === 'silent') ? 'silent' : 'answered';
}

/** One result for a region from the verdicts on its nodes, each named when there are several. */
export function resultOf(nodes: Array<{ name: string; verdict: Verdict }>, at: Millis): CheckResult {
  const named = nodes.map(({ name, verdict }) =>
    nodes.length === 1 ? verdict : { ...verdict, observed: `${name}: ${verdict.observed}` },
  );
  return { ...together(named), at };
}
