/**
 * A halt: the answer to corrupted data, where moving the service would only carry the corruption along. While this
 * workflow is open the automation of its service is stopped: a run pauses at its next safe point, triggers start
 * nothing, a new run has a blocker, replicas that can be paused apply no further. It keeps what could be seen when it
 * began, and names from what an earlier moment could be had again. Only a person ends it.
 */
import { ApplicationFailure } from '@temporalio/common';
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  getExternalWorkflowHandle,
  isCancellation,
  makeContinueAsNewFunc,
  patched,
  setHandler,
  sleep,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { HaltedRun, HaltRecord } from '../evidence/halt-record.ts';
import type { HaltNote } from '../plan/model.ts';
import type { ByInput, MessageAnswer } from './contract.ts';
import { pauseReplicas, RESUME_PAUSE_MS, RESUME_TRIES, readReplicas, resumeReplicas } from './halt/replication.ts';
import { HaltState } from './halt/state.ts';
import { control, keepEvidence, runAtWork, stopRun, tellPeople } from './halt/stop.ts';
import { causeOf } from './run/errors.ts';
import { type MessageVerb, type Parsed, parseBy } from './run/parse.ts';

/** Whether replicas are still paused is looked at this often, in milliseconds. */
const LOOK_MS = 60_000;
/** A run inside its cut is looked at this often at first, in milliseconds: replication is left to it until it is through. */
const CUT_MS = 2_000;
/** Later ever more rarely: once per this part of the time that the halt has lasted. A run may hold there overnight. */
const CUT_PART = 10;

/**
 * Halts a service. Input: {"service":"checkout","by":"you@example.com","reason":"orders show wrong amounts"}
 * @returns the record, when a person has ended it and everything is put back
 * @throws ApplicationFailure of type InvalidInput; NeedsHuman, with the record, when something could not be put back
 */
export async function halt(input: unknown): Promise<HaltRecord> {
  const state = new HaltState(input);
  registerMessages(state);
  const cancelled = CancellationScope.current().cancelRequested.catch(() =>
    end(state, { by: 'temporal', reason: 'the workflow was cancelled' }),
  );
  void cancelled;
  return CancellationScope.nonCancellable(() => lead(state, input));
}

async function lead(state: HaltState, input: unknown): Promise<HaltRecord> {
  if (state.target === null) await begin(state, input);
  while (state.record.ended === null) {
    await condition(() => state.record.ended !== null, state.inCut ? cutPause(state) : LOOK_MS);
    if (state.record.ended !== null) break;
    await lookAfterReplicas(state);
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      // The next run begins with the memo that it is given: what this one wrote into its own does not come along.
      const memo = { ...workflowInfo().memo, ...memoOf(state, false) };
      return makeContinueAsNewFunc<typeof halt>({ memo })(state.carry());
    }
  }
  return close(state);
}

/** What whoever looks this workflow up reads without asking a worker. */
function memoOf({ record }: HaltState, ending: boolean): { halt: Omit<HaltNote, 'workflowId'> } {
  const { startedAt: since, by, reason } = record;
  return { halt: { since, by, reason: reason.slice(0, 500), ending } };
}

async function begin(state: HaltState, input: unknown): Promise<void> {
  const { workflowId, workflowType } = workflowInfo();
  try {
    state.target = await control.resolveHalt({ input, workflowId, workflowType });
  } catch (error) {
    const { message, type } = causeOf(error);
    throw ApplicationFailure.nonRetryable(message, type === 'InvalidInput' ? type : 'Refused');
  }
  const { by, reason, service } = state.target;
  Object.assign(state.record, { by, reason, service: service.name, owner: service.owner });
  upsertMemo(memoOf(state, false));
  state.note(`halted by ${by}: ${reason}`);
  await stopRun(state);
  await readReplicas(state);
  await Promise.all([keepEvidence(state), pauseFirst(state)]);
  if (state.record.ended !== null) return;
  state.record.state = 'open';
  await tellPeople(
    state,
    'opened',
    `${service.name} is halted by ${by}: ${reason}. ${summaryOf(state.record)}`,
    `rampart halt ${service.name} shows what was kept; rampart resume ${service.name} --reason '…' ends it`,
  );
}

/** A run whose writes are stopped waits for its replica to catch up: pausing that would keep the service down. */
async function pauseFirst(state: HaltState): Promise<void> {
  if (state.record.run?.cut === true) {
    // People are told before that wait: the run may hold there until they come.
    if (patched('halt-open-inside-a-cut')) return leaveToCut(state, state.record.run);
    await outOfTheCut(state, state.record.run);
  }
  if (state.record.ended === null) await pauseReplicas(state);
}

/** As halts that began before the patch did it. */
async function outOfTheCut(state: HaltState, first: HaltedRun): Promise<void> {
  for (let run: HaltedRun | null = first; run?.cut === true && state.record.ended === null; ) {
    state.note(`${run.workflowId} is inside its cut: its replica is paused afterwards`);
    await condition(() => state.record.ended !== null, CUT_MS);
    run = await runAtWork(state);
  }
}

function leaveToCut(state: HaltState, { workflowId }: Pick<HaltedRun, 'workflowId'>): void {
  state.inCut = true;
  state.note(`${workflowId} is inside its cut: its replica is paused afterwards`);
}

function cutPause({ record }: HaltState): number {
  return Math.min(LOOK_MS, Math.max(CUT_MS, Math.round((Date.now() - record.startedAt) / CUT_PART)));
}

