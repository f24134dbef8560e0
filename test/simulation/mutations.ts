/**
 * Deliberate bugs, switched on one at a time, that the judge must catch: who judges the judge. Nothing on disk changes.
 * A bug is a change of the workflow bundle's text, a wrapper around the real activities, or a switch of the model
 * drivers. A change of text that no longer applies is an error, never a silent pass.
 */
import { ApplicationFailure } from '@temporalio/common';
import { onThisClock } from '../../activities/samples.ts';
import type { Json, Receipt } from '../../drivers/ports.ts';
import type { Facts, Plan, StepCall } from '../../plan/model.ts';
import { A, B } from '../plan/world.ts';
import { parseBundle } from '../virtual-time/sdk.ts';
import { keepAllRules, RULES } from './drivers/rules.ts';
import type { Action, People, Scenario } from './scenario.ts';
import type { activitiesOf } from './service.ts';
import { bundleText, type Options, SECRET } from './simulate.ts';

type Activities = ReturnType<ReturnType<typeof activitiesOf>>;
type Wrap = NonNullable<Options['wrap']>;

export interface Mutation {
  name: string;
  /** The bug, in a sentence. */
  what: string;
  /** Replacements in the bundle's text: each must occur exactly as often as it says (once, unless `times`). */
  patch?: Array<{ find: string; put: string; times?: number }>;
  wrap?: Wrap;
  /** What of a drawn scenario is put so that the bug has its occasion; the rest stays as drawn. */
  focus?: Partial<Scenario>;
  /** Switches something of the model drivers, and back. */
  enter?: () => void;
  leave?: () => void;
}

/** Wraps single activities of every queue. */
function around(
  changes: Record<string, (real: (input: never) => Promise<unknown>) => (input: never) => Promise<unknown>>,
): Wrap {
  return (activities) => {
    const wrapped = new Map<Activities, Activities>();
    return (queue) => {
      const real = activities(queue);
      let changed = wrapped.get(real);
      if (changed === undefined) {
        changed = { ...real };
        for (const [name, change] of Object.entries(changes)) {
          const one = real[name];
          if (one === undefined) throw new Error(`there is no activity ${name} to change`);
          changed[name] = change(one as (input: never) => Promise<unknown>) as Activities[string];
        }
        wrapped.set(real, changed);
      }
      return changed;
    };
  };
}

/** Changes what the compiler gives. */
function plans(change: (plan: Plan) => Plan): Wrap {
  return around({ compilePlan: (real) => async (input) => change(structuredClone((await real(input)) as Plan)) });
}

/** Changes what a step is called with. */
function calls(verb: string, change: (call: StepCall) => StepCall): Wrap {
  return around({ [verb]: (real) => (input) => real(change(structuredClone(input as StepCall)) as never) });
}

function both(one: Wrap, other: Wrap): Wrap {
  return (activities, world) => one(other(activities, world), world);
}

/** Switches a rule of the model drivers off. */
function without(rule: keyof typeof RULES): Pick<Mutation, 'enter' | 'leave'> {
  return {
    enter: () => {
      RULES[rule] = false;
    },
    leave: keepAllRules,
  };
}

/** Every call behaves as if people had accepted this by name. */
function unasked(verb: string, code: string): Wrap {
  return calls(verb, (call) => ({ ...call, overrides: [...call.overrides, code] }));
}

/** A finding that nobody makes. */
function unseen(verb: string, code: string): Wrap {
  return around({
    [verb]: (real) => async (input) => {
      const made = structuredClone(await real(input)) as Facts & { facts?: Facts };
      const facts = made.facts ?? made;
      facts.blockers = facts.blockers.filter((one) => one.code !== code);
      facts.warnings = facts.warnings.filter((one) => one.code !== code);
      return made as never;
    },
  });
}

async function noSuchUnit(): Promise<never> {
  throw ApplicationFailure.nonRetryable('there is no such service unit', 'PreconditionFailed');
}

const PLANNED: Action[] = [{ type: 'failover', request: { to: B } }];
const UNPLANNED: Action[] = [{ type: 'failover', request: { to: B, mode: 'unplanned' } }];
const CALM: People = {
  ...{
    delayMs: 1_000,
    rejects: false,
    atPromotion: 'approve',
    twice: false,
    wrongGate: false,
    lateMs: 0,
    atHold: 'retry',
  },
};

