/** What comparisons need of a worker's process: the way to triggers and people, and its metrics. */
import type { Client } from '@temporalio/client';
import type { ComparingDeps } from '../activities/divergence.ts';
import type { ComparisonRecord } from '../evidence/comparison-record.ts';
import { metrics } from '../metrics/process.ts';
import type { Topology } from '../topology/model.ts';
import { tellTriggers } from './own-alerts.ts';
import type { Announcer } from './watchdog.ts';

export function createComparingDeps(
  client: Client,
  topology: () => Promise<Topology>,
  announcer: Announcer,
): ComparingDeps {
  return {
    tellTriggers: async (alerts) => tellTriggers(client, await topology(), alerts),
    tell: ({ comparison, service, state, text }) =>
      announcer.tell(
        {
          ...{ kind: `divergence/${comparison}`, severity: 'warning', state, source: 'divergence', service },
          ...{ component: null, region: null },
          message: text,
          remedy: `rampart compare ${service} looks again and lists the keys`,
        },
        Date.now(),
      ),
    publish,
  };
}

function publish({ service, comparison, counts, lagAtLeastMs, lagSloMs, endedAt }: ComparisonRecord): void {
  const sum = (by: Record<string, number>): number => Object.values(by).reduce((all, n) => all + n, 0);
  const labels = { service, comparison };
  metrics.set('rampart_divergence_keys', { ...labels, kind: 'missing' }, sum(counts.missing));
  metrics.set('rampart_divergence_keys', { ...labels, kind: 'firstWriteWins' }, sum(counts.firstWriteWins));
  metrics.set('rampart_divergence_keys', { ...labels, kind: 'conflict' }, counts.conflict);
  if (lagAtLeastMs === null) metrics.clear('rampart_divergence_lag_seconds', labels);
  else metrics.set('rampart_divergence_lag_seconds', labels, lagAtLeastMs / 1000);
  metrics.set('rampart_divergence_lag_objective_seconds', labels, lagSloMs / 1000);
  metrics.set('rampart_divergence_compared_timestamp_seconds', labels, endedAt / 1000);
}
