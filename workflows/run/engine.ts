/**
 * A run, from request to outcome. It reads like the runbook: resolve, observe, compile, ask, act stage by stage, and
 * say what became of it. What went wrong is decided in trouble.ts.
 */
import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { RawRequest } from '../../activities/contract.ts';
import { FROZEN, type Observations, type Plan, type Stage } from '../../plan/model.ts';
import { passGate } from './ask.ts';
import { countDetection, countFromZero } from './counted.ts';
import { causeOf, Interrupted, RefusedRun } from './errors.ts';
import { close, finish, restoreSettings } from './finish.ts';
import { checkpoint } from './hold.ts';
import { lossNow } from './loss-now.ts';
import { News } from './news.ts';
import { escalated, makePlan, type Planned } from './planning.ts';
import { resolve } from './prepare.ts';
import { showProgress } from './progress.ts';
import { isWanted, runStage } from './stage.ts';
import type { Run } from './state.ts';
import { type End, endWithoutPlan, goBack, settleTrouble } from './trouble.ts';

/**
 * Runs to a closed record. Cancelling the workflow is an abort; nothing else leaves this function early. A workflow
 * that was cancelled before has been cancelled for something else: this run goes its way.
 */
export function execute(run: Run, raw: RawRequest): Promise<void> {
  if (CancellationScope.current().consideredCancelled) return CancellationScope.nonCancellable(() => lead(run, raw));
  const cancelled = CancellationScope.current().cancelRequested.catch((error: unknown) => {
    if (!isCancellation(error)) throw error;
    run.raise({ kind: 'abort', by: 'temporal', reason: 'the workflow was cancelled' });
  });
  void cancelled;
  return CancellationScope.nonCancellable(() => lead(run, raw));
}

async function lead(run: Run, raw: RawRequest): Promise<void> {
  try {
    run.resolved = await resolve(raw);
  } catch (error) {
    throw new RefusedRun(causeOf(error).type, causeOf(error).message);
  }
  const { request, service, notify } = run.resolved;
  if (run.news !== null) run.news.follow(run);
  else if (notify !== undefined) run.news = new News(run, notify);
  Object.assign(run.record, { request, service: request.service, owner: service.owner, tier: service.tier.name });
  if (service.movesWith !== undefined) run.record.movesWith = service.movesWith;
  run.record.context = { ...service.evidence, ...run.record.context };
  run.record.impactStartAt = request.impactStartAt ?? null;
  run.record.detectedAt = request.detectedAt ?? null;
  // An alert says since when it fires; what a person gives is what they think.
  if (request.impactStartAt !== undefined)
    run.record.impactStartBasis = request.by?.startsWith('trigger/') ? 'measured' : 'estimated';
  countFromZero(run);
  countDetection(run);
  for (let why = 'start'; ; ) {
    showProgress(run);
    let end: End;
    try {
      const planned = await makePlan(run, why);
      if (planned === null) return close(run, 'nothingToDo', run.plan!.nothingToDo!);
      end = planned.back ? await goBack(run, staysActive(why, planned.plan)) : await follow(run, planned);
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      end = await endWithoutPlan(run, error.interrupt);
    }
    if (end.kind !== 'escalate') return;
    why = `escalated by ${end.interrupt.by}: ${end.interrupt.reason}`;
    run.resolved = { ...run.resolved, request: escalated(run, end.interrupt) };
    run.tell('run-escalated', why);
  }
}

const staysActive = (why: string, { to }: Plan): string => `${why}; ${to} is the active side, nothing was promoted`;

/** Follows a plan stage by stage; trouble is settled where it arises. */
async function follow(run: Run, { plan, observations }: Planned): Promise<End> {
  for (let i = 0; i < plan.stages.length; ) {
    const stage = plan.stages[i]!;
    try {
      await enter(run, stage, observations);
      i += 1;
    } catch (trouble) {
      const end = await settleTrouble(run, stage, trouble);
      if (end.kind !== 'again') return end;
      i = end.from ?? i;
    }
  }
  await restoreSettings(run);
  finish(run);
  return { kind: 'closed' };
}

async function enter(run: Run, stage: Stage, observations: Observations): Promise<void> {
  run.stage = stage;
  // Past the promotion, verifying and routing is the only way out of the freeze: no word interrupts it.
  const rollForward = run.pastPointOfNoReturn && ['verify', 'route'].includes(stage.name);
  if (!rollForward) await checkpoint(run, stage);
  // A gate for steps that turned out not to be needed asks nobody anything.
  if (!stage.steps.some((step) => isWanted(run, step))) return;
  if (stage.gate !== undefined) await passOnce(run, stage, observations);
  run.phase = stage.name;
  if (FROZEN.includes(stage.name)) beginFreeze(run);
  showProgress(run);
  if (rollForward) await runStage(run, stage);
  else await run.interruptible(() => runStage(run, stage));
  const next = run.plan!.stages[run.plan!.stages.indexOf(stage) + 1];
  if (run.freeze.active && (next === undefined || !FROZEN.includes(next.name))) run.freeze.end();
  if (stage.name === 'ramp') run.record.trafficCompleteAt ??= Date.now();
  if (mayLose(run.plan!)) run.loss = lossNow(run);
}

/**
 * A promotion may lose writes, and so may the fence alone: of two sides that accept writes, one is left behind. A
 * refence loses nothing that was not lost before it: its finding says what is only on the side it fences.
 */
function mayLose({ pointOfNoReturn, stages, request }: Plan): boolean {
  if (request.action === 'refence') return false;
  return pointOfNoReturn !== null || stages.some((stage) => stage.name === 'fence');
}

/** An `always` gate is asked once per plan: trying its stage again needs no second word. Conditional ones look each time. */
async function passOnce(run: Run, stage: Stage, observations: Observations): Promise<void> {
  if (stage.gate!.kind === 'always' && run.passedGates.has(stage)) return;
  await passGate(run, stage, observations);
  run.passedGates.add(stage);
}

/** Only a planned run that moves data has a budget to keep: an unplanned one finds writes stopped already. */
function beginFreeze(run: Run): void {
  const { mode, pointOfNoReturn, policy } = run.plan!;
  if (run.pastPointOfNoReturn || mode !== 'planned' || pointOfNoReturn === null) return;
  run.freeze.begin(policy.freezeBudgetMs, () => {
    const used = `the freeze budget of ${policy.freezeBudgetMs / 1000} s is used up`;
    if (!run.pastPointOfNoReturn) run.raise({ kind: 'freezeExpired', by: 'rampart', reason: used });
    else run.note(`${used}, past the point of no return: the run goes on, because going on is what ends the freeze`);
  });
}
