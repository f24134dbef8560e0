/** One step of a plan: undo first, then the activity, then the record. */
import { CancelledFailure } from '@temporalio/common';
import { CancellationScope, isCancellation, patched } from '@temporalio/workflow';
import type { PromoteReceipt, Receipt, Weights } from '../../drivers/ports.ts';
import type { StageName, Step } from '../../plan/model.ts';
import { countBake, countStep } from './counted.ts';
import { type Cause, causeOf, neverStarted, StepFailed } from './errors.ts';
import { promoteStep, switchoverStep } from './promote.ts';
import { datedBy } from './proof.ts';
import { callFor, given, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';
import { noteSyncDebt } from './sync-debt.ts';

/** A place whose workers were away a moment ago, in milliseconds. */
const ABSENT_WAIT_MS = 300;

/** Crosses the point of no return: from the moment a promotion is scheduled, no earlier undo may run (safety rules). */
function crossPointOfNoReturn(run: Run, step: Step): void {
  const pnr = run.record.pointOfNoReturn;
  if (run.pastPointOfNoReturn) return;
  Object.assign(pnr, { stepId: step.id, crossedAt: Date.now(), revokedAt: null });
  run.crossedInPlan = run.record.plans.length;
  run.undo.discard();
  run.note(`point of no return: ${step.summary} is scheduled`);
}

/** A word or a deadline that came before the crossing still counts: then the promotion is not scheduled at all. */
function cross(run: Run, step: Step): void {
  if (!run.pastPointOfNoReturn && (CancellationScope.current().consideredCancelled || run.interrupt !== null))
    throw new CancelledFailure(`${step.id} was not scheduled`);
  crossPointOfNoReturn(run, step);
}

/**
 * Runs one step to its end.
 * @throws {StepFailed} when it failed for good and its failure is not to be continued over
 */
export async function runStep(run: Run, stage: StageName, step: Step): Promise<void> {
  // Its turn has come too late: what is not scheduled any more must leave no undo behind.
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure(`${step.id} was not scheduled`);
  const record = run.stepRecord(stage, step);
  const since = Date.now();
  record.state = 'running';
  record.scheduled += 1;
  record.error = null;
  const store = step.component !== null && run.plan!.components[step.component]?.role === 'store';
  if (step.effect !== 'none') run.acted = true;
  const registered = registerUndo(run, stage, step);
  try {
    if (store && step.effect === 'irreversible' && (step.verb === 'promote' || step.verb === 'switchover'))
      cross(run, step);
    const askedAt = Date.now();
    const receipt =
      step.verb === 'promote'
        ? await promoteStep(run, step)
        : step.verb === 'switchover'
          ? await switchoverStep(run, step)
          : await schedule(
              step.verb,
              callFor(run, step, given(run, step.needs)),
              optionsFor(hurried(run, step), stage, { deadline: boundedByFreeze(run, stage) }),
            );
    const dated = step.verb === 'prove' ? datedBy(receipt, askedAt) : datedBy(receipt, Date.now());
    run.receipts.set(step.id, dated);
    Object.assign(record, {
      state: 'done',
      endedAt: Date.now(),
      result: receipt.summary,
      already: receipt.already,
      facts: receipt.facts,
    });
    countStep(run, step, record, since);
    if (step.verb === 'claim') adopt(run, step, receipt);
    // What an earlier try of it left owing.
    run.payDebt(step.verb, step.component, step.region);
    learn(run, step, receipt);
  } catch (error) {
    record.endedAt = Date.now();
    if (isCancellation(error) && CancellationScope.current().consideredCancelled) {
      if (step.verb === 'claim') adopt(run, step);
      record.state = 'cancelled';
      countStep(run, step, record, since);
      throw error;
    }
    const cause = failureOf(step, error);
    // Refused by the claim, or never taken by a worker in its only attempt: there is nothing of it to undo.
    if (neverStarted(error)) run.absentPlaces.add(step.place);
    const never = neverStarted(error) && step.attempts === 1;
    if (never || (step.verb === 'claim' && cause.type === 'Conflict')) nothingToUndo(run, step, registered);
    else if (step.verb === 'claim') adopt(run, step);
    record.state = 'failed';
    record.error = cause;
    countStep(run, step, record, since);
    run.note(`${step.id} failed: ${cause.message}`);
    run.tell('step-failed', `${step.summary}: ${cause.message}`);
    if (step.onFailure !== 'continue') throw new StepFailed(step, cause);
    run.addDebt({
      code: step.verb,
      component: step.component,
      region: step.region,
      message: `${step.summary}: ${cause.message}`,
      remedy: remedyFor(run, step),
    });
  }
}

/** @returns whether this try of the step is the one that its undo is registered for */
function registerUndo(run: Run, stage: StageName, step: Step, adopted = false): boolean {
  if (step.undo === undefined) return false;
  const needed = given(run, step.undo.needs);
  const record = run.undo.register(step, stage, step.undo, needed, run.record.plans.length, adopted);
  if (record === null) return false;
  if ((adopted || step.undo.adopted === true) && !claimedBefore(run)) record.adopted = true;
  run.record.undos.push(record);
  return true;
}

/** Whether an earlier plan of this run had claimed: then the journals that this plan found open are its own. */
function claimedBefore(run: Run): boolean {
  const { compiledAt } = run.record.plans.at(-1)!;
  return run.record.steps.some(({ verb, startedAt }) => verb === 'claim' && startedAt < compiledAt);
}

/** This try did nothing. What an earlier one did, of this plan or of one before it, is still to be undone. */
function nothingToUndo(run: Run, step: Step, registered: boolean): void {
  if (step.verb === 'claim') run.tokens.notClaimed(step);
  if (registered || !run.undo.has(step.id) || !patched('undo-of-an-earlier-try')) run.undo.withdraw(step.id);
}

/**
 * A claim that acted, or may have, makes what a lost run left in its open journal this run's own to undo: the end of
 * this run closes that journal, and then nobody would know of it any more. What is the claimed place's own is taken
 * over with that place; routers and workloads stand in every journal.
 * @param receipt of the claim, if there is one: a lost run's fence may have acted after the plan was made
 */
function adopt(run: Run, claim: Step, receipt?: Receipt): void {
  const fenced = typeof receipt?.facts.fencedAt === 'number' && patched('fence-found-by-claim');
  for (const stage of run.plan!.stages)
    for (const step of stage.steps) {
      const own = step.component === claim.component && step.region === claim.region && step.place === claim.place;
      if (step.undo?.adopted !== true && !(own && fenced && step.undo?.verb === 'unfence')) continue;
      if (own || run.plan!.components[step.component ?? '']?.role !== 'store')
        registerUndo(run, stage.name, step, true);
    }
}

/** On the side that is given up, a place where nobody took an earlier step is asked once more, but hardly waited for. */
function hurried(run: Run, step: Step): Step {
  if (step.scheduleToStartMs === undefined || !run.absentPlaces.has(step.place)) return step;
  return { ...step, scheduleToStartMs: ABSENT_WAIT_MS };
}

/** Before the point of no return nothing in the freeze may outlive its budget; after it, finishing is what ends it. */
function boundedByFreeze(run: Run, stage: StageName): number | null {
  return run.freeze.active && !run.pastPointOfNoReturn && stage !== 'promote' ? run.freeze.deadline : null;
}

function remedyFor(run: Run, step: Step): string {
  if (step.verb === 'rejoin' || step.verb === 'rebuild') return `rampart reprotect ${run.record.service}`;
  if (step.verb === 'leftBehind')
    return 'look with pg_waldump, or start the kept data read-only, before it is released';
  if (step.verb === 'readClaim' || step.verb === 'claim' || step.verb === 'fence')
    return 'the next gate says what it means for the fence proof';
  return `look at ${step.component ?? 'the step'}${step.region ? ` in ${step.region}` : ''}, then start the run again: it resumes`;
}

/** From a later claim on, the place itself refuses what was sent under an earlier one. */
function groundUnfences(run: Run, { component, region, place }: Step): void {
  for (const [id, { step }] of run.unfencesSent) {
    if (step.component === component && step.region === region && step.place === place) run.unfencesSent.delete(id);
  }
}

/** What the run itself needs to know of a receipt. */
function learn(run: Run, step: Step, receipt: Receipt): void {
  const told = step.verb === 'verifyWritable' || step.verb === 'rejoin' || step.verb === 'rebuild';
  if (told && step.component !== null) noteSyncDebt(run, step.component);
  run.tokens.foundIn(receipt);
  if (step.verb === 'claim') groundUnfences(run, step);
  if (step.component === null) return;
  if (step.verb === 'promote' || step.verb === 'switchover') {
    const known = run.stores[step.component];
    const timeline = (receipt as Partial<PromoteReceipt>).promote?.timeline;
    if (known !== undefined && timeline !== undefined)
      run.stores[step.component] = { systemId: known.systemId, timeline };
  }
  if (step.verb === 'setWeights') {
    const weights = step.input.weights as Weights;
    run.weights[step.component] = weights;
    if (run.plan !== null && stageOf(run, step) === 'ramp') {
      const percent = Number(step.input.percent ?? 100);
      run.trafficPercent = percent;
      run.tell('weight-changed', `${percent} % of the traffic of ${step.component} has moved`);
      run.record.ramp.push({
        percent,
        router: step.component,
        weights,
        setAt: Date.now(),
        observed: null,
        bake: 'running',
        measurements: [],
        steppedBack: false,
      });
    }
  }
  if (step.verb === 'verifyWeights') {
    const entry = run.record.ramp.findLast((r) => r.router === step.component);
    if (entry !== undefined) entry.observed = (receipt.facts.observed as Weights | undefined) ?? null;
  }
  if (step.verb === 'verifyWritable') run.record.dataReadyAt ??= Date.now();
  if (step.verb === 'rejoin' || step.verb === 'rebuild') {
    const needs = receipt.facts.needs;
    if (needs === 'rebuild')
      run.addDebt({
        code: 'replicaMissing',
        component: step.component,
        region: step.region,
        message: `${step.component} in ${step.region} cannot follow the new primary without a rebuild: ${receipt.summary}`,
        remedy: `rampart reprotect ${run.record.service}`,
      });
    else run.payDebt('replicaMissing', step.component);
  }
}

function stageOf(run: Run, step: Step): StageName | undefined {
  return run.plan!.stages.find((s) => s.steps.includes(step))?.name;
}

/** Writes what a bake came to onto the ramp's entries of its weight. Only the checks can fail one: what else ended it is no verdict. */
export function recordBake(run: Run, percent: number, end: Receipt | Cause): void {
  const cause = 'type' in end ? end : null;
  const bake =
    cause === null
      ? 'passed'
      : cause.type === 'AnalysisFailed' || !patched('bake-without-verdict')
        ? 'failed'
        : 'inconclusive';
  countBake(run, bake);
  for (const entry of run.record.ramp.filter((r) => r.percent === percent && r.bake === 'running')) {
    entry.bake = bake;
    entry.measurements = 'facts' in end ? (end.facts.measurements as string[]) : [];
    if (bake === 'failed') run.tell('analysis-failed', `the checks did not pass at ${percent} %`);
    if (bake === 'inconclusive') run.tell('analysis-inconclusive', `no verdict at ${percent} %: ${cause!.message}`);
  }
}

/** A bake only looks: it can do no harm any more, and what people need to know is what nobody has seen. */
function failureOf({ verb }: Step, error: unknown): Cause {
  const cause = causeOf(error);
  if (verb !== 'analyse' || (cause.type !== 'DeadlineExceeded' && cause.type !== 'WorkerAbsent')) return cause;
  return { ...cause, message: 'not measured for the whole time: the worker was lost, or the checks did not answer' };
}
