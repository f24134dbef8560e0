/** Drills that change nothing: a plan on the live state, and the service's checks. */
import { condition, workflowInfo } from '@temporalio/workflow';
import type { Resolved } from '../../activities/contract.ts';
import type { DrillRecord, PlanRecord } from '../../evidence/record.ts';
import type { Plan } from '../../plan/model.ts';
import type { Drill } from '../../topology/drill.ts';
import { causeOf } from '../run/errors.ts';
import type { RunIdentity } from '../run/measure.ts';
import { preparePlan, resolve } from '../run/prepare.ts';
import { lookAtChecks, note } from './dwell.ts';
import { everyMs, Limits } from './limits.ts';
import { close, skip } from './record.ts';
import { checkShortcomings } from './verdict.ts';

export const identity = (service: string, by: string | null): RunIdentity => {
  const { workflowId, firstExecutionRunId: runId } = workflowInfo();
  return { workflowId, runId, service, by };
};

/**
 * The plan that the drill would follow now.
 * @throws ActivityFailure where the request does not fit the topology, or nothing can be asked
 */
export async function planNow({ service, kind, to, percent }: Drill, by: string | null): Promise<Plan> {
  const ramp = { action: 'trafficRamp', percent, ramp: [percent] };
  const input = { service, to, ...(kind === 'rampOnly' ? ramp : { action: 'failover', mode: 'planned' }) };
  const resolved = await resolve({ input, workflowType: 'plan', workflowId: workflowInfo().workflowId });
  return (await preparePlan(resolved, identity(service, by))).plan;
}

/** What speaks against it, a sentence each; empty when nothing does. */
export function against({ nothingToDo, facts }: Plan, lagAboveMs: number | null): string[] {
  if (nothingToDo !== null) return [nothingToDo];
  const blockers = facts.blockers.map(({ message }) => message);
  if (blockers.length > 0) return blockers;
  const { state, text } = facts.classified;
  // Where it is as after a run that broke off, a plan would take that run to its end, and rehearse nothing.
  const begun = state === 'steady' ? [] : [text];
  return [...begun, ...lagging(facts.lag, lagAboveMs)];
}

function lagging(lags: Plan['facts']['lag'], lagAboveMs: number | null): string[] {
  if (lagAboveMs === null) return [];
  return Object.entries(lags).flatMap(([store, lag]) => {
    if (lag === null || !lag.fresh || lag.seconds === null) return [`how far ${store} lags is not known`];
    return lag.seconds * 1_000 > lagAboveMs
      ? [`${store} lags by ${lag.seconds} s, the limit is ${lagAboveMs / 1000} s`]
      : [];
  });
}

/** A rehearsal passes when nothing speaks against the plan. What it warns of stands in its record. */
export async function rehearse(drill: Drill, record: DrillRecord): Promise<void> {
  let plan: Plan;
  try {
    plan = await planNow(drill, record.by);
  } catch (error) {
    record.reasons.push(`no plan could be made: ${causeOf(error).message}`);
    return close(record, 'failed', record.reasons.join('; '));
  }
  record.from = plan.from;
  record.rehearsal = asPlanRecord(plan);
  const found = against(plan, drill.blockWhen.lagAboveMs);
  record.reasons.push(...found);
  if (found.length > 0)
    return close(
      record,
      'failed',
      `a failover of ${drill.service} to ${drill.to} would be refused now: ${found.join('; ')}`,
    );
  const warnings = plan.facts.warnings.filter(({ severity }) => severity !== 'info').map(({ message }) => message);
  const warned = warnings.length === 0 ? '' : `, with warnings: ${warnings.join(' ')}`;
  close(record, 'passed', `a failover of ${drill.service} to ${drill.to} would begin now${warned}`);
}

function asPlanRecord({ digest, topologyDigest, mode, from, to, resumeAt, facts, estimate }: Plan): PlanRecord {
  return {
    digest,
    topologyDigest,
    mode,
    from,
    to,
    resumeAt,
    compiledAt: Date.now(),
    facts,
    estimate,
    why: 'rehearsal',
  };
}

/** Watches the service's checks for the drill's time, one round at least. */
export async function watchChecks(drill: Drill, record: DrillRecord): Promise<void> {
  const { service, to, dwellMs, intervalMs, abortWhen } = drill;
  let resolved: Resolved;
  try {
    const input = { action: 'reprotect', service };
    resolved = await resolve({ input, workflowType: 'plan', workflowId: workflowInfo().workflowId });
  } catch (error) {
    record.reasons.push(causeOf(error).message);
    return close(record, 'failed', `the checks could not be asked: ${record.reasons[0]}`);
  }
  const { home, standby } = resolved.service;
  const regions = to === null ? [home, ...standby] : [to];
  const time = { startedAt: Date.now(), endedAt: null as number | null, checks: [] };
  record.dwell = time;
  const limits = new Limits(abortWhen, time.startedAt);
  for (;;) {
    const round = await lookAtChecks(resolved, regions, identity(service, record.by));
    note(time, round);
    const trouble = limits.take(round, [], Date.now());
    if (trouble !== null) record.reasons.push(trouble);
    const left = time.startedAt + dwellMs - Date.now();
    if (trouble !== null || left <= 0) break;
    await condition(() => false, Math.max(Math.min(everyMs(intervalMs, dwellMs), left), 1));
  }
  time.endedAt = Date.now();
  if (record.reasons.length === 0) record.reasons.push(...checkShortcomings(time));
  if (record.reasons.length === 0) close(record, 'passed', `the checks of ${service} pass in ${regions.join(', ')}`);
  else close(record, 'failed', record.reasons.join('; '));
}

/** Whether a drill that acts may begin; otherwise it is skipped, because unknown is not good. */
export async function mayBegin(drill: Drill, record: DrillRecord): Promise<boolean> {
  let found: string[];
  try {
    const plan = await planNow(drill, record.by);
    record.from = plan.from;
    found = against(plan, drill.blockWhen.lagAboveMs);
  } catch (error) {
    found = [`what it would find is not known: ${causeOf(error).message}`];
  }
  if (found.length > 0) skip(record, found);
  return found.length === 0;
}
