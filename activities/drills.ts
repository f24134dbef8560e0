/** What a drill asks of the control place. */
import { evaluate } from '../evidence/assertions.ts';
import type { DrillActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { perform } from './perform.ts';

export function createDrillActivities(deps: ActivityDeps): DrillActivities {
  return {
    judgeDrill: ({ assertions, record }) => {
      const { workflowId, runId, service } = record;
      return perform(deps, { workflowId, runId, service, by: null }, null, async () => evaluate(assertions, record));
    },
  };
}