/** A restart forgets the pause. A run that a person lets go on in spite of the halt needs its replica. */
async function lookAfterReplicas(state: HaltState): Promise<void> {
  state.inCut = false;
  if (state.record.replicas.length === 0) return;
  try {
    const run = await runAtWork(state);
    if (run?.cut === true && patched('halt-open-inside-a-cut')) return leaveToCut(state, run);
    if (run !== null && !run.paused && run.gate === null)
      return state.note(`${run.workflowId} is at work in spite of the halt: replication is left to it`);
    await readReplicas(state);
    await pauseReplicas(state);
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`the replicas could not be looked after: ${causeOf(error).message}`);
  }
}

async function close(state: HaltState): Promise<HaltRecord> {
  const { record } = state;
  const { by, reason } = record.ended!;
  record.state = 'ending';
  // From here an attempt to pause that wakes up late is refused.
  upsertMemo(memoOf(state, true));
  state.note(`ended by ${by}: ${reason}`);
  let left = await resumeReplicas(state);
  for (let tries = 1; left.length > 0 && tries < RESUME_TRIES; tries += 1) {
    await sleep(RESUME_PAUSE_MS);
    left = await resumeReplicas(state);
  }
  record.leftover = left.map(
    ({ node, region, component, now }) =>
      `${node} of ${component} in ${region} may still be paused (${now.detail}): run SELECT pg_wal_replay_resume() there, or restart it`,
  );
  await tellRun(state, by);
  record.endedAt = Date.now();
  record.state = 'closed';
  const text = [`${record.service} is no longer halted (${by}: ${reason})`, ...record.leftover].join('. ');
  await tellPeople(state, 'cleared', text, `rampart status ${record.service}`);
  state.note(text);
  await condition(allHandlersFinished);
  if (record.leftover.length > 0) throw ApplicationFailure.nonRetryable(text, 'NeedsHuman', record);
  return record;
}

/** The run it had paused stays paused: whether it shall go on after what was found is a decision of its own. */
async function tellRun(state: HaltState, by: string): Promise<void> {
  const { run, service, workflowId } = state.record;
  if (run === null) return;
  try {
    await getExternalWorkflowHandle(run.workflowId, run.runId).signal('note', {
      by: workflowId,
      reason: `the halt was ended by ${by}; this run goes on with: rampart resume ${service}`,
    });
  } catch (error) {
    if (isCancellation(error)) throw error;
    // It has ended, and that is no fault.
    state.note(`${run.workflowId} was not told of the end: ${causeOf(error).message}`);
  }
}

/** One sentence of what stands still. */
function summaryOf({ run, replicas, unpaused }: HaltRecord): string {
  const paused = replicas.filter(({ pausedAt }) => pausedAt !== null).map(({ node }) => node);
  const going = replicas
    .filter(({ now }) => !['paused', 'none'].includes(now.state))
    .map(({ node, now }) => `${node}: ${now.detail}`);
  return [
    run === null ? 'No run was on' : `${run.workflowId} was ${run.told}`,
    paused.length === 0 ? 'no replica is paused' : `paused: ${paused.join(', ')}`,
    ...going,
    ...unpaused.map(({ component, text }) => `${component}: ${text}`),
  ].join('; ');
}

function end(state: HaltState, { by, reason }: ByInput): void {
  state.record.ended ??= { by, reason: reason ?? 'no reason given', at: Date.now() };
}

interface Verb {
  help: string;
  refuse(state: HaltState, input: ByInput): string | null;
  apply(state: HaltState, input: ByInput): string;
}

const VERBS: Partial<Record<MessageVerb, Verb>> = {
  resume: {
    help: 'End the halt: replicas go on, triggers and runs are free again. A run that it paused stays paused',
    refuse: ({ record }, { reason }) =>
      record.ended !== null
        ? `the halt was ended by ${record.ended.by}`
        : reason === undefined
          ? '"reason" must say what was found: it ends the record of the halt'
          : null,
    apply: (state, input) => {
      end(state, input);
      const { run, service } = state.record;
      const stays = run === null ? '' : `; ${run.workflowId} stays paused: rampart resume ${service} lets it go on`;
      return `ending the halt: replicas go on, and triggers and runs are free again${stays}`;
    },
  },
  note: {
    help: 'Write something into the record of the halt; changes nothing',
    refuse: (_, { reason }) => (reason === undefined ? '"reason" must hold what is to be written down' : null),
    apply: (state, { by, reason }) => {
      state.write(by, reason!);
      return reason!;
    },
  },
};

/** Registers every handler. Call first, synchronously. */
function registerMessages(state: HaltState): void {
  for (const [name, verb] of Object.entries(VERBS) as Array<[MessageVerb, Verb]>) {
    const description = `${verb.help}. Input: {"by":"you@example.com","reason":"…"}`;
    const receive = (input: unknown): MessageAnswer => {
      const parsed: Parsed<ByInput> = parseBy(name, input);
      const refusal = parsed.ok ? verb.refuse(state, parsed.value) : parsed.error;
      if (!parsed.ok || refusal !== null) {
        state.note(`${name} not applied: ${refusal}`);
        return { applied: false, text: refusal! };
      }
      return { applied: true, text: verb.apply(state, parsed.value) };
    };
    setHandler(defineUpdate<MessageAnswer, [unknown]>(name), receive, {
      description,
      // Synchronous on purpose: an async validator is not awaited and would wedge the workflow.
      validator: (input) => {
        const parsed: Parsed<ByInput> = parseBy(name, input);
        const refusal = parsed.ok ? verb.refuse(state, parsed.value) : parsed.error;
        if (refusal !== null) throw ApplicationFailure.nonRetryable(refusal, 'Refused');
      },
    });
    setHandler(defineSignal<[unknown]>(name), (input) => void receive(input), { description });
  }
  setHandler(defineQuery<HaltRecord>('evidence'), () => state.record, {
    description: 'The record of the halt: what was seen, what was stopped, what could be restored from what',
  });
}
