/**
 * Messages to a run. Each verb is an update (a synchronous validator refuses with an exact text) and a signal of the
 * same name (total: what cannot be applied is noted in the run's log and shown). Registered in the workflow's first
 * synchronous stretch.
 */
import { ApplicationFailure } from '@temporalio/common';
import {
  currentUpdateInfo,
  defineQuery,
  defineSignal,
  defineUpdate,
  setDefaultSignalHandler,
  setHandler,
} from '@temporalio/workflow';
import type { Json } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { type Plan, type Verb as StepVerb, UNSKIPPABLE, UNSKIPPABLE_VERBS } from '../../plan/model.ts';
import type {
  ByInput,
  DecideInput,
  EscalateInput,
  MessageAnswer,
  NoteInput,
  RunStatus,
  StepInput,
} from '../contract.ts';
import { applyDecision, approvalsNeeded, refuseDecision } from './gate.ts';
import { isHalt } from './hold.ts';
import {
  EXAMPLES,
  type MessageVerb,
  type Parsed,
  parseBy,
  parseDecide,
  parseEscalate,
  parseNote,
  parseStep,
} from './parse.ts';
import { showProgress, statusOf } from './progress.ts';
import type { Run } from './state.ts';

interface Verb<T extends { by: string }> {
  parse(input: unknown): Parsed<T>;
  /** Why it cannot be applied now; `null` when it can. */
  refuse(run: Run, input: T): string | null;
  apply(run: Run, input: T): string;
  help: string;
}

function decideVerb(verb: 'decide' | 'approve' | 'reject', help: string): Verb<DecideInput> {
  return {
    help,
    parse: (input) => parseDecide(verb, input),
    refuse: (run, input) => refuseDecision(run.gate, input, Date.now()),
    apply: (run, input) => {
      const gate = run.gate!;
      const decision = applyDecision(gate, input, Date.now(), currentUpdateInfo()?.id ?? null);
      run.record.decisions.push(decision);
      run.keepShown(gate.facts);
      const open = gate.state === 'open' ? `; ${approvalsNeeded(gate) - gate.approvals.length} more needed` : '';
      const said = `gate ${gate.id}: ${input.decision} by ${input.by}${open}`;
      run.tell(input.decision === 'approve' ? 'approval-granted' : 'approval-denied', said);
      return said;
    },
  };
}

interface Verbs {
  decide: Verb<DecideInput>;
  approve: Verb<DecideInput>;
  reject: Verb<DecideInput>;
  pause: Verb<ByInput>;
  resume: Verb<ByInput>;
  skip: Verb<StepInput>;
  retry: Verb<StepInput>;
  abort: Verb<ByInput>;
  escalate: Verb<EscalateInput>;
  withdraw: Verb<ByInput>;
  note: Verb<NoteInput>;
}

