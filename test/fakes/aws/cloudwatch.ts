/** Amazon CloudWatch: data points and alarms that a test sets. Alarms are not evaluated. */
import type { FakeService } from './protocol.ts';

interface Point {
  key: string;
  time: number;
  value: number;
}

interface Dimension {
  Name: string;
  Value: string;
}

export class FakeCloudwatch {
  points: Point[] = [];
  alarms = new Map<string, Record<string, unknown>>();
  /** What GetMetricData says of its data. */
  statusCode = 'Complete';

  service(): FakeService {
    return {
      scope: 'monitoring',
      protocol: 'json1.0',
      snapshot: () => () => undefined,
      operations: {
        PutMetricData: ({ region, input }) => {
          for (const { MetricName, Dimensions, Value, Timestamp } of input.MetricData)
            this.points.push({
              key: keyOf(region, input.Namespace, MetricName, Dimensions),
              time: Timestamp * 1000,
              value: Value,
            });
        },
        GetMetricData: ({ region, input }) => ({
          MetricDataResults: input.MetricDataQueries.map(({ Id, MetricStat }: { Id: string; MetricStat: Stat }) => {
            const { Namespace, MetricName, Dimensions } = MetricStat.Metric;
            const key = keyOf(region, Namespace, MetricName, Dimensions);
            const within = this.points.filter(
              (point) => point.key === key && point.time >= input.StartTime * 1000 && point.time < input.EndTime * 1000,
            );
            const periods = groupBy(
              within,
              ({ time }) => Math.floor(time / 1000 / MetricStat.Period) * MetricStat.Period,
            );
            const newest = [...periods].sort(([a], [b]) => b - a);
            return {
              Id,
              Label: MetricName,
              StatusCode: this.statusCode,
              Timestamps: newest.map(([time]) => time),
              Values: newest.map(([, points]) =>
                statistic(
                  MetricStat.Stat,
                  points.map(({ value }) => value),
                ),
              ),
            };
          }),
        }),
        DescribeAlarms: ({ region, input }) => ({
          MetricAlarms: input.AlarmNames.flatMap((name: string) => this.alarms.get(`${region} ${name}`) ?? []),
          CompositeAlarms: [],
        }),
        PutMetricAlarm: ({ region, input }) => {
          this.alarms.set(`${region} ${input.AlarmName}`, { StateValue: 'INSUFFICIENT_DATA', ...input });
        },
        SetAlarmState: ({ region, input }) => {
          Object.assign(this.alarms.get(`${region} ${input.AlarmName}`) ?? {}, input);
        },
      },
    };
  }
}

interface Stat {
  Metric: { Namespace: string; MetricName: string; Dimensions?: Dimension[] };
  Period: number;
  Stat: string;
}

function keyOf(region: string, namespace: string, name: string, dimensions: Dimension[] = []): string {
  const parts = dimensions.map(({ Name, Value }) => `${Name}=${Value}`).sort();
  return [region, namespace, name, ...parts].join(' ');
}

function statistic(stat: string, values: number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  switch (stat) {
    case 'Sum':
      return sum;
    case 'Average':
      return sum / values.length;
    case 'Maximum':
      return Math.max(...values);
    case 'Minimum':
      return Math.min(...values);
    default:
      throw new Error(`the fake has no statistic ${stat}`);
  }
}

function groupBy<T, K>(items: T[], keyOfItem: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOfItem(item), [...(groups.get(keyOfItem(item)) ?? []), item]);
  return groups;
}
