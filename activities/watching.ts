/** What a watch's workflow asks of the control place: its part of the topology, and word to triggers and people. */
import type { Alert } from '../topology/alerts.ts';
import type { Topology } from '../topology/model.ts';
import type { Watched, WatchingActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { perform } from './perform.ts';

export interface WatchingDeps {
  /** Hands alerts to triggers. @throws Error when Temporal is away: worth another try */
  tellTriggers(alerts: Alert[]): Promise<void>;
  /** Tells people. @throws Error when that failed and is worth another try */
  tell(notice: { watch: string; service: string; state: 'opened' | 'cleared'; text: string }): Promise<void>;
}

export function createWatchingActivities(deps: ActivityDeps, watching: WatchingDeps): WatchingActivities {
  const nobody = (service: string) => ({ workflowId: '', runId: '', service, by: null });
  return {
    resolveWatch: ({ watch }) =>
      perform(deps, nobody(''), null, async () => {
        const found = watchedIn(await deps.topology(), watch);
        return found === null ? null : { ...found, searchAttributes: await deps.searchAttributes() };
      }),
    tellTriggers: ({ alerts }) => perform(deps, nobody(''), null, () => watching.tellTriggers(alerts)),
    tellOfWatch: (notice) => perform(deps, nobody(notice.service), null, () => watching.tell(notice)),
  };
}

/** The part of the topology that a watch asks; `null` when it is not there. */
export function watchedIn(topology: Topology, name: string): Watched | null {
  const watch = topology.watches[name];
  if (watch === undefined) return null;
  return { watch, components: Object.fromEntries(watch.probes.map((probe) => [probe, topology.components[probe]!])) };
}