const VERBS: Verbs = {
  decide: decideVerb('decide', 'Approve or reject the open gate'),
  approve: decideVerb('approve', 'Approve the open gate'),
  reject: decideVerb('reject', 'Reject the open gate'),
  pause: {
    help: 'Pause before the next stage or weight; takes effect outside the freeze',
    parse: (input) => parseBy('pause', input),
    refuse: (run, { by }) =>
      closed(run) ??
      (run.paused === null || (isHalt(by) && !isHalt(run.paused.by)) ? null : `already paused by ${run.paused.by}`),
    // A halt takes a person's pause over: that person's `resume` must not end it.
    apply: (run, input: ByInput) => {
      run.paused = { by: input.by, since: Date.now() };
      return run.freeze.active ? 'pausing as soon as the freeze is over' : 'pausing before the next stage';
    },
  },
  resume: {
    help: 'Go on after a pause',
    parse: (input) => parseBy('resume', input),
    refuse: (run) => closed(run) ?? (run.paused === null ? 'the run is not paused' : null),
    apply: (run) => {
      const { by } = run.paused!;
      run.paused = null;
      return isHalt(by) ? `going on, unless ${by} is still open` : 'going on';
    },
  },
  skip: {
    help: 'Skip a failed step, with a reason; never claim, fence, catch-up, promote, verify or route',
    parse: (input) => parseStep('skip', input),
    refuse: refuseSkip,
    apply: (run, input: StepInput) => {
      run.holding!.answer = { kind: 'skip', step: input.step!, by: input.by, reason: input.reason! };
      return `skipping ${input.step}`;
    },
  },
  retry: {
    help: 'Try again what failed',
    parse: (input) => parseStep('retry', input),
    refuse: (run) => closed(run) ?? (run.holding === null ? 'nothing has failed: there is nothing to retry' : null),
    apply: (run) => {
      run.holding!.answer = { kind: 'retry' };
      return 'trying again';
    },
  },
  abort: {
    help: 'Stop. Before the point of no return everything is put back; after it, traffic goes back to the last good weights',
    parse: (input) => parseBy('abort', input),
    refuse: closed,
    apply: (run, input: ByInput) => {
      run.raise({ kind: 'abort', by: input.by, reason: input.reason ?? 'no reason given' });
      return run.pastPointOfNoReturn
        ? 'aborting: the promotion stands; to go back use failback'
        : 'aborting: everything is being put back';
    },
  },
  escalate: {
    help: 'Turn the run into an unplanned one from where it is; "to" may name another region, also the old source',
    parse: parseEscalate,
    refuse: (run, input: EscalateInput) => {
      const over = closed(run);
      if (over !== null) return over;
      const regions = Object.keys(run.resolved === null ? {} : regionsOf(run));
      if (run.resolved === null) return 'the request is not read yet; try again in a second';
      if (input.to !== undefined && !regions.includes(input.to))
        return `unknown region ${input.to}; this service has ${regions.join(', ')}`;
      if (run.plan?.request.action === 'trafficRamp')
        return 'a traffic ramp moves no data: abort it and start an unplanned failover';
      if (isPlanningThat(run, input))
        return 'the unplanned plan is being made already, and would only begin anew: its gate opens within half a minute';
      return null;
    },
    apply: (run, input: EscalateInput) => {
      run.raise({
        kind: 'escalate',
        by: input.by,
        reason: input.reason ?? 'no reason given',
        ...(input.to === undefined ? {} : { to: input.to }),
        ...(input.override === undefined ? {} : { override: input.override }),
      });
      return 'escalating: observing again, then a new plan and its gate';
    },
  },
  withdraw: {
    help: 'End a run that has done nothing yet',
    parse: (input) => parseBy('withdraw', input),
    refuse: (run) =>
      closed(run) ??
      (run.acted || run.record.decisions.length > 0
        ? 'it is too late to withdraw: a gate is decided or a step has an effect; use abort'
        : null),
    apply: (run, input: ByInput) => {
      run.raise({ kind: 'withdraw', by: input.by, reason: input.reason ?? 'no reason given' });
      return 'withdrawing';
    },
  },
  note: {
    help: 'Write something into the log of the run, for its report, or tick an item of its checklist ("done": 1)',
    parse: parseNote,
    refuse: (run, input: NoteInput) => closed(run) ?? refuseTick(run, input),
    apply: tick,
  },
};

function refuseTick({ record }: Run, { done }: NoteInput): string | null {
  if (done === undefined) return null;
  const list = record.checklist ?? [];
  const item = list[done - 1];
  if (item === undefined) return `there is no item ${done} on the checklist; it has ${list.length}`;
  return item.done === null ? null : `item ${done} was done by ${item.done.by}: ${item.text}`;
}

function tick(run: Run, { by, reason, done }: NoteInput): string {
  if (done === undefined) return reason!;
  const item = run.record.checklist![done - 1]!;
  item.done = { by, at: Date.now() };
  const said = `${item.text}: done${reason === undefined ? '' : ` (${reason})`}`;
  run.tell('checklist-done', `${said}, says ${by}`);
  return said;
}

function regionsOf(run: Run): Record<string, unknown> {
  const { service } = run.resolved!;
  return Object.fromEntries([service.home, ...service.standby].map((r) => [r, true]));
}

/** The same word again, while what it asked for is under way: whoever repeats it every few seconds would never get a plan. */
function isPlanningThat(run: Run, { to, override = [] }: EscalateInput): boolean {
  const wanted = run.resolved!.request;
  const same = wanted.mode === 'unplanned' && (to === undefined || to === wanted.to);
  return run.phase === 'planning' && same && override.every((code) => wanted.override?.includes(code));
}

function closed(run: Run): string | null {
  if (run.closed) return `the run is over: ${run.record.text}`;
  return run.record.action === 'release' ? 'letting go of old data takes no words: it ends by itself' : null;
}

