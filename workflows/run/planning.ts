/** From a request to a plan that may be followed: observe, compile, and settle what speaks against it. */
import { isCancellation, patched } from '@temporalio/workflow';
import type { Observations, Plan, Request } from '../../plan/model.ts';
import { checklistOf } from './card.ts';
import { causeOf, type Interrupt, Interrupted, RefusedRun } from './errors.ts';
import { hold } from './hold.ts';
import { reasonToHold } from './let-go.ts';
import { type Prepared, preparePlan, refreshEscapePage } from './prepare.ts';
import { revokeCrossing } from './promote.ts';
import { identityOf, lossOfAll, type Run } from './state.ts';

export interface Planned {
  plan: Plan;
  observations: Observations;
  /** There is nothing to move to where people want to be now, only to undo what the run has done. */
  back: boolean;
}

/**
 * Whether people want to be at the side that the run was to leave, and that is the active one still: a plan to go there
 * would find what the run itself has left open, take it for a promotion of an earlier run, and never undo it. Of a
 * promotion that was scheduled in vain it must be proven first that it has not begun.
 */
async function leadsBack(run: Run, { to, nothingToDo, pastPointOfNoReturn, facts }: Plan): Promise<boolean> {
  const stays = nothingToDo !== null || (pastPointOfNoReturn === true && facts.classified.region === to);
  const left = run.record.plans.some(({ from }) => from === to);
  if (!stays || !left || !run.acted || !patched('escalated-back')) return false;
  return !run.pastPointOfNoReturn || (await revokeCrossing(run));
}

/** Escalation turns a run into an unplanned one; `from` comes from the observation, never from the old plan. */
export function escalated(run: Run, interrupt: Interrupt): Request {
  const old = run.resolved!.request;
  return {
    action: 'failover',
    service: old.service,
    to: interrupt.to ?? run.plan?.to ?? old.to,
    mode: 'unplanned',
    reason: interrupt.reason,
    by: interrupt.by,
    // Who escalates has seen that the run is in trouble: the source need not be dead in full. What people accepted
    // for the old plan does not count for the new one: its source, its fence and its loss are others.
    override: [...new Set([...(interrupt.override ?? []), 'healthySource'])],
  };
}

/**
 * Plans until there is a plan to follow.
 * @returns `null` when there is nothing to do
 * @throws {RefusedRun} before anything was done, when the request or the state of the world forbids a start;
 *   {Interrupted} on a person's word; `escalate` is taken here and leads to another plan
 */
export async function makePlan(run: Run, why: string): Promise<Planned | null> {
  for (let reason = why; ; ) {
    try {
      return await tryPlan(run, reason);
    } catch (error) {
      const word = error instanceof Interrupted ? error.interrupt : run.takeInterrupt();
      if (word === null) throw error;
      if (word.kind !== 'escalate') throw new Interrupted(word);
      reason = `escalated by ${word.by}: ${word.reason}`;
      run.tell('run-escalated', reason);
      run.resolved = { ...run.resolved!, request: escalated(run, word) };
    }
  }
}

async function tryPlan(run: Run, why: string): Promise<Planned | null> {
  for (;;) {
    run.phase = 'planning';
    const planned = await observeAndCompile(run);
    if (planned === null) continue;
    const back = await leadsBack(run, planned.plan);
    begin(run, { ...planned, back }, why);
    const p = planned.plan;
    const asked = run.record.request.digest;
    if (run.record.plans.length === 1 && asked !== undefined && asked !== p.digest)
      throw new RefusedRun(
        'PreconditionFailed',
        `the plan compiled now has digest ${p.digest}, not ${asked}: look at it again with \`rampart plan\``,
      );
    if (p.nothingToDo !== null && run.undo.empty) return null;
    if (back) return { ...planned, back };
    const final = p.facts.blockers.filter((b) => b.override === undefined);
    const unknown = p.facts.classified.state === 'unknown';
    if (!unknown && final.length === 0) return { ...planned, back };
    const text =
      final.map((b) => `${b.message.replace(/\.$/, '')}. ${b.remedy}`).join('\n') ||
      `${p.facts.classified.text}; missing: ${p.facts.classified.missing.join(', ')}`;
    // Before anything was done, a blocker refuses the start; an unknown target, or a run under way, waits for people.
    if (!run.acted && !unknown) throw new RefusedRun('PreconditionFailed', text);
    await hold(run, await reasonToHold(run, text), [], null);
  }
}

