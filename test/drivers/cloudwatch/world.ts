/** The same questions asked of a CloudWatch, whoever plays it. */
import {
  CloudWatchClient,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  SetAlarmStateCommand,
} from '@aws-sdk/client-cloudwatch';
import { cloudwatch } from '../../../drivers/cloudwatch/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { type CheckWorld, checkComponent } from '../../conformance/check/check-suite.ts';
import { FakeCloudwatch } from '../../fakes/aws/cloudwatch.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

export const REGION = 'eu-west';

export function credentials(): void {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: '111111111111', AWS_SECRET_ACCESS_KEY: 'secret' });
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
}

export const metricCheck = (endpoint: string, config: object = {}, metric: object = {}): Component =>
  checkComponent(
    cloudwatch,
    {
      metric: { namespace: 'Shop', name: 'Errors', dimensions: { Region: '{{region}}' }, stat: 'Sum', ...metric },
      expect: { max: 1 },
      timeout: '500ms',
      ...config,
    },
    { [REGION]: [{ region: 'eu-west-1', endpoint }] },
  );

export const alarmCheck = (endpoint: string, alarm: string): Component =>
  checkComponent(cloudwatch, { alarm, timeout: '2s' }, { [REGION]: [{ region: 'eu-west-1', endpoint }] });

/** Writes data points as a service would, by what they are and how old, in milliseconds. */
export async function publish(
  endpoint: string,
  points: Array<{ name?: string; value: number; ageMs: number; region?: string }>,
): Promise<CloudWatchClient> {
  credentials();
  const client = new CloudWatchClient({ endpoint, region: 'eu-west-1', maxAttempts: 1 });
  await client.send(
    new PutMetricDataCommand({
      Namespace: 'Shop',
      MetricData: points.map(({ name = 'Errors', value, ageMs, region = REGION }) => ({
        MetricName: name,
        Value: value,
        Timestamp: new Date(Date.now() - ageMs),
        Dimensions: [{ Name: 'Region', Value: region }],
      })),
    }),
  );
  return client;
}

/** An alarm in a state that was set by hand. */
export async function setAlarm(client: CloudWatchClient, name: string, state: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA') {
  const watched = {
    Namespace: 'Shop',
    MetricName: 'Unheard',
    Statistic: 'Sum',
    Period: 60,
    EvaluationPeriods: 1,
  } as const;
  const rule = { Threshold: 1, ComparisonOperator: 'GreaterThanThreshold' } as const;
  await client.send(new PutMetricAlarmCommand({ AlarmName: name, ...watched, ...rule }));
  await client.send(new SetAlarmStateCommand({ AlarmName: name, StateValue: state, StateReason: 'as the test says' }));
}

/** The suite's world on any CloudWatch; what emulators cannot do (hang, deny) is played by the fake. */
export async function makeCheckWorld(endpoint: string, close: () => Promise<void>): Promise<CheckWorld> {
  const client = await publish(endpoint, [
    { value: 0.25, ageMs: 130_000 },
    { name: 'Many', value: 7, ageMs: 130_000 },
  ]);
  client.destroy();
  const broken = await FakeAws.start([new FakeCloudwatch().service()], 2);
  broken.fault({ endpoint: 0, fault: 'hang' });
  broken.fault({ endpoint: 1, fault: 'denied' });
  return {
    driver: cloudwatch,
    region: REGION,
    secrets: {},
    good: metricCheck(endpoint),
    bad: metricCheck(endpoint, {}, { name: 'Many' }),
    nobody: metricCheck('http://127.0.0.1:1'),
    silent: metricCheck(broken.urls[0] as string),
    empty: metricCheck(endpoint, {}, { name: 'Unheard' }),
    refused: { component: metricCheck(broken.urls[1] as string), secrets: {} },
    async close() {
      await broken.stop();
      await close();
    },
  };
}
