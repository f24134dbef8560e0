/** What the answers of CloudWatch say. Pure. Only a value, or a state, that is whole and fresh is judged. */
import type { CompositeAlarm, MetricAlarm, MetricDataResult } from '@aws-sdk/client-cloudwatch';
import { type Expectation, judgeValue, type Verdict } from '../verdict.ts';
import type { MetricConfig } from './config.ts';

export type Unknown = (observed: string, detail: string) => Verdict;

/** @param now milliseconds */
export function judgeMetric(options: {
  results: MetricDataResult[];
  metric: MetricConfig;
  expect: Expectation;
  maxAgeMs: number;
  now: number;
  unknown: Unknown;
}): Verdict {
  const { results, metric, expect, maxAgeMs, now, unknown } = options;
  const [result] = results;
  if (result === undefined) return unknown('no answer', 'the answer has no result for the metric');
  // "Complete" means: nothing is left out. Anything else may have lost the very points that would fail.
  if (result.StatusCode !== 'Complete') {
    const why = result.Messages?.map(({ Value }) => Value).join('; ') ?? '';
    return unknown(
      'incomplete',
      `CloudWatch says ${result.StatusCode ?? 'nothing'} of its data${why === '' ? '' : `: ${why}`}`,
    );
  }
  const points = (result.Timestamps ?? []).map((time, index) => ({
    // A point carries the beginning of its period.
    end: time.getTime() + metric.period,
    value: result.Values?.[index],
  }));
  // The period that runs now is not whole: a sum of it is too small.
  const newest = points.filter(({ end }) => end <= now).sort((a, b) => b.end - a.end)[0];
  if (newest !== undefined && now - newest.end <= maxAgeMs) {
    if (newest.value === undefined || !Number.isFinite(newest.value))
      return unknown('no value', 'the point has no number');
    const verdict = judgeValue(metric.name, newest.value, expect);
    return { ...verdict, observed: `${verdict.observed} (${metric.stat}, period ended ${age(now - newest.end)} ago)` };
  }
  if (metric.noData === 'zero') {
    const verdict = judgeValue(metric.name, 0, expect);
    return { ...verdict, detail: 'no data point, which is taken as 0 here' };
  }
  return newest === undefined
    ? unknown(
        'no data',
        'there is no data point of a whole period: check names, dimensions and region, and who publishes it',
      )
    : unknown('stale', `the newest period ended ${age(now - newest.end)} ago, and ${age(maxAgeMs)} are allowed`);
}

export function judgeAlarm(name: string, alarms: Array<MetricAlarm | CompositeAlarm>, unknown: Unknown): Verdict {
  const alarm = alarms.find(({ AlarmName }) => AlarmName === name);
  if (alarm === undefined) return unknown('no alarm', `there is no alarm ${name} in this account and region`);
  const { StateValue: state = 'no state', StateReason: reason = '' } = alarm;
  const evaluation = 'EvaluationState' in alarm ? alarm.EvaluationState : undefined;
  if (evaluation !== undefined) return unknown(state, `its evaluation is not whole (${evaluation}): ${reason}`);
  const verdict = { observed: state, threshold: 'alarm OK' };
  if (state === 'ALARM') return { ...verdict, outcome: 'fail', detail: reason };
  if (state !== 'OK') return unknown(state, reason || 'the alarm has no state to judge');
  const missing = 'TreatMissingData' in alarm ? alarm.TreatMissingData : undefined;
  const lenient = missing === 'notBreaching' || missing === 'ignore';
  return {
    ...verdict,
    outcome: 'pass',
    detail: lenient ? `the alarm itself takes missing data for "${missing}"` : '',
  };
}

function age(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
