/** The stages of a plan, in order. Reads like the runbook: each line is one stage, made in its own file. */
import type { ApprovalPolicy } from '../../topology/model.ts';
import type { Gate, Stage, StageName, Step } from '../model.ts';
import { isStaged, laidOut, type Situation } from '../situation.ts';
import { drainSteps, leftBehindSteps, rebuildSteps, rejoinSteps, reprotectSteps, settleSteps } from './after.ts';
import {
  catchUpSteps,
  fenceSteps,
  promoteSteps,
  quiesceSteps,
  routeSteps,
  switchoverSteps,
  verifySteps,
} from './cut.ts';
import { ownSteps } from './own.ts';
import { preflightSteps } from './preflight.ts';
import { claimSteps, convergeSteps, keptWeightSteps, routerSteps, saveSteps, workloadSteps } from './prepare.ts';
import { rampSteps } from './ramp.ts';
import { refenceStages } from './refence.ts';

/** Compiles the stages. Empty when there is nothing to do or nowhere to go: the findings then say why. */
export function stagesOf(situation: Situation): Stage[] {
  if (!laidOut(situation)) return [];
  const { action } = situation.input.request;
  const body =
    action === 'reprotect'
      ? reprotectStages(situation)
      : action === 'refence'
        ? fencingStages(situation)
        : movingStages(situation);
  const steps = body.flatMap((stage) => stage.steps);
  const preflight = stage('preflight', [...preflightSteps(situation, steps), ...ownSteps(situation, 'preflight')]);
  return [preflight, ...body].filter((one) => one.steps.length > 0);
}

function stage(name: StageName, steps: Step[], gate?: Gate): Stage {
  return gate === undefined ? { name, steps } : { name, gate, steps };
}

/** Failover, failback and traffic ramp. */
function movingStages(situation: Situation): Stage[] {
  const own = (name: StageName) => ownSteps(situation, name);
  const prepare = prepareSteps(situation);
  const promotions = promoteSteps(situation);
  const switches = switchoverSteps(situation);
  // Planned, the provider loses nothing, or gives up.
  const asksLoss = switches.length > 0 && situation.mode === 'unplanned';
  const stages: Stage[] = [
    stage('prepare', prepare),
    stage('quiesce', [...quiesceSteps(situation), ...own('quiesce')]),
    stage(
      'promote-atomic',
      [...switches, ...own('promote-atomic')],
      asksLoss ? promoteGate(situation, 'Switch to', 'the loss grew') : undefined,
    ),
    stage('fence', [...fenceSteps(situation), ...own('fence')]),
    stage('catch-up', [...catchUpSteps(situation), ...own('catch-up')]),
    stage(
      'promote',
      [...promotions, ...own('promote')],
      promotions.length > 0
        ? promoteGate(situation, 'Promote', 'a proof is weak, a reading is stale, or the loss grew')
        : undefined,
    ),
    ...verifyAndRoute(situation),
    stage('ramp', [...rampSteps(situation), ...own('ramp')]),
    stage('drain', [...drainSteps(situation), ...own('drain')]),
    stage('reprotect', [...reprotectSteps(situation), ...own('reprotect')]),
  ];
  const earlier = stages.flatMap((one) => one.steps);
  stages.push(stage('settle', withOwnFirst(settleSteps(situation, earlier), own('settle'))));
  return withCutoverGate(situation, stages);
}

/**
 * The end of the freeze. The endpoints move beside the verification, not after it: the route looks for itself that its
 * store is writable before it moves, and whatever the verification finds, nothing leads back from here. A team's own
 * steps at `verify` want to come before the route, and so they do.
 */
function verifyAndRoute(situation: Situation): Stage[] {
  const verify = verifySteps(situation);
  const own = ownSteps(situation, 'verify');
  const route = [...routeSteps(situation), ...ownSteps(situation, 'route')];
  if (own.length > 0 || route.length === 0) return [stage('verify', [...verify, ...own]), stage('route', route)];
  return [stage('route', [...verify, ...route])];
}

