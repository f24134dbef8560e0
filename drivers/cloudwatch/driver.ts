/** A question asked of CloudWatch: the newest whole period of a metric, or the state of an alarm. */
import type { Component } from '../../topology/model.ts';
import { awsApi } from '../aws/client.ts';
import { RampartError } from '../errors.ts';
import type { Check, Driver, DriverContext, Json } from '../ports.ts';
import { fillIn, type Variables } from '../template.ts';
import { resultOf, showExpectation, type Verdict } from '../verdict.ts';
import { CLOUDWATCH_CALLS } from './calls.ts';
import { type CloudwatchConfig, type CloudwatchNode, configSchema, type MetricConfig, nodeSchema } from './config.ts';
import { judgeAlarm, judgeMetric } from './judge.ts';

export const cloudwatch: Driver<'check'> = {
  type: 'cloudwatch',
  role: 'check',
  summary: 'Amazon CloudWatch: the value of a metric, or the state of an alarm',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [CLOUDWATCH_CALLS],
  capabilities: () => ({ role: 'check' }),
  local: () => false,
  validate: problemsOf,
  open: openCloudwatch,
};

function problemsOf({ config, sides }: Component): Array<{ path: (string | number)[]; message: string; code: string }> {
  const { metric, expect, alarm } = config;
  const alarms = Object.values(sides).flatMap(({ region, nodes }) =>
    nodes.flatMap(({ config: node }) => (node.alarm === undefined ? [] : [region])),
  );
  if (metric === undefined) {
    const nodes = Object.values(sides).reduce((sum, side) => sum + side.nodes.length, 0);
    if (alarm !== undefined || (nodes > 0 && alarms.length === nodes)) return [];
    return [{ path: [], message: 'needs a `metric`, or an `alarm` for every side', code: 'check_question_missing' }];
  }
  if (alarm !== undefined || alarms.length > 0)
    return [{ path: ['metric'], message: 'either a `metric` or an `alarm`', code: 'check_two_questions' }];
  const { min, max, equals } = (expect ?? {}) as Record<string, Json>;
  if (min !== undefined || max !== undefined || equals !== undefined) return [];
  return [{ path: ['expect'], message: 'a metric needs `min`, `max` or `equals`', code: 'check_expect_missing' }];
}

function openCloudwatch(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as CloudwatchConfig;
  const { metric, expect = {} } = config;
  const threshold = metric === undefined ? 'alarm OK' : `${metric.name} ${showExpectation(expect)}`;
  const unknown = (observed: string, detail: string): Verdict => ({ outcome: 'unknown', observed, threshold, detail });

  async function ask(node: CloudwatchNode, variables: Variables): Promise<Verdict> {
    const api = await awsApi({
      load: () =>
        import('@aws-sdk/client-cloudwatch').then(
          ({ CloudWatchClient }) =>
            (base) =>
              new CloudWatchClient(base),
        ),
      package: '@aws-sdk/client-cloudwatch',
      calls: CLOUDWATCH_CALLS,
      place: { region: node.region, endpoint: node.endpoint },
      context,
      component: `${component.name} in ${variables.region}`,
    });
    const sdk = await import('@aws-sdk/client-cloudwatch');
    const limits = { timeoutMs: config.timeout };
    if (metric !== undefined) {
      const now = context.now();
      const dimensions = { ...metric.dimensions, ...node.dimensions };
      const command = new sdk.GetMetricDataCommand({
        // Twice as far back as is fresh, so that a stale point is told from none.
        StartTime: new Date(now - 2 * (config.maxAge + metric.period)),
        EndTime: new Date(now),
        ScanBy: 'TimestampDescending',
        MetricDataQueries: [{ Id: 'value', MetricStat: statOf(metric, dimensions, variables) }],
      });
      const answer = await api.call('GetMetricData', (client, options) => client.send(command, options), limits);
      const results = answer.MetricDataResults ?? [];
      return judgeMetric({ results, metric, expect, maxAgeMs: config.maxAge, now, unknown });
    }
    const name = fillIn(node.alarm ?? config.alarm ?? '', variables);
    const command = new sdk.DescribeAlarmsCommand({
      AlarmNames: [name],
      AlarmTypes: ['MetricAlarm', 'CompositeAlarm'],
    });
    const answer = await api.call('DescribeAlarms', (client, options) => client.send(command, options), limits);
    return judgeAlarm(name, [...(answer.MetricAlarms ?? []), ...(answer.CompositeAlarms ?? [])], unknown);
  }

  return {
    async run(region) {
      const nodes = component.sides[region]?.nodes ?? [];
      const verdicts = await Promise.all(
        nodes.map(async ({ name, config: node }) => {
          const variables = { region, node: name, service: context.run.service };
          try {
            return { name, verdict: await ask(node as unknown as CloudwatchNode, variables) };
          } catch (error) {
            context.signal.throwIfAborted();
            // That the monitoring is away, or denies, says nothing about what it watches: no `unserved`.
            const { type, message } = error as RampartError;
            if (!(error instanceof RampartError) || type === 'InvalidInput' || type === 'MissingPackage') throw error;
            return { name, verdict: unknown('no answer', message) };
          }
        }),
      );
      if (verdicts.length > 0) return resultOf(verdicts, context.now());
      return { ...unknown('not asked', `${component.name} has nothing in ${region}`), at: context.now() };
    },
  };
}

function statOf(metric: MetricConfig, dimensions: Record<string, string>, variables: Variables) {
  return {
    Metric: {
      Namespace: metric.namespace,
      MetricName: metric.name,
      Dimensions: Object.entries(dimensions).map(([Name, value]) => ({ Name, Value: fillIn(value, variables) })),
    },
    Period: metric.period / 1000,
    Stat: metric.stat,
  };
}
