/** From a request to a frozen plan: resolve, observe, compile. Changes nothing. */
import { ActivityCancellationType, log, proxyActivities } from '@temporalio/workflow';
import type { PlanningActivities, RawRequest, Resolved } from '../../activities/contract.ts';
import type { Facts, Observations, Plan, Request } from '../../plan/model.ts';
import type { Service } from '../../topology/model.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { compileBase, hasPreflight, observeAll, preflightAll, type RunIdentity } from './measure.ts';

export const control = proxyActivities<PlanningActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '30s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: 200, maximumInterval: 5_000 },
});

/** Watching a gate is one long activity; a lost worker is noticed by its heartbeats. */
export const watcher = proxyActivities<PlanningActivities>({
  taskQueue: CONTROL_QUEUE,
  summary: 'watch the facts',
  startToCloseTimeout: '15m',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: 1_000, maximumAttempts: 3 },
});

/**
 * Checks the request against the topology.
 * @throws ActivityFailure of type InvalidInput with a sentence that says what is wrong and what would be right
 */
export function resolve(raw: RawRequest): Promise<Resolved> {
  return control.resolveRequest(raw);
}

export interface Prepared {
  plan: Plan;
  observations: Observations;
}

/** Observes everything and compiles. `resolved.request` may be an escalated one. */
export async function preparePlan(resolved: Resolved, identity: RunIdentity): Promise<Prepared> {
  const observations = await observeAll(resolved, identity);
  const base = { ...compileBase(resolved), observations, now: Date.now() };
  const direction = await control.findDirection(base);
  if (direction.from !== null && hasAnyPreflight(resolved))
    observations.preflight = await preflightAll(resolved, identity, { ...direction, from: direction.from });
  return { plan: await control.compilePlan({ ...base, observations, now: Date.now() }), observations };
}

/** Measures again what people were shown; the plan itself stays frozen. */
export async function measureAgain(
  resolved: Resolved,
  plan: Plan,
  identity: RunIdentity,
): Promise<{ facts: Facts; observations: Observations }> {
  const direction = plan.from === null ? null : { from: plan.from, to: plan.to, mode: plan.mode };
  const [observations, preflight] = await Promise.all([
    observeAll(resolved, identity),
    direction === null || !hasAnyPreflight(resolved) ? {} : preflightAll(resolved, identity, direction),
  ]);
  observations.preflight = preflight;
  const facts = await control.assessFacts({
    ...compileBase(withDirection(resolved, plan)),
    observations,
    now: Date.now(),
  });
  return { facts, observations };
}

/** The request with what the plan found filled in, so that facts are always about the plan's own direction. */
export function withDirection(resolved: Resolved, plan: Plan): Resolved {
  const request: Request = { ...resolved.request, to: plan.to, mode: plan.mode };
  if (plan.from !== null) request.from = plan.from;
  return { ...resolved, request };
}

function hasAnyPreflight(resolved: Resolved): boolean {
  return resolved.service.components.some((name) => hasPreflight(resolved.components[name]));
}

/** Refreshes the page of manual commands on disk in the background: never waited for, never a reason to fail. */
export function refreshEscapePage(plan: Plan, service: Service, phase: string, identity: RunIdentity): void {
  const page = proxyActivities<PlanningActivities>({
    taskQueue: CONTROL_QUEUE,
    summary: 'escape page',
    startToCloseTimeout: '20s',
    retry: { maximumAttempts: 1 },
  });
  page.writeEscapePage({ plan, service, phase, run: identity }).catch((error: unknown) => {
    log.warn('the escape page could not be written', { error: String(error) });
  });
}
