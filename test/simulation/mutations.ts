/**
 * Deliberate bugs, switched on one at a time, that the judge must catch: who judges the judge. Nothing on disk changes.
 * A bug is a change of the workflow bundle's text, a wrapper around the real activities, or a switch of the model
 * drivers. A change of text that no longer applies is an error, never a silent pass.
 */
import type { Json, Receipt } from '../../drivers/ports.ts';
import type { Plan, StepCall } from '../../plan/model.ts';
import { parseBundle } from '../virtual-time/sdk.ts';
import { keepAllRules, RULES } from './drivers/rules.ts';
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

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'promote-before-fence',
    what: 'the plan promotes before it fences',
    wrap: plans((plan) => {
      const at = (name: string): number => plan.stages.findIndex((stage) => stage.name === name);
      if (at('fence') < 0 || at('promote') < 0) return plan;
      const [promote] = plan.stages.splice(at('promote'), 1);
      delete promote!.gate;
      for (const step of promote!.steps) delete step.needs;
      plan.stages.splice(at('fence'), 0, promote!);
      return plan;
    }),
    ...without('askProof'),
  },
  {
    name: 'undo-registered-too-late',
    what: 'an undo is registered when its step has answered, not before it is tried',
    patch: [
      {
        find: 'if (step.undo !== undefined) {',
        put: 'const registerLate = () => { if (step.undo === undefined) return;',
      },
      {
        find: 'run.receipts.set(step.id, receipt);\n        Object.assign(',
        put: 'registerLate();\n        run.receipts.set(step.id, receipt);\n        Object.assign(',
      },
    ],
  },
  {
    name: 'weights-all-zero',
    what: 'every weight that is set is zero',
    wrap: calls('setWeights', (call) => {
      const weights = call.input.weights as Record<string, number>;
      call.input.weights = Object.fromEntries(Object.keys(weights).map((region) => [region, 0])) as Json;
      return call;
    }),
  },
  {
    name: 'stale-lag-accepted',
    what: 'a lag whose source side could not be read counts as a reading',
    ...without('freshness'),
  },
  {
    name: 'approval-not-re-asked',
    what: 'an approval counts although the loss grew past what it accepted',
    patch: [{ find: 'function lossAccepted(run, loss) {', put: 'function lossAccepted(run, loss) { return true;' }],
  },
  {
    name: 'compensation-in-the-cancelled-scope',
    what: 'the run and its undos are inside the scope that a cancellation ends',
    patch: [
      {
        find: '.CancellationScope.nonCancellable(() => lead(run, raw))',
        put: '.CancellationScope.cancellable(() => lead(run, raw))',
      },
    ],
  },
  {
    name: 'retry-without-observing',
    what: 'an attempt acts again without looking whether it is done already',
    ...without('lookFirst'),
  },
  {
    name: 'tokens-not-checked',
    what: 'systems let stale and foreign attempts act',
    ...without('checkTokens'),
  },
  {
    name: 'tokenless-wait-for-the-app',
    what: 'the wait for an app asks it to be active without a token',
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
    patch: [{ find: 'function weakProof(run, store) {', put: 'function weakProof(run, store) { return null;' }],
    wrap: unasked('promote', 'weakFence'),
  },
  {
    name: 'fence-not-durable',
    what: 'a fence stops the server and leaves nothing that keeps it from starting writable',
    ...without('writeSignal'),
  },
  {
    name: 'freeze-budget-ignored',
    what: 'the end of the freeze budget leads to nothing',
    patch: [
      { find: 'this.record.exceeded = true;\n            onExpiry();', put: 'this.record.exceeded = true;' },
      { find: 'function boundedByFreeze(run, stage) {', put: 'function boundedByFreeze(run, stage) { return null;' },
    ],
  },
  {
    name: 'catch-up-does-not-wait',
    what: 'the target counts as caught up before it has applied the final position',
    ...without('catchUpWaits'),
  },
  { name: 'loss-not-stated', what: 'an unplanned promotion says that nothing is lost', ...without('stateLoss') },
  {
    name: 'loss-forgotten-by-escalation',
    what: 'the report of an escalated run says nothing of what its first plan lost',
    patch: [
      { find: 'this.record.loss = lossOfAll(this.earlierLoss, this.loss);', put: 'this.record.loss = this.loss;' },
    ],
  },
  {
    name: 'weights-not-read-back',
    what: 'a change of weights counts when the router said yes',
    ...without('readBack'),
  },
  {
    name: 'health-not-looked-at',
    what: 'weights are given without a look at the apps and stores they go to',
    wrap: calls('setWeights', (call) => ({ ...call, related: [] })),
  },
  {
    name: 'undone-after-the-crossing',
    what: 'the run forgets that a promotion was scheduled',
    patch: [{ find: 'get pastPointOfNoReturn() {', put: 'get pastPointOfNoReturn() { return false;' }],
  },
  {
    name: 'failed-undo-forgotten',
    what: 'an undo that failed before is not counted when the run says what became of it',
    patch: [{ find: "u.state === 'failed' && ", put: "u.state === 'never' && " }],
  },
  {
    name: 'decision-for-any-gate',
    what: 'a decision counts whatever gate it names',
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
    patch: [{ find: 'if (open.approvals.some((d) => d.by === input.by))', put: 'if (false)' }],
  },
  {
    name: 'holds-without-a-word',
    what: 'a run that holds does not say why',
    patch: [{ find: 'run.holding = {\n        reason,', put: "run.holding = {\n        reason: ''," }],
  },
  {
    name: 'secret-in-a-receipt',
    what: 'what a worker answers to a ping holds a password',
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
