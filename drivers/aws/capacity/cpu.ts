/** How busy the units of a service are, as CloudWatch says. */
import type { DriverContext } from '../../ports.ts';
import { apiCalls } from '../calls.ts';
import { type AwsPlace, awsApi } from '../client.ts';

export const CPU_CALLS = apiCalls('cloudwatch', {
  GetMetricData: {
    changes: false,
    right: 'cloudwatch:GetMetricData',
    resource: '*',
    plane: 'control',
    where: "the side's region",
    why: 'CPU of the units, before a smaller size is put back',
  },
});

/** Machines report every five minutes unless told otherwise, and the last value is late by some. */
const WINDOW_MS = 15 * 60_000;

export interface CpuQuestion {
  place: AwsPlace;
  context: DriverContext;
  component: string;
  timeoutMs: number;
  namespace: string;
  dimensions: Record<string, string>;
}

/** The newest average, in percent; `null` when there is none. @throws what drivers/aws/errors.ts says */
export async function averageCpu(question: CpuQuestion): Promise<number | null> {
  const { place, context, component, namespace, dimensions, timeoutMs } = question;
  const api = await awsApi({
    load: () =>
      import('@aws-sdk/client-cloudwatch').then(
        ({ CloudWatchClient }) =>
          (base) =>
            new CloudWatchClient(base),
      ),
    package: '@aws-sdk/client-cloudwatch',
    calls: CPU_CALLS,
    place,
    context,
    component,
  });
  const { GetMetricDataCommand } = await import('@aws-sdk/client-cloudwatch');
  const now = context.now();
  const command = new GetMetricDataCommand({
    StartTime: new Date(now - WINDOW_MS),
    EndTime: new Date(now),
    ScanBy: 'TimestampDescending',
    MetricDataQueries: [
      {
        Id: 'cpu',
        MetricStat: {
          Metric: {
            Namespace: namespace,
            MetricName: 'CPUUtilization',
            Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
          },
          Period: 60,
          Stat: 'Average',
        },
      },
    ],
  });
  const answer = await api.call('GetMetricData', (client, options) => client.send(command, options), { timeoutMs });
  const result = answer.MetricDataResults?.[0];
  // What is left out may be the very load that speaks against fewer units.
  return result?.StatusCode === 'Complete' ? (result.Values?.[0] ?? null) : null;
}
