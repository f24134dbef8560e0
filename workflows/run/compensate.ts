/**
 * Compensation (I7, I8): undos newest first, outside every cancellation but a person's `escalate`, with unlimited
 * retry. Each runs without a schedule-to-start limit, because Temporal does not retry such a time-out; a ping beside
 * it tells people when the worker it waits for is absent.
 */
import { CancellationScope, condition, isCancellation, patched, Trigger } from '@temporalio/workflow';
import type { Weights } from '../../drivers/ports.ts';
import type { Step } from '../../plan/model.ts';
import { limitOf } from '../../plan/timeouts.ts';
import { countUndo } from './counted.ts';
import { type Cause, causeOf, Interrupted } from './errors.ts';
import { callFor, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';
import type { UndoEntry } from './undo.ts';

/** An undo that is not done after this long gets a ping of its queue beside it, in milliseconds. */
const PING_AFTER_MS = 5_000;
const PING_EVERY_MS = 30_000;

export interface Compensated {
  done: number;
  failed: UndoEntry[];
}

/** An undo that was begun: it may wait for a worker, or for a system that does not answer, beside the others. */
interface Begun {
  entry: UndoEntry;
  undone: Promise<void>;
  stuck: Trigger<'stuck'>;
  open: boolean;
}

/**
 * Runs the pending undos that `which` selects, newest first. A failed one (its system refused for good) is kept as
 * debt and the next one still runs; one whose worker is absent goes on waiting beside the others, and the end of the
 * compensation waits for it. So does an unfence whose worker answers and whose system does not.
 * @throws {Interrupted} only for `escalate`: what was not undone yet stays on the stack
 */
export async function compensate(run: Run, which: (entry: UndoEntry) => boolean = () => true): Promise<Compensated> {
  const result: Compensated = { done: 0, failed: [] };
  const before = run.phase;
  run.phase = 'compensating';
  const escalation = (kind: string) => kind === 'escalate';
  try {
    await run.interruptible(async () => {
      const begun: Begun[] = [];
      for (const entry of run.undo.pending().filter(which)) {
        const stuck = new Trigger<'stuck'>();
        const unfence = begun.find((one) => one.open && lastThere(one.entry, entry));
        if (unfence !== undefined) await unfence.undone;
        const first = begun.filter((one) => one.open && empties(one.entry, entry));
        const act = async (): Promise<void> => {
          if (first.length > 0) await Promise.all(first.map((one) => one.undone));
          const stays = run.trafficLeft.find((left) => empties(left, entry));
          const ok = stays === undefined && (await undoOne(run, entry, () => stuck.resolve('stuck')));
          if (stays !== undefined) leave(run, entry, stays);
          if (ok) result.done += 1;
          else result.failed.push(entry);
          if (entry.undo.verb === 'setWeights') noteTraffic(run, entry, ok);
          one.open = false;
        };
        const one: Begun = { entry, undone: Promise.resolve(), stuck, open: true };
        begun.push(one);
        one.undone = act();
        // Its outcome is awaited below; here only so that a rejection before that is not unhandled.
        one.undone.catch(() => undefined);
        await Promise.race([one.undone, stuck, ...first.map((earlier) => earlier.stuck)]);
      }
      await Promise.all(begun.map(({ undone }) => undone));
    }, escalation);
  } catch (error) {
    if (run.interrupt?.kind === 'escalate') throw new Interrupted(run.takeInterrupt()!);
    throw error;
  } finally {
    if (run.phase === 'compensating') run.phase = before;
  }
  return result;
}

/** Whether the one takes traffic away from the region in which the other makes an app what it was: small, or none. */
function empties(one: UndoEntry, { step, undo }: UndoEntry): boolean {
  if (one.undo.verb !== 'setWeights' || undo.verb !== 'restoreWorkload') return false;
  if (step.region === null || !patched('traffic-before-apps')) return false;
  const [was, is] = [one.undo.input.weights, one.step.input.weights] as [Weights, Weights];
  return (was[step.region] ?? 0) < (is[step.region] ?? 0);
}

/** Whether the store of this unfence would refuse it once the other has acted there: that one closes its journal. */
function lastThere(unfence: UndoEntry, { step }: UndoEntry): boolean {
  const { component, region } = unfence.step;
  const same = unfence.undo.verb === 'unfence' && component === step.component && region === step.region;
  return same && patched('let-go-each-store');
}

/** What is known last of a router counts. */
function noteTraffic(run: Run, entry: UndoEntry, ok: boolean): void {
  const others = run.trafficLeft.filter(({ step }) => step.component !== entry.step.component);
  run.trafficLeft = ok ? others : [...others, entry];
}

/** An app that still gets traffic stays as large as it is. */
function leave(run: Run, entry: UndoEntry, traffic: UndoEntry): void {
  const why = `the traffic of ${traffic.step.component} could not be moved away from ${entry.step.region}`;
  entry.record.startedAt ??= Date.now();
  notUndone(run, entry, why, 'move the traffic first, then put it back by hand');
}

/** It was refused for good, or left out: people are told what is as the run left it. */
function notUndone(run: Run, entry: UndoEntry, why: string, remedy: string): void {
  const { step, undo, record } = entry;
  Object.assign(record, { state: 'failed', endedAt: Date.now(), note: why });
  run.undo.settled(entry);
  countUndo(run, undo, 'failed');
  const { component, region } = step;
  run.addDebt({ code: 'undoFailed', component, region, message: `not undone: ${undo.summary}: ${why}`, remedy });
}

/** @returns whether it was undone; `false` when its system refused for good */
async function undoOne(run: Run, entry: UndoEntry, onStuck: () => void): Promise<boolean> {
  const { step, undo, record } = entry;
  record.state = 'running';
  record.startedAt ??= Date.now();
  // A scheduled unfence voids every earlier proof of that store, whatever becomes of it.
  if (undo.verb === 'unfence') {
    voidProofs(run, step.component);
    run.unfencesSent.set(step.id, { step, at: Date.now() });
  }
  try {
    await withPing(run, undo.place ?? step.place, entry, onStuck, () => send(run, entry));
    record.state = 'done';
    record.endedAt = Date.now();
    run.unfencesSent.delete(step.id);
    run.undo.settled(entry);
    run.receipts.delete(step.id);
    run.payDebt('undoWaiting', step.component);
    countUndo(run, undo, 'done');
    run.note(`undone: ${undo.summary}`);
    return true;
  } catch (error) {
    const cause = causeOf(error);
    if ((isCancellation(error) && run.interrupt?.kind === 'escalate') || givenUp(cause)) {
      // It may end long after the word that stopped it, and the next plan may have crossed the point of no return.
      if (run.undo.pending().includes(entry)) record.state = 'registered';
      record.note = 'it was sent and may still act';
      throw error;
    }
    // Refused by the claim or the target's timeline: that one will not act any more.
    if (cause.type === 'Conflict') run.unfencesSent.delete(step.id);
    const remedy = `put it back by hand; \`rampart escape ${run.record.service}\` prints the commands`;
    notUndone(run, entry, cause.message, remedy);
    return false;
  }
}

/** Only `escalate` stops an undo; its worker may be gone, and then it ends by a limit of its time. */
function givenUp({ type }: Cause): boolean {
  const stopped = CancellationScope.current().consideredCancelled;
  return stopped && ['Cancelled', 'WorkerAbsent', 'DeadlineExceeded'].includes(type) && patched('undo-given-up');
}

function send(run: Run, entry: UndoEntry) {
  const { step, undo } = entry;
  const undoStep: Step = {
    ...step,
    id: `undo:${step.id}`,
    summary: undo.summary,
    verb: undo.verb,
    input: undo.input,
    place: undo.place ?? step.place,
    // Its own limit, not the forward step's: that one may be as short as the freeze.
    timeoutMs: undo.verb.startsWith('own')
      ? step.timeoutMs
      : limitOf(undo.verb, run.plan?.components[step.component ?? '']?.capabilities),
    effect: 'reversible',
  };
  delete undoStep.undo;
  delete undoStep.attempts;
  // The deadline of the freeze does not bind an undo: it is what ends the freeze.
  const call = { ...callFor(run, undoStep, entry.given), deadline: null };
  if (call.token !== null) call.token = run.tokens.forUndo(call.token, undoStep);
  return schedule(undo.verb, call, optionsFor(undoStep, null, { undo: true }));
}

async function withPing<T>(
  run: Run,
  queue: string,
  entry: UndoEntry,
  onStuck: () => void,
  fn: () => Promise<T>,
): Promise<T> {
  let over = false;
  const watch = new CancellationScope();
  const watching = watch
    .run(async () => {
      if (await condition(() => over, PING_AFTER_MS)) return;
      for (;;) {
        const ping: Step = {
          id: `ping:${queue}`,
          summary: `Ping ${queue}`,
          verb: 'ping',
          component: null,
          region: entry.step.region,
          place: queue,
          input: {},
          effect: 'none',
          timeoutMs: 5_000,
          attempts: 1,
          onFailure: 'continue',
        };
        try {
          await schedule('ping', callFor(run, ping, {}), optionsFor(ping, 'fence'));
          entry.record.note = 'its worker answers; still trying';
          // Its system may be frozen: the other stores of the service are not kept from writing by that.
          if (entry.undo.verb === 'unfence' && patched('let-go-each-store')) onStuck();
        } catch (error) {
          if (isCancellation(error)) throw error;
          entry.record.note = `waits for a worker on ${queue}: ${causeOf(error).message}`;
          entry.record.state = 'debt';
          onStuck();
          run.addDebt({
            code: 'undoWaiting',
            component: entry.step.component,
            region: entry.step.region,
            message: `${entry.undo.summary}: ${entry.record.note}`,
            remedy: 'start a worker there, or escalate',
          });
        }
        if (await condition(() => over, PING_EVERY_MS)) return;
      }
    })
    .catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
  try {
    return await fn();
  } finally {
    over = true;
    watch.cancel();
    await watching;
  }
}

function voidProofs(run: Run, component: string | null): void {
  for (const step of run.plan!.stages.flatMap((s) => s.steps))
    if (step.component === component && (step.verb === 'fence' || step.verb === 'prove')) run.receipts.delete(step.id);
}

/** Undos of what stopped writes, by any plan of the run: they end the freeze before the point of no return. */
export const inFreeze = ({ stage }: UndoEntry): boolean => ['quiesce', 'fence', 'promote-atomic'].includes(stage);
