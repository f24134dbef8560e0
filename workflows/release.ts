import { ApplicationFailure } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';
import type { Resolved } from '../activities/contract.ts';
import type { RunRecord } from '../evidence/record.ts';
import type { Facts, Step, Verb } from '../plan/model.ts';
import { causeOf } from './run/errors.ts';
import { putBack } from './run/finish.ts';
import { registerMessages } from './run/messages.ts';
import { preparePlan, resolve } from './run/prepare.ts';
import { showProgress } from './run/progress.ts';
import { Run } from './run/state.ts';
import { runStep } from './run/step.ts';

/** Deleting a large directory takes its time; it goes on from where it was. In milliseconds. */
const RELEASE_MS = 7_200_000;
const QUICK_MS = 30_000;

/**
 * Lets go of the old data that rebuilds kept aside. Refused while protection debt remains, unless waived with a
 * reason. Holds the service's lock. Input: {"service":"checkout","by":"you@example.com"}
 */
export async function release(input: unknown): Promise<RunRecord> {
  const { workflowId, workflowType, firstExecutionRunId } = workflowInfo();
  const run = new Run('release', { action: 'reprotect', service: '' });
  registerMessages(run);
  try {
    run.resolved = await resolve({ input, workflowType, workflowId });
    const { request, service } = run.resolved;
    Object.assign(run.record, { request, service: request.service, owner: service.owner, tier: service.tier.name });
    const identity = { workflowId, runId: firstExecutionRunId, service: request.service, by: request.by ?? null };
    const { plan, observations } = await preparePlan(run.resolved, identity);
    Object.assign(run.record, { from: plan.from, to: plan.to });
    refuseHalted(plan.facts);
    refuseDebt(plan.nothingToDo, plan.facts.classified.text, request);
    run.plan = plan;
    run.stores = plan.facts.stores;
    for (const nodes of Object.values(observations.stores)) for (const node of nodes) run.tokens.found(node.claim);
    run.tokens.beginPlan(true);
    const released = await releaseAll(run, run.resolved);
    run.close('completed', released.join('; '));
    showProgress(run);
    return run.record;
  } catch (error) {
    const cause = causeOf(error);
    // A journal that a failed release leaves open would make the next plan take the run for one that broke off.
    await Promise.all(run.undo.pending().map((entry) => putBack(run, entry).catch(() => undefined)));
    run.close(run.acted ? 'needsHuman' : 'refused', cause.message);
    showProgress(run);
    throw ApplicationFailure.nonRetryable(cause.message, run.acted ? 'NeedsHuman' : cause.type, run.record);
  }
}

/** What was kept aside may be the only copy from before a corruption. */
function refuseHalted({ blockers }: Facts): void {
  const halted = blockers.find(({ code }) => code === 'halted');
  if (halted !== undefined)
    throw ApplicationFailure.nonRetryable(
      `${halted.message}. Old data is not let go of now. ${halted.remedy}`,
      'Refused',
    );
}

function refuseDebt(protectedText: string | null, state: string, request: Resolved['request']): void {
  if (protectedText !== null) return;
  if (request.waive === true && request.reason) return;
  throw ApplicationFailure.nonRetryable(
    `protection debt remains: ${state} The old data may be the only second copy. Pay it with \`rampart reprotect ${request.service}\`, or waive it: {"service":"${request.service}","waive":true,"reason":"…","by":"…"}`,
    'Refused',
  );
}

/** Claims each place first, so that a release that wakes up late cannot delete what a later rebuild kept. */
async function releaseAll(run: Run, resolved: Resolved): Promise<string[]> {
  const places = resolved.service.components
    .map((name) => resolved.components[name]!)
    .filter((component) => component.role === 'store')
    .flatMap((component) =>
      Object.values(component.sides).flatMap((side) =>
        [...new Set(side.nodes.map((node) => node.queue))].map((queue) => ({
          component: component.name,
          region: side.region,
          place: queue,
          nodes: side.nodes.filter((node) => node.queue === queue).map((node) => node.name),
        })),
      ),
    );
  const said: string[] = [];
  for (const place of places) {
    const step = (verb: Verb, summary: string, effect: Step['effect'], timeoutMs = QUICK_MS): Step => ({
      id: `${verb}:${place.component}@${place.region}${places.length > 2 ? `/${place.nodes.join('+')}` : ''}`,
      summary: `${summary} ${place.component} in ${place.region}`,
      verb,
      ...place,
      input: { freezeBudgetMs: resolved.service.tier.freezeBudgetMs },
      effect,
      timeoutMs,
      onFailure: 'hold',
    });
    const claim = step('claim', 'Claim', 'reversible');
    claim.undo = {
      verb: 'closeJournal',
      summary: `Close the journal of ${place.component} in ${place.region}`,
      input: {},
    };
    await runStep(run, 'prepare', claim);
    const release = step('release', 'Let go of the old data of', 'irreversible', RELEASE_MS);
    await runStep(run, 'reprotect', release);
    await runStep(run, 'settle', step('closeJournal', 'Close the journal of', 'reversible'));
    said.push(run.receipts.get(release.id)!.summary);
  }
  return said;
}
