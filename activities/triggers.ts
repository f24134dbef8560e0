/** What a trigger's workflow asks of the control place: the topology, how its run stands, and to tell people. */
import type { Trigger, TriggerAction } from '../topology/alerts.ts';
import { quietUntilOf } from '../topology/maintenance.ts';
import { haltOf, lockOf } from '../topology/model.ts';
import type { RunSeen, TriggerActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { perform } from './perform.ts';

export interface TriggerDeps {
  /** How a run stands. @throws when Temporal does not say */
  describeRun(workflowId: string, runId: string): Promise<Omit<RunSeen, 'cooldownMs'>>;
  /** Tells people. @throws Error when that failed and is worth another try */
  tell(notice: { trigger: string; service: string; action: TriggerAction; text: string }): Promise<void>;
}

export function createTriggerActivities(deps: ActivityDeps, triggers: TriggerDeps): TriggerActivities {
  const nobody = (service: string) => ({ workflowId: '', runId: '', service, by: null });
  const find = async (name: string): Promise<Trigger | null> => (await deps.topology()).triggers[name] ?? null;
  return {
    resolveTrigger: ({ trigger: name }) =>
      perform(deps, nobody(''), null, async (context) => {
        const topology = await deps.topology();
        const trigger = topology.triggers[name];
        if (trigger === undefined) return null;
        const quietUntil = quietUntilOf(trigger.maintenance, context.now());
        const service = topology.services[trigger.service]!;
        const halt = await deps.halt(service);
        return { trigger, lock: lockOf(service), quietUntil, haltId: haltOf(service), halt };
      }),
    lookAtRun: ({ trigger, workflowId, runId }) =>
      perform(deps, nobody(''), null, async () => {
        const cooldownMs = (await find(trigger))?.cooldownMs ?? 0;
        return { ...(await triggers.describeRun(workflowId, runId)), cooldownMs };
      }),
    tellOfTrigger: (notice) => perform(deps, nobody(notice.service), null, () => triggers.tell(notice)),
  };
}
