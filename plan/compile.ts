/** Request + topology + observation → plan. Pure: the same input gives the same plan, and nothing is touched. */

import { lockOf } from '../topology/model.ts';
import { planDigest } from './digest.ts';
import { estimateOf } from './estimate.ts';
import { factsOf } from './facts.ts';
import type { CompileInput, Plan, Stage } from './model.ts';
import { situationOf } from './situation.ts';
import { stagesOf } from './stages/index.ts';

/**
 * Compiles a plan. Never throws and never refuses: what speaks against it is in `facts.blockers`, what makes it
 * needless in `nothingToDo`. A plan that cannot be laid out (no target, no source) has no stages and a blocker.
 */
export function compilePlan(input: CompileInput): Plan {
  const { request, service, components, topologyDigest } = input;
  const situation = situationOf(input);
  const { from, to, mode, course, reading } = situation;
  const stages = stagesOf(situation);
  const facts = factsOf(situation, stages);
  const estimate = estimateOf(stages, facts.lag);
  return {
    version: 1,
    digest: planDigest({
      action: request.action,
      service: service.name,
      from,
      to,
      mode,
      override: request.override ?? [],
      percent: request.percent,
      ramp: request.ramp,
      topologyDigest,
      stages,
    }),
    topologyDigest,
    request,
    service: service.name,
    owner: service.owner,
    tier: service.tier.name,
    lock: lockOf(service),
    from,
    fromSource: reading.fromSource,
    to,
    mode,
    resumeAt: course.resumeAt,
    nothingToDo: course.nothing,
    ...(service.movesWith === undefined ? {} : { movesWith: service.movesWith }),
    policy: {
      // A refence that fails gives its claims back and frees the lock: a rescue must not find it held.
      onFailure: request.action === 'refence' ? 'rollback' : service.onFailure[mode],
      freezeBudgetMs: service.tier.freezeBudgetMs,
      fenceProof: service.tier.fenceProof,
      rtoMs: service.tier.rtoMs,
      rpoMs: service.tier.rpoMs,
      ramp: request.ramp === undefined ? service.ramp : { ...service.ramp, steps: request.ramp },
      approvals: service.approvals,
    },
    components,
    stages,
    pointOfNoReturn: firstPromotion(stages),
    ...(course.past ? { pastPointOfNoReturn: true } : {}),
    facts,
    estimate: { ...estimate, lossBytes: facts.loss.atLeastBytes, lossSeconds: facts.loss.seconds },
  };
}

function firstPromotion(stages: readonly Stage[]): string | null {
  const steps = stages.flatMap((stage) => stage.steps);
  return steps.find((step) => step.verb === 'switchover' || step.verb === 'promote')?.id ?? null;
}