const WHY_CLAIM =
  'a side that this run has not claimed refuses every later step, its fence included; retry when what it failed with is mended, abort and everything is put back, or escalate and the new plan goes by what it finds';
const WHY_NEVER: Partial<Record<StepVerb, string>> = {
  readClaim: WHY_CLAIM,
  claim: WHY_CLAIM,
  verifyWritable:
    'a run whose store nobody can write to is not complete; retry when it is writable again, abort and the run ends as it stands and says so, or escalate and the new plan goes by what it finds',
};

function refuseSkip(run: Run, input: StepInput): string | null {
  const over = closed(run);
  if (over !== null) return over;
  const stage = run.plan?.stages.find((s) => s.steps.some((x) => x.id === input.step));
  if (stage !== undefined && UNSKIPPABLE.includes(stage.name))
    return `${input.step} can never be skipped: ${stage.name} is what keeps the data safe; retry, abort or escalate`;
  const step = stage?.steps.find((x) => x.id === input.step);
  if (step !== undefined && UNSKIPPABLE_VERBS.includes(step.verb))
    return `${input.step} can never be skipped: ${WHY_NEVER[step.verb]}`;
  if (run.holding === null) return 'nothing has failed: there is nothing to skip';
  const names = run.holding.failed.map((s) => s.id);
  return names.includes(input.step!)
    ? null
    : `${input.step} is not a failed step; failed: ${names.join(', ') || 'none'}`;
}

/** Registers every handler. Call first, synchronously. */
export function registerMessages(run: Run): void {
  for (const [name, verb] of Object.entries(VERBS) as unknown as Array<[MessageVerb, Verb<{ by: string }>]>) {
    const description = `${verb.help}. Input: ${EXAMPLES[name]}`;
    setHandler(defineUpdate<MessageAnswer, [unknown]>(name), (input) => receive(run, name, verb, input), {
      description,
      // Synchronous on purpose: an async validator is not awaited and would wedge the workflow.
      validator: (input) => {
        const parsed = verb.parse(input);
        const refusal = parsed.ok ? verb.refuse(run, parsed.value) : parsed.error;
        if (refusal !== null) throw ApplicationFailure.nonRetryable(refusal, 'Refused');
      },
    });
    setHandler(defineSignal<[unknown]>(name), (input) => void receive(run, name, verb, input), { description });
  }
  setDefaultSignalHandler((name, ...args) => {
    noteMessage(
      run,
      name,
      'unknown',
      false,
      `there is no message "${name}"; there are ${Object.keys(VERBS).join(', ')}`,
      args[0],
    );
  });
  setHandler(defineQuery<RunStatus>('status'), () => statusOf(run), {
    description: 'Where the run is and what it waits for',
  });
  setHandler(defineQuery<Plan | null>('plan'), () => run.plan, { description: 'The frozen plan' });
  setHandler(defineQuery<RunRecord>('evidence'), () => run.record, { description: 'The record of the run so far' });
}

function receive(run: Run, name: MessageVerb, verb: Verb<{ by: string }>, input: unknown): MessageAnswer {
  const parsed = verb.parse(input);
  if (!parsed.ok) return noteMessage(run, name, 'unknown', false, parsed.error, input);
  // Asked again although the validator has: between it and now another message may have been applied.
  const refusal = verb.refuse(run, parsed.value);
  if (refusal !== null) return noteMessage(run, name, parsed.value.by, false, refusal, input);
  return noteMessage(run, name, parsed.value.by, true, verb.apply(run, parsed.value), input);
}

function noteMessage(
  run: Run,
  verb: string,
  by: string,
  applied: boolean,
  note: string,
  input: unknown,
): MessageAnswer {
  run.record.messages.push({ verb, by, at: Date.now(), applied, note, input: shortened(input) });
  if (run.record.messages.length > 200) run.record.messages.shift();
  run.note(applied ? `${verb} by ${by}: ${note}` : `${verb} not applied: ${note}`);
  showProgress(run);
  return { applied, text: note };
}

/** What was sent, as evidence, but never more than a screenful of it. */
function shortened(input: unknown): Json {
  const text = JSON.stringify(input ?? null) ?? 'null';
  return text.length > 1_000 ? `${text.slice(0, 1_000)}…` : ((input ?? null) as Json);
}
