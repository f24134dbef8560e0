/** What watches need of a worker's process: the way to triggers and people, and its metrics. */
import type { Client } from '@temporalio/client';
import type { VantageDeps } from '../activities/vantage.ts';
import type { WatchingDeps } from '../activities/watching.ts';
import { metrics } from '../metrics/process.ts';
import { SIGNALS } from '../plan/watch/model.ts';
import type { Topology } from '../topology/model.ts';
import { tellTriggers } from './own-alerts.ts';
import type { Announcer } from './watchdog.ts';

/** What was seen is shown no more when nothing is seen again within this time at least, in milliseconds. */
const FRESH_MS = 60_000;

export function createWatchingDeps(
  client: Client,
  topology: () => Promise<Topology>,
  announcer: Announcer,
): WatchingDeps {
  return {
    tellTriggers: async (alerts) => tellTriggers(client, await topology(), alerts),
    tell: ({ watch, service, state, text }) =>
      announcer.tell(
        {
          ...{ kind: `watch/${watch}`, severity: 'warning', state, source: 'watch', service },
          ...{ component: null, region: null },
          message: text,
          remedy: 'its vantage points are workers: see which run, and what they reach',
        },
        Date.now(),
      ),
  };
}

export const publishVantage: VantageDeps['publish'] = ({ name: watch, intervalMs }, from, report) => {
  metrics.clear('rampart_probe_failing', { watch, from });
  for (const { probe, region, signals } of report?.targets ?? [])
    for (const signal of SIGNALS) {
      const { on } = signals[signal];
      if (on === null) continue;
      const labels = { watch, from, probe, region: region ?? '', signal };
      metrics.set('rampart_probe_failing', labels, Number(on), Math.max(FRESH_MS, 3 * intervalMs));
    }
};