/** Nothing of a scenario that is given whole is drawn. */
const PLAIN = {
  ...{ stores: ['orders-db'], lagMs: 20, approvals: 1, rpoMs: 60_000, gateMs: 120_000, skew: {} },
  ...{ onTimeout: 'hold', onFailure: 'rollback', rampFails: 'rollback', unplannedRamp: 'jump' },
  ...{ writes: 'global', eager: false, batching: 'together' },
} satisfies Partial<Scenario>;

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'promote-before-fence',
    what: 'the plan promotes before it fences',
    focus: { actions: PLANNED, people: CALM },
    patch: [{ find: 'function weakness(run, store) {', put: 'function weakness(run, store) { return null;' }],
    wrap: both(
      unasked('promote', 'weakFence'),
      plans((plan) => {
        const at = (name: string): number => plan.stages.findIndex((stage) => stage.name === name);
        if (at('fence') < 0 || at('promote') < 0) return plan;
        const [promote] = plan.stages.splice(at('promote'), 1);
        delete promote!.gate;
        for (const step of promote!.steps) delete step.needs;
        plan.stages.splice(at('fence'), 0, promote!);
        return plan;
      }),
    ),
    ...without('askProof'),
  },
  {
    name: 'undo-registered-too-late',
    what: 'an undo is registered when its step has answered, not before it is tried',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [
        { what: 'loseAnswer', region: B, ms: 3500, when: { step: 'scale:shop@eu-central', nth: 1, op: 99 } },
        { what: 'abort', region: B, ms: 3500, when: { step: 'scale:shop@eu-central', nth: 1, op: 99 } },
      ],
    },
    patch: [
      {
        find: 'const registered = registerUndo(run, stage, step);',
        put: 'const registered = false;',
      },
      {
        find: "const dated = step.verb === 'prove' ?",
        put: "registerUndo(run, stage, step); const dated = step.verb === 'prove' ?",
      },
    ],
  },
  {
    name: 'weights-all-zero',
    what: 'every weight that is set is zero',
    focus: { actions: PLANNED, people: CALM },
    wrap: calls('setWeights', (call) => {
      const weights = call.input.weights as Record<string, number>;
      call.input.weights = Object.fromEntries(Object.keys(weights).map((region) => [region, 0])) as Json;
      return call;
    }),
  },
  {
    name: 'stale-lag-accepted',
    what: 'a lag whose source side could not be read counts as a reading',
    focus: { actions: PLANNED, people: CALM, faults: [{ what: 'stale', region: A, ms: 60000, when: { ms: 2000 } }] },
    ...without('freshness'),
  },
  {
    name: 'approval-not-re-asked',
    what: 'an approval counts although the loss grew past what it accepted',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      rpoMs: 2_000,
      faults: [{ what: 'freezeStore', region: A, ms: 60000, when: { ms: 2000 } }],
    },
    patch: [{ find: 'function lossAccepted(run, loss) {', put: 'function lossAccepted(run, loss) { return true;' }],
  },
  {
    name: 'compensation-in-the-cancelled-scope',
    what: 'undos are scheduled in the scope that the abort has cancelled',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'abort', region: A, ms: 1_000, when: { step: 'converge:orders-db', nth: 1, op: 1 } }],
    },
    patch: [
      {
        find: '(async () => {\n            const begun = [];',
        put: '(async () => {\n            _temporalio_workflow__WEBPACK_IMPORTED_MODULE_0__.CancellationScope.current().cancel();\n            const begun = [];',
      },
    ],
  },
  {
    name: 'retry-without-observing',
    what: 'an attempt acts again without looking whether it is done already',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'twice', region: B, ms: 400, when: { step: 'weight:edge@50', nth: 1, op: 1 } }],
    },
    ...without('lookFirst'),
  },
  {
    name: 'tokens-not-checked',
    what: 'systems let stale and foreign attempts act',
    focus: {
      actions: [...PLANNED, ...PLANNED],
      people: CALM,
      faults: [
        { what: 'freezeWorker', region: B, ms: 12_000, when: { step: 'prepare:edge', nth: 1, op: 1 } },
        { what: 'abort', region: B, ms: 3500, when: { step: 'prepare:edge', nth: 1, op: 0 } },
      ],
    },
    ...without('checkTokens'),
  },
  {
    name: 'tokenless-wait-for-the-app',
    what: 'the wait for an app asks it to be active without a token',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      faults: [{ what: 'killStore', region: A, ms: 150000, when: { ms: 2000 } }],
    },
    patch: [
      {
        find: "['verifyWritable', 'awaitCatchUp', 'scaleWorkload'].includes",
        put: "['verifyWritable', 'awaitCatchUp'].includes",
      },
    ],
  },
  {
    name: 'weak-fence-not-asked',
    what: 'a promotion without a proof asks nobody',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      faults: [{ what: 'loseRegion', region: A, ms: 150000, when: { ms: 2000 } }],
    },
    patch: [{ find: 'function weakness(run, store) {', put: 'function weakness(run, store) { return null;' }],
    wrap: unasked('promote', 'weakFence'),
  },
  {
    name: 'returned-source-not-looked-at',
    what: 'an approval of a weak fence counts for a source that answers again and accepts writes',
    focus: {
      actions: UNPLANNED,
      people: { ...CALM, lateMs: 70_000 },
      gateMs: 120_000,
      onTimeout: 'hold',
      faults: [{ what: 'loseRegion', region: A, ms: 100_000, when: { ms: 2000 } }],
    },
    patch: [{ find: 'async function look(run, stage, store) {', put: "async function look() { return 'stands';" }],
  },
  {
    name: 'fence-not-durable',
    what: 'a fence stops the server and leaves nothing that keeps it from starting writable',
    focus: { actions: PLANNED, people: CALM, eager: true },
    ...without('writeSignal'),
  },
  {
    name: 'freeze-budget-ignored',
    what: 'the end of the freeze budget leads to nothing',
    focus: {
      actions: PLANNED,
      people: { ...CALM, lateMs: 70_000 },
      faults: [{ what: 'stall', region: A, ms: 90000, when: { step: 'fence:orders-db@eu-west', nth: 1, op: 0 } }],
    },
    patch: [
      { find: 'this.record.exceeded = true;\n            onExpiry();', put: 'this.record.exceeded = true;' },
      { find: 'function boundedByFreeze(run, stage) {', put: 'function boundedByFreeze(run, stage) { return null;' },
    ],
  },
  {
    name: 'unanswered-gate-keeps-the-fence',
    what: 'an unplanned run waits for people with a source fenced that could write',
    focus: {
      actions: UNPLANNED,
      people: { ...CALM, lateMs: 70_000 },
      onTimeout: 'hold',
      gateMs: 120_000,
      approvals: 1,
      faults: [{ what: 'loseAnswer', region: A, ms: 1700, when: { step: `prove:orders-db@${A}`, nth: 1, op: 99 } }],
    },
    patch: [
      {
        find: 'const holdsLivingSource = (run) => heldBy(run).length > 0;',
        put: 'const holdsLivingSource = () => false;',
      },
    ],
  },
  {
    name: 'no-plan-keeps-the-fence',
    what: 'an escalated run whose new plan cannot be made keeps a source fenced that could write',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [
        { what: 'cutRegion', region: B, ms: 90_001, when: { step: 'catchUp:orders-db', nth: 1, op: 99 } },
        { what: 'escalate', region: B, ms: 3500, when: { ms: 12_389 } },
      ],
    },
    patch: [
      {
        find: 'async function reasonToHold(run, reason) {',
        put: 'async function reasonToHold(run, reason) { return reason;',
      },
    ],
  },
  {
    name: 'old-lag-after-a-hold',
    what: 'the lag that was seen before a hold counts for the fence after it',
    focus: {
      actions: PLANNED,
      people: CALM,
      onFailure: 'hold',
      faults: [
        { what: 'loseRegion', region: B, ms: 12_000, when: { step: 'converge:orders-db', nth: 1, op: 99 } },
        { what: 'stale', region: A, ms: 120_000, when: { ms: 12_000 } },
      ],
    },
    patch: [{ find: 'forget)(run, near);', put: 'forget)(run, []);' }],
  },
  {
    name: 'a-store-that-writes-holds-the-other',
    what: 'a fenced store is not let go while another one of the service still accepts writes',
    focus: {
      stores: ['orders-db', 'sessions-db'],
      actions: UNPLANNED,
      people: { ...CALM, lateMs: 70_000 },
      onTimeout: 'hold',
      gateMs: 120_000,
      approvals: 1,
      faults: [{ what: 'freezeWorker', region: A, ms: 90_001, when: { step: `fence:orders-db@${A}`, nth: 1, op: 0 } }],
    },
    patch: [{ find: 'looks.some(({ stopped }) => stopped);', put: 'looks.every(({ stopped }) => stopped);' }],
  },
  {
    name: 'repair-not-named',
    what: 'a run that is given up after a repair says that everything is as before',
    focus: {
      actions: [...UNPLANNED, { type: 'reprotect', request: {} }],
      people: { ...CALM, atHold: 'abort' },
      faults: [{ what: 'cutRegion', region: B, ms: 45_000, when: { step: 'observe:orders-db', nth: 2, op: 2 } }],
    },
    patch: [{ find: 'function repairs(run) {', put: 'function repairs(run) { return [];' }],
  },
  {
    name: 'end-not-looked-at-again',
    what: 'what was verified before a wait for people counts at the end of the run',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      faults: [{ what: 'loseRegion', region: B, ms: 45_000, when: { step: `close:orders-db@${B}`, nth: 1, op: 1 } }],
    },
    patch: [
      {
        find: "const isFinalReading = ({ verb }) => verb === 'verifyWritable'",
        put: 'const isFinalReading = ({ verb }) => false',
      },
    ],
  },
  {
    name: 'writable-check-skipped',
    what: 'people may skip the last look whether the store is writable',
    focus: {
      actions: PLANNED,
      people: { ...CALM, atHold: 'skip' },
      faults: [{ what: 'freezeStore', region: B, ms: 90_001, when: { step: `drain:shop@${A}`, nth: 1, op: 1 } }],
    },
    patch: [{ find: "['readClaim', 'claim', 'verifyWritable']", put: "['readClaim', 'claim']" }],
  },
  {
    name: 'loss-of-one-store',
    what: 'of several stores the loss of one is stated for all',
    focus: {
      stores: ['orders-db', 'sessions-db'],
      actions: [{ type: 'failover', request: { to: B, mode: 'unplanned', override: ['healthySource'] } }],
      people: CALM,
      rpoMs: 60_000,
      faults: [{ what: 'freezeStore', region: B, ms: 1_700, when: { step: `claim:sessions-db@${A}`, nth: 1, op: 1 } }],
    },
    patch: [{ find: 'combineLoss)([...stated, ...provided, ...left])', put: 'combineLoss)(stated.slice(-1))' }],
  },
  {
    name: 'proof-aged-by-a-wrong-clock',
    what: 'the age of a fence proof is taken from the clock of the worker that promotes, wherever that clock is',
    focus: {
      actions: UNPLANNED,
      people: { ...CALM, atHold: 'escalate' },
      skew: { 'rampart.eu-west': 700, 'rampart.eu-central': 12_000 },
    },
    wrap: around({
      promote: (real) => (input) => {
        const call = structuredClone(input as StepCall);
        for (const proof of Object.values(call.given) as Array<{ fence?: { provenAt: number } } | null>)
          if (proof?.fence !== undefined) proof.fence.provenAt -= onThisClock(0);
        return real(call as never);
      },
    }),
  },
  {
    name: 'weights-on-the-way-overlooked',
    what: 'a region that a change on its way takes traffic from counts as having it still, and may get it back unseen',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      unplannedRamp: 'jump',
      faults: [
        { what: 'loseRegion', region: A, ms: 150_000, when: { ms: 2_012 } },
        { what: 'cancel', region: B, ms: 6_001, when: { step: 'weight:edge@100', nth: 1, op: 1 } },
      ],
    },
    ...without('tellsOnTheWay'),
  },
  {
    name: 'catch-up-does-not-wait',
    what: 'the target counts as caught up before it has applied the final position',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'stall', region: A, ms: 90000, when: { step: 'fence:orders-db@eu-west', nth: 1, op: 0 } }],
    },
    ...without('catchUpWaits'),
  },
  {
    name: 'loss-not-stated',
    what: 'an unplanned promotion says that nothing is lost',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      lagMs: 300,
      faults: [{ what: 'killStore', region: A, ms: 150000, when: { ms: 3200 } }],
    },
    ...without('stateLoss'),
  },
  {
    name: 'sampler-clock-trusted',
    what: 'a window of loss begins at what a sampler’s clock shows, which may be ahead',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      lagMs: 300,
      skew: { [`rampart.${B}`]: 12_000 },
      faults: [{ what: 'killStore', region: A, ms: 150000, when: { ms: 3200 } }],
    },
    ...without('serverTime'),
  },
  {
    name: 'fence-dated-by-its-worker',
    what: 'a window of loss ends when the clock beside the fenced server says, which may be behind',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      lagMs: 300,
      skew: { [`rampart.${A}`]: -12_000 },
      faults: [{ what: 'killStore', region: A, ms: 150000, when: { ms: 3200 } }],
    },
    patch: [{ find: '.datedBy)(receipt, Date.now());', put: '.datedBy)({ summary: receipt.summary }, 0) && receipt;' }],
  },
  {
    name: 'loss-forgotten-by-escalation',
    what: 'the report of an escalated run says nothing of what its first plan lost',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      lagMs: 300,
      faults: [
        { what: 'loseRegion', region: A, ms: 150000, when: { ms: 2000 } },
        { what: 'escalate', region: B, ms: 3500, when: { step: 'bake@100', nth: 1, op: 1 } },
      ],
    },
    patch: [
      { find: 'this.record.loss = lossOfAll(this.earlierLoss, this.loss);', put: 'this.record.loss = this.loss;' },
    ],
  },
  {
    name: 'unknown-length-accepted',
    what: 'a loss whose length nobody knows any more counts as accepted, because one of known length was',
    focus: {
      actions: UNPLANNED,
      people: CALM,
      lagMs: 300,
      faults: [
        { what: 'freezeStore', region: A, ms: 60_000, when: { ms: 2_000 } },
        { what: 'forgetSamples', region: A, ms: 0, when: { step: 'catchUp:orders-db', nth: 1, op: 0 } },
      ],
    },
    patch: [
      {
        find: 'return most === null || (loss.seconds !== null && loss.seconds <= most);',
        put: 'return loss.seconds === null || most === null || loss.seconds <= most;',
      },
    ],
  },
  {
    name: 'weights-not-read-back',
    what: 'a change of weights counts when the router said yes',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'deaf', region: B, ms: 3500, when: { step: 'weight:edge@50', nth: 1, op: 1 } }],
    },
    ...without('readBack'),
  },
  {
    name: 'health-not-looked-at',
    what: 'weights are given without a look at the apps and stores they go to',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'breakApp', region: B, ms: 12000, when: { step: 'weight:edge@50', nth: 1, op: 0 } }],
    },
    wrap: calls('setWeights', (call) => ({ ...call, related: [] })),
  },
  {
    name: 'fence-of-the-serving-side',
    what: 'at the end of an unplanned run the router cuts off the side that the service was moved to',
    focus: { actions: UNPLANNED, people: CALM, faults: [] },
    wrap: calls('fenceRouter', (call) => ({ ...call, region: call.to })),
    ...without('fenceLeavesOne'),
  },
  {
    name: 'undone-after-the-crossing',
    what: 'the run forgets that a promotion was scheduled',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'abort', region: B, ms: 3500, when: { step: 'bake@50', nth: 1, op: 1 } }],
    },
    patch: [{ find: 'get pastPointOfNoReturn() {', put: 'get pastPointOfNoReturn() { return false;' }],
  },
  {
    name: 'failed-undo-forgotten',
    what: 'an undo that failed before is not counted when the run says what became of it',
    focus: {
      actions: PLANNED,
      people: { ...CALM, atHold: 'abort' },
      onFailure: 'hold',
    },
    patch: [{ find: "u.state === 'failed' && ", put: "u.state === 'never' && " }],
    // The occasion, not the bug: neither works, and the run says what became of both.
    wrap: around({ fence: () => noSuchUnit, unfence: () => noSuchUnit }),
  },
  {
    name: 'decision-for-any-gate',
    what: 'a decision counts whatever gate it names',
    focus: { actions: PLANNED, people: { ...CALM, wrongGate: true } },
    patch: [
      { find: 'else if (input.gate !== open.id && ', put: 'else if (false && ' },
      {
        find: 'gate: open.id,\n        decision: input.decision',
        put: 'gate: input.gate ?? open.id,\n        decision: input.decision',
      },
    ],
  },
  {
    name: 'decision-counted-twice',
    what: 'one person counts as two',
    focus: { actions: PLANNED, people: { ...CALM, twice: true }, approvals: 2 },
    patch: [{ find: 'if (open.approvals.some((d) => d.by === input.by))', put: 'if (false)' }],
  },
  {
    name: 'asks-for-what-is-gone',
    what: 'a gate goes on asking for an override that its facts no longer need',
    focus: {
      actions: PLANNED,
      people: { ...CALM, lateMs: 70_000 },
      gateMs: 120_000,
      approvals: 1,
      faults: [{ what: 'breakApp', region: B, ms: 12_000, when: { ms: 0 } }],
    },
    patch: [{ find: 'dropOverrides(run, open);', put: ';' }],
  },
  {
    name: 'holds-without-a-word',
    what: 'a run that holds does not say why',
    focus: {
      actions: PLANNED,
      people: CALM,
      onFailure: 'hold',
      faults: [{ what: 'breakApp', region: B, ms: 400000, when: { ms: 4000 } }],
    },
    patch: [{ find: 'run.holding = {\n        reason,', put: "run.holding = {\n        reason: ''," }],
  },
  {
    name: 'found-fenced-not-quiesced',
    what: 'a run that finds the fence of a lost one does not know that its apps were stopped as well',
    focus: {
      actions: PLANNED,
      people: CALM,
      writes: 'local',
      faults: [
        { what: 'terminate', region: A, ms: 400, when: { step: 'catchUp:orders-db', nth: 1, op: 0 } },
        { what: 'freezeWorker', region: B, ms: 12_000, when: { step: 'catchUp:orders-db', nth: 1, op: 0 } },
        { what: 'abort', region: A, ms: 400, when: { step: 'catchUp:orders-db', nth: 2, op: 0 } },
        { what: 'freezeWorker', region: B, ms: 12_000, when: { step: 'catchUp:orders-db', nth: 2, op: 0 } },
      ],
    },
    wrap: plans((plan) =>
      plan.resumeAt === null ? plan : { ...plan, stages: plan.stages.filter(({ name }) => name !== 'quiesce') },
    ),
  },
  {
    name: 'found-fence-kept-at-a-gate',
    what: 'a run that waits for people keeps the fence of a lost one as if nothing could write without it',
    focus: {
      ...PLAIN,
      actions: [{ type: 'failover', request: { to: B, mode: 'unplanned', override: ['healthySource'] } }],
      people: { ...CALM, lateMs: 70_000 },
      faults: [
        { what: 'terminate', region: A, ms: 400, when: { step: `prove:orders-db@${A}`, nth: 1, op: 0 } },
        { what: 'fail', region: A, ms: 400, when: { step: `prove:orders-db@${A}`, nth: 1, op: 0 } },
        { what: 'fail', region: A, ms: 400, when: { step: `fence:orders-db@${A}`, nth: 2, op: 0 } },
        { what: 'fail', region: A, ms: 400, when: { step: `prove:orders-db@${A}`, nth: 2, op: 0 } },
      ],
    },
    patch: [{ find: 'run.foundFenced.has(step.region)', put: 'false' }],
  },
  {
    name: 'left-by-a-lost-run',
    what: 'a run that is aborted while it claims closes the journal of a lost run and undoes nothing of it',
    focus: {
      ...PLAIN,
      actions: PLANNED,
      people: CALM,
      faults: [
        { what: 'terminate', region: B, ms: 12_000, when: { step: `fence:orders-db@${A}`, nth: 1, op: 1 } },
        { what: 'cancel', region: A, ms: 1_700, when: { step: `claim:orders-db@${A}`, nth: 2, op: 1 } },
      ],
    },
    patch: [{ find: 'step.undo?.adopted !== true', put: 'true' }],
  },
  {
    name: 'frozen-counts-as-stopped',
    what: 'the fence of a frozen server does not tell that it stopped one which could write',
    focus: {
      ...PLAIN,
      actions: UNPLANNED,
      people: { ...CALM, lateMs: 15_000, atPromotion: 'expire' },
      faults: [
        { what: 'freezeStore', region: A, ms: 20_000, when: { ms: 332 } },
        { what: 'loseAnswer', region: B, ms: 3_500, when: { step: `prove:orders-db@${A}`, nth: 1, op: 99 } },
      ],
    },
    ...without('frozenCanWrite'),
  },
  {
    name: 'traffic-of-a-lost-run-kept',
    what: 'the traffic that a lost run has moved stays when the next one goes back',
    focus: {
      ...PLAIN,
      actions: [{ type: 'trafficRamp', request: { to: B, percent: 100 } }],
      people: CALM,
      faults: [
        { what: 'terminate', region: B, ms: 12_000, when: { step: 'observed:edge@50', nth: 1, op: 1 } },
        { what: 'cancel', region: A, ms: 3_500, when: { step: 'settle:edge', nth: 1, op: 1 } },
      ],
    },
    wrap: around({
      saveRouter: (real) => async (input) => ({ ...((await real(input)) as Receipt), weights: undefined }),
    }),
  },
  {
    name: 'old-timeline-not-seen',
    what: 'a target that has nothing of the timeline of the source passes for one that lags, and then for one that was promoted',
    focus: {
      seed: 26576,
      ...PLAIN,
      actions: [...PLANNED, { type: 'failback', request: {} }],
      people: { ...CALM, delayMs: 9_000, wrongGate: true, atHold: 'escalate' },
      onFailure: 'hold',
      faults: [{ what: 'stall', region: B, ms: 90_001, when: { step: `verify-check:ready@${B}`, nth: 1, op: 99 } }],
    },
    wrap: both(unseen('compilePlan', 'oldTimeline'), unseen('assessFacts', 'oldTimeline')),
    ...without('timelinesGrow'),
  },
  {
    name: 'freeze-begins-anew-with-each-asking',
    what: 'a gate that is asked again and again waits for its whole freeze budget each time',
    focus: {
      seed: 30219,
      ...PLAIN,
      actions: [{ type: 'failover', request: { to: B, mode: 'unplanned', override: ['healthySource'] } }],
      people: { ...CALM, delayMs: 4_000 },
      faults: [
        { what: 'loseRegion', region: B, ms: 3_500, when: { step: 'prepare:edge', nth: 1, op: 1 } },
        { what: 'escalateBack', region: A, ms: 90_001, when: { ms: 7_062 } },
      ],
    },
    patch: [{ find: 'held && began !== null && ', put: 'false && ' }],
  },
  {
    name: 'originals-of-a-move-that-stands',
    what: 'a failback that goes back gives the apps what they were before the failover',
    focus: {
      seed: 71988,
      ...PLAIN,
      actions: [...PLANNED, { type: 'failback', request: {} }],
      people: CALM,
      faults: [
        { what: 'abort', region: A, ms: 3_500, when: { step: 'observe:orders-db', nth: 1, op: 2 } },
        { what: 'cutRegion', region: B, ms: 12_000, when: { step: 'prepare:edge', nth: 2, op: 0 } },
      ],
    },
    ...without('tellsMove'),
  },
  {
    name: 'originals-of-the-move-before',
    what: 'a journal keeps the originals and the move of a run that led the other way',
    focus: {
      ...PLAIN,
      actions: [...PLANNED, { type: 'failback', request: {} }],
      people: CALM,
      faults: [
        { what: 'abort', region: A, ms: 3_500, when: { step: 'observe:orders-db', nth: 1, op: 2 } },
        { what: 'terminate', region: A, ms: 400, when: { step: 'converge:orders-db', nth: 2, op: 1 } },
        { what: 'abort', region: A, ms: 400, when: { step: 'converge:orders-db', nth: 3, op: 1 } },
      ],
    },
    ...without('ownMove'),
  },
  {
    name: 'late-look-counts',
    what: 'the last look at the source counts however late its answer is',
    // To the millisecond as it was found: the server must go away between a question and its answer.
    focus: {
      seed: 47243,
      ...PLAIN,
      actions: UNPLANNED,
      people: { ...CALM, delayMs: 300 },
      faults: [
        { what: 'loseRegion', region: A, ms: 20_000, when: { ms: 4_243 } },
        { what: 'routerDown', region: B, ms: 1_700, when: { ms: 2_150 } },
        { what: 'serverDown', region: A, ms: 45_000, when: { ms: 9_471 } },
      ],
    },
    patch: [{ find: 'LATE_MS = 15_000', put: 'LATE_MS = 15_000_000' }],
  },
  {
    name: 'seen-alive-and-forgotten',
    what: 'that a source was seen alive at a gate is forgotten as soon as there is a newer reading',
    focus: {
      seed: 47471,
      ...PLAIN,
      actions: UNPLANNED,
      approvals: 2,
      people: { ...CALM, delayMs: 300, lateMs: 15_000 },
      faults: [
        { what: 'loseRegion', region: A, ms: 3_000, when: { ms: 1_559 } },
        { what: 'escalateBack', region: B, ms: 400, when: { step: `fence:orders-db@${A}`, nth: 1, op: 1 } },
        { what: 'loseRegion', region: B, ms: 1_700, when: { step: 'scale:shop@eu-central', nth: 1, op: 1 } },
      ],
    },
    patch: [{ find: 'saw(facts) {', put: 'saw(facts) {\n this.lived.clear();' }],
  },
  {
    name: 'undo-of-an-earlier-plan-withdrawn',
    what: 'a step that no worker took drops the undo that an earlier plan registered under its name',
    focus: {
      ...PLAIN,
      actions: PLANNED,
      people: { ...CALM, atPromotion: 'reject' },
      faults: [
        { what: 'cutRegion', region: A, ms: 90_001, when: { step: 'catchUp:orders-db', nth: 1, op: 0 } },
        { what: 'escalate', region: A, ms: 400, when: { ms: 48_000 } },
      ],
    },
    patch: [{ find: 'if (registered || !run.undo.has(step.id) || ', put: 'if (true || ' }],
  },
  {
    name: 'own-journal-taken-for-a-promotion',
    what: 'a run that is escalated to the side which is active still settles there and undoes nothing',
    focus: {
      ...PLAIN,
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'escalateBack', region: A, ms: 400, when: { step: 'converge:orders-db', nth: 1, op: 1 } }],
    },
    patch: [{ find: 'if (!stays || !left || !run.acted || ', put: 'if (true || ' }],
  },
  {
    name: 'own-journal-without-undos',
    what: 'a run that is escalated to the active side while its last undo ends settles there',
    focus: {
      ...PLAIN,
      actions: PLANNED,
      people: CALM,
      faults: [
        { what: 'abort', region: A, ms: 400, when: { step: 'converge:orders-db', nth: 1, op: 1 } },
        { what: 'escalateBack', region: A, ms: 400, when: { step: `undo:claim:orders-db@${A}`, nth: 1, op: 0 } },
      ],
    },
    patch: [
      { find: 'return !run.pastPointOfNoReturn || ', put: 'return !run.pastPointOfNoReturn && !run.undo.empty || ' },
    ],
  },
  {
    name: 'abort-after-escalate-forgotten',
    what: 'an abort that is said before an escalation is acted on is answered and forgotten',
    focus: {
      seed: 310127,
      ...PLAIN,
      actions: PLANNED,
      people: { ...CALM, delayMs: 4_000 },
      faults: [
        { what: 'escalate', region: B, ms: 400, when: { ms: 8_419 } },
        { what: 'abort', region: A, ms: 400, when: { step: 'scale:shop@eu-central', nth: 1, op: 99 } },
      ],
    },
    patch: [{ find: "if (interrupt.kind !== 'abort' || ", put: 'if (true || ' }],
  },
  {
    name: 'let-go-all-or-nothing',
    what: 'a source that could write is let go only when every store of the service answers',
    focus: {
      ...PLAIN,
      seed: 55598,
      actions: UNPLANNED,
      people: { ...CALM, delayMs: 1_000, atPromotion: 'expire' },
      stores: ['orders-db', 'sessions-db'],
      faults: [
        { what: 'freezeStore', region: A, ms: 60_000, when: { ms: 4_961 } },
        { what: 'fail', region: B, ms: 6_001, when: { step: `claim:sessions-db@${A}`, nth: 1, op: 1 } },
      ],
    },
    patch: [{ find: 'return looks.some(({ stopped, answers }) => stopped && answers) &&', put: 'return false &&' }],
  },
  {
    name: 'put-back-and-not-said',
    what: 'a run that goes back does not say that it has put back what an earlier one had left',
    focus: {
      ...PLAIN,
      seed: 93152,
      actions: [...UNPLANNED, { type: 'reprotect', request: {} }],
      people: { ...CALM, delayMs: 300, lateMs: 15_000 },
      rpoMs: 2_000,
      onTimeout: 'reject',
      faults: [
        { what: 'loseRegion', region: A, ms: 60_000, when: { ms: 4_597 } },
        { what: 'cancel', region: A, ms: 1_700, when: { step: 'observe:orders-db', nth: 1, op: 1 } },
      ],
    },
    patch: [{ find: 'function leftBefore(run) {', put: "function leftBefore(run) { return '';" }],
  },
  {
    name: 'undos-oldest-first',
    what: 'undos run in the order in which their steps were done',
    focus: {
      actions: PLANNED,
      people: CALM,
      faults: [{ what: 'abort', region: B, ms: 3500, when: { step: 'converge:orders-db', nth: 1, op: 1 } }],
    },
    patch: [{ find: 'return [...this.entries].reverse();', put: 'return [...this.entries];' }],
  },
  {
    name: 'secret-in-a-payload',
    what: 'what a worker answers holds a password that no record of the run shows',
    focus: { actions: UNPLANNED, people: CALM },
    wrap: around({
      readSamples: (real) => async (input) =>
        ((await real(input)) as object[]).map((sample) => ({ ...sample, password: SECRET })),
    }),
  },
  {
    name: 'secret-in-a-receipt',
    what: 'what a worker answers to a ping holds a password',
    focus: { actions: PLANNED, people: CALM },
    wrap: around({
      ping: (real) => async (input) => ({ ...((await real(input)) as Receipt), summary: `build, ${SECRET}` }),
    }),
  },
];

/** @returns the changed bundle; `undefined` when the mutation leaves the bundle alone. @throws Error when it does not apply */
export async function bundleFor(mutation: Mutation): Promise<Options['bundle']> {
  if (mutation.patch === undefined) return undefined;
  let code = await bundleText();
  for (const { find, put, times = 1 } of mutation.patch) {
    const parts = code.split(find);
    if (parts.length - 1 !== times)
      throw new Error(
        `mutation ${mutation.name} no longer applies: ${JSON.stringify(find)} occurs ${parts.length - 1} times in the workflow bundle, not ${times}`,
      );
    code = parts.join(put);
  }
  return parseBundle(code, `mutation-${mutation.name}.js`);
}