/** @returns `null` when it failed, people were asked, and they said retry */
async function observeAndCompile(run: Run): Promise<Prepared | null> {
  try {
    return await run.interruptible(() => preparePlan(run.resolved!, identityOf(run)));
  } catch (error) {
    // A word that came while it failed counts more than the failure.
    if (isCancellation(error) || run.interrupt !== null) throw error;
    const cause = causeOf(error);
    if (cause.type === 'InvalidInput') throw new RefusedRun('InvalidInput', cause.message);
    await hold(run, await reasonToHold(run, `the plan could not be made: ${cause.message}`), [], null);
    return null;
  }
}

function begin(run: Run, { plan: p, observations, back }: Planned, why: string): void {
  run.plan = p;
  run.stores = { ...p.facts.stores };
  run.receipts = new Map();
  run.skipped = new Set();
  run.doneStages = new Set();
  run.absentPlaces = new Set();
  run.passedGates = new Set();
  run.overrides = new Set(p.request.override ?? []);
  run.weakFenceAccepted = new Set();
  run.fencedAgain = new Set();
  run.sourceWrites = new Set();
  run.maxLoss = null;
  run.unknownLossAccepted = false;
  if (run.pastPointOfNoReturn) run.earlierLoss = lossOfAll(run.earlierLoss, run.loss);
  run.loss = null;
  run.tokens.beginPlan(p.stages.some((s) => s.steps.some((x) => x.verb === 'claim')));
  for (const nodes of Object.values(observations.stores)) for (const n of nodes) run.tokens.found(n.claim);
  for (const sides of Object.values(observations.workloads)) for (const w of sides) run.tokens.found(w.claim);
  for (const [name, router] of Object.entries(observations.routers)) {
    run.tokens.found(router.claim);
    if (router.weights !== null) run.weights[name] = router.weights;
  }
  Object.assign(run.record, { mode: p.mode, from: p.from, to: p.to });
  run.saw(p.facts);
  // As they are now: whatever somebody asserts later, this run was not made under it.
  const { assertions = [] } = run.resolved!.service;
  const about = assertions.filter(({ actions }) => actions === undefined || actions.includes(p.request.action));
  if (about.length > 0) run.record.asserted = about;
  if (p.pastPointOfNoReturn && !run.pastPointOfNoReturn && !back) {
    // An earlier run promoted: nothing of the data is ever undone by this one either.
    Object.assign(run.record.pointOfNoReturn, { stepId: null, crossedAt: Date.now(), revokedAt: null });
    run.note('the point of no return was crossed before this run');
  }
  const { rtoMs, rpoMs, freezeBudgetMs, fenceProof } = p.policy;
  run.record.targets = { rtoMs, rpoMs, freezeBudgetMs, fenceProof };
  run.record.findings = [...p.facts.blockers, ...p.facts.warnings].filter((f) => f.severity !== 'info');
  run.record.plans.push({
    digest: p.digest,
    topologyDigest: p.topologyDigest,
    mode: p.mode,
    from: p.from,
    to: p.to,
    resumeAt: p.resumeAt,
    compiledAt: Date.now(),
    facts: p.facts,
    estimate: p.estimate,
    why,
  });
  refreshEscapePage(p, run.resolved!.service, run.phase, identityOf(run));
  run.note(
    `plan ${p.digest.slice(0, 12)}: ${p.request.action} ${p.from ?? '?'} → ${p.to} (${p.mode}): ${p.facts.classified.text}`,
  );
  if (run.record.plans.length === 1) tellStart(run, p);
}

function tellStart(run: Run, { request, from, to, mode, facts }: Plan): void {
  const templates = run.resolved!.notify?.checklist ?? [];
  // A drill is nobody's incident: there is nothing to say to customers.
  if (templates.length > 0 && !run.drill) run.record.checklist = checklistOf(run, templates);
  const asked = request.by === undefined ? '' : `, asked for by ${request.by}`;
  run.tell('run-started', `${request.action} ${from ?? '?'} → ${to} (${mode})${asked}: ${facts.classified.text}`);
}
