/**
 * The lag that CloudWatch has of a secondary, read in the secondary's own region: what is left when the primary cannot
 * be asked. A value that is missing or old is no reading.
 */
import type { Metric } from '@aws-sdk/client-cloudwatch';
import type { Lag } from '../ports.ts';
import { cloudwatchApi, readLimit } from './api.ts';
import type { Aurora, AuroraNode } from './config.ts';

const NAME = 'AuroraGlobalDBRPOLag';
const PERIOD_SECONDS = 60;

/** Under which dimensions a cluster's metric is published, once it was found. */
const known = new Map<string, Metric[]>();

/** Readings of a moment ago: a new value comes once a minute, and the sampler asks every second. */
const read = new Map<string, { at: number; lag: Promise<Lag | null> }>();

const keyOf = ({ cloudwatch, cluster }: AuroraNode): string =>
  `${cloudwatch.region} ${cloudwatch.endpoint ?? ''} ${cluster}`;

/** @throws RampartError when CloudWatch cannot be asked */
export function lagPublished(aurora: Aurora, node: AuroraNode): Promise<Lag | null> {
  if (aurora.globalCluster === null) return Promise.resolve(null);
  const key = keyOf(node);
  const at = aurora.context.now();
  const kept = read.get(key);
  if (kept !== undefined && at - kept.at < aurora.config.sampleEvery) {
    // Somebody else's question ends with somebody else's call; one of its own does not.
    return kept.lag.catch(() => readLag(aurora, node));
  }
  const lag = readLag(aurora, node);
  read.set(key, { at, lag });
  lag.catch(() => read.delete(key));
  return lag;
}

async function readLag(aurora: Aurora, node: AuroraNode): Promise<Lag | null> {
  const { context, config } = aurora;
  const [api, { GetMetricDataCommand }] = await Promise.all([
    cloudwatchApi(aurora, node),
    import('@aws-sdk/client-cloudwatch'),
  ]);
  const listed = known.has(keyOf(node));
  const metrics = await metricsOf(aurora, node);
  if (metrics.length === 0) return null;
  const now = context.now();
  const MetricDataQueries = metrics.map((metric, n) => ({
    Id: `m${n}`,
    MetricStat: { Metric: metric, Period: PERIOD_SECONDS, Stat: 'Maximum' },
  }));
  const command = new GetMetricDataCommand({
    MetricDataQueries,
    StartTime: new Date(now - config.metricAge),
    EndTime: new Date(now),
    ScanBy: 'TimestampDescending',
  });
  const { MetricDataResults } = await api.call('GetMetricData', (cw, o) => cw.send(command, o), readLimit(aurora));
  const points = (MetricDataResults ?? []).flatMap(({ Timestamps = [], Values = [] }) =>
    Timestamps.map((at, i) => ({ at: at.getTime(), ms: Values[i] ?? Number.NaN })),
  );
  const newest = points
    .filter(({ ms }) => Number.isFinite(ms) && ms >= 0)
    .sort((a, b) => b.at - a.at || b.ms - a.ms)[0];
  if (newest === undefined) {
    // The dimensions of a moment ago may be those of a writer that has moved since.
    known.delete(keyOf(node));
    return listed ? readLag(aurora, node) : null;
  }
  // A value is the greatest of its minute, which begins at its time.
  const age = Math.max(0, now - newest.at);
  return { bytes: null, seconds: newest.ms / 1000, measuredAt: now, freshnessMs: age, fresh: age <= config.metricAge };
}

async function metricsOf(aurora: Aurora, node: AuroraNode): Promise<Metric[]> {
  const key = keyOf(node);
  const found = known.get(key);
  if (found !== undefined) return found;
  const [api, { ListMetricsCommand }] = await Promise.all([
    cloudwatchApi(aurora, node),
    import('@aws-sdk/client-cloudwatch'),
  ]);
  // Which dimensions come with it is not documented: whatever names this cluster.
  const command = new ListMetricsCommand({
    Namespace: 'AWS/RDS',
    MetricName: NAME,
    Dimensions: [{ Name: 'DBClusterIdentifier', Value: node.cluster }],
  });
  const { Metrics } = await api.call('ListMetrics', (cw, o) => cw.send(command, o), readLimit(aurora));
  const metrics = (Metrics ?? []).filter(({ MetricName }) => MetricName === NAME);
  if (metrics.length > 0) known.set(key, metrics);
  return metrics;
}