/** Brings the sides that do not follow back: first without destroying anything, else behind a gate of its own. */
function reprotectStages(situation: Situation): Stage[] {
  const { parts, input, regions, to } = situation;
  const wanted = input.request.from === undefined ? regions : [...new Set([input.request.from, to])];
  const claims = claimSteps(situation, []);
  const ids = claims.filter((one) => one.verb === 'claim').map((one) => one.id);
  const prepare = [...claims, ...ownSteps(situation, 'prepare').map((one) => ({ ...one, after: ids }))];
  const following = rejoinSteps(situation, wanted);
  const listings = leftBehindSteps(situation, following);
  const rejoins = following.map((one, i) => ({ ...one, after: [listings[i]!.id] }));
  // What a provider switches it also brings back; nothing of that is Rampart's to rebuild.
  const repairable = rejoins.filter(({ component }) =>
    parts.stores.some(({ store }) => store.name === component && isStaged(store)),
  );
  const rebuild: Gate = {
    name: 'rebuild',
    kind: 'always',
    title: `Rebuild what cannot follow ${to} as it is? The old data is kept aside until it is released.`,
    policy: input.service.approvals.rebuild,
  };
  const stages: Stage[] = [
    stage('prepare', prepare),
    stage('reprotect', [...listings, ...rejoins, ...ownSteps(situation, 'reprotect')]),
    stage('reprotect', rebuildSteps(situation, repairable), rebuild),
  ];
  const earlier = stages.flatMap((one) => one.steps);
  stages.push(stage('settle', withOwnFirst(settleSteps(situation, earlier), ownSteps(situation, 'settle'))));
  return withCutoverGate(situation, stages);
}

/** Only fences. The policy, or the person who asked, has decided: what is not certain is refused, not asked about. */
function fencingStages(situation: Situation): Stage[] {
  const stages = refenceStages(situation, claimSteps(situation, []), (earlier) => settleSteps(situation, earlier));
  return withCutoverGate(situation, stages);
}

function prepareSteps(situation: Situation): Step[] {
  const saves = saveSteps(situation);
  const claims = claimSteps(situation, saves);
  // Whatever changes something waits for every claim, and so for every setting that is written into the journals.
  const last = claims.filter((one) => one.verb === 'claim');
  const ids = (last.length > 0 ? last : saves).map((one) => one.id);
  const own = ownSteps(situation, 'prepare').map((one) => ({ ...one, after: ids }));
  const ready = [...saves, ...claims, ...routerSteps(situation, ids), ...workloadSteps(situation, ids), ...own];
  const steps = [...ready, ...keptWeightSteps(situation, ready)];
  return [...steps, ...convergeSteps(situation, steps)];
}

/** The journals close last, also after a team's own steps. */
function withOwnFirst(settle: Step[], own: Step[]): Step[] {
  const ids = own.map((one) => one.id);
  const built = settle.map((one) =>
    one.verb === 'closeJournal' ? { ...one, after: [...(one.after ?? []), ...ids] } : one,
  );
  return [...own, ...built];
}

/** The gate sits on the first stage with an effect: a run that waits there has changed nothing. */
function withCutoverGate(situation: Situation, stages: Stage[]): Stage[] {
  const present = stages.filter((one) => one.steps.length > 0);
  const first = present.findIndex((one) => one.steps.some((step) => step.effect !== 'none'));
  return present.map((one, i) => (i === first ? { ...one, gate: one.gate ?? cutoverGate(situation) } : one));
}

function cutoverGate(situation: Situation): Gate {
  const { input, reading, from, to, mode } = situation;
  const { approvals } = input.service;
  const { action } = input.request;
  if (reading.classified.state === 'unknown' && (action === 'failover' || action === 'failback')) {
    const title = `What is missing: ${reading.classified.missing.join('; ') || reading.classified.text}`;
    return { name: 'needsHuman', kind: 'always', title, policy: atLeastOne(approvals.needsHuman) };
  }
  if (action === 'reprotect') {
    // Claiming and following destroy nothing; what does has the gate `rebuild`.
    const policy = { ...approvals.cutover, required: 0 };
    return { name: 'cutover', kind: 'always', title: `Let every side follow ${to}?`, policy };
  }
  if (action === 'refence') {
    const policy = { ...approvals.cutover, required: 0 };
    return { name: 'cutover', kind: 'always', title: `Fence the returned side in ${from}?`, policy };
  }
  const title =
    action === 'trafficRamp'
      ? `Move traffic from ${from} to ${to}?`
      : `Move ${input.service.name} from ${from} to ${to} (${mode})?`;
  // Readings that are no ordinary start never go on by themselves, however little the policy asks for.
  const alarming = ['sourceLost', 'partlyPromoted', 'noneWritable', 'twoWritable'].includes(reading.classified.state);
  const policy = alarming && action !== 'trafficRamp' ? atLeastOne(approvals.cutover) : approvals.cutover;
  return { name: 'cutover', kind: 'always', title, policy };
}

function atLeastOne(policy: ApprovalPolicy): ApprovalPolicy {
  return policy.required > 0 ? policy : { ...policy, required: 1 };
}

function promoteGate({ input, to }: Situation, what: string, although: string): Gate {
  return {
    name: 'promote',
    kind: 'conditional',
    title: `${what} ${to} although ${although}?`,
    policy: input.service.approvals.promote,
  };
}
