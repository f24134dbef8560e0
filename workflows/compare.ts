/**
 * Compares what two regions hold, round after round for as long as the topology says so, or once by a person's word. It
 * reads only. What differs for good is told to triggers and people; every round is kept in an append-only record.
 */
import { ApplicationFailure } from '@temporalio/common';
import {
  ActivityCancellationType,
  continueAsNew,
  defineQuery,
  isCancellation,
  log,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { ComparingActivities } from '../activities/contract.ts';
import type { ComparisonRecord } from '../evidence/comparison-record.ts';
import type { Comparison } from '../topology/divergence.ts';
import { CONTROL_QUEUE, type ComparisonStatus } from './contract.ts';
import { causeOf } from './run/errors.ts';

/** After a round that failed the next one comes no later, in milliseconds. */
const AGAIN_MS = 60_000;

/** Keys that are looked at again: no more go into the history of a round. */
const MOST_AGAIN = 500;
/** A longer value of a key is told shortened, and cannot be looked for. */
const WHOLE_KEY = 200;

const control = proxyActivities<ComparingActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 1_000, maximumInterval: 30_000, maximumAttempts: 10 },
});

/** A killed worker is noticed by its heartbeats; the next one begins the round anew, which changes nothing. */
const comparer = proxyActivities<ComparingActivities>({
  taskQueue: CONTROL_QUEUE,
  summary: 'compare',
  startToCloseTimeout: '2h',
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: 1_000, maximumAttempts: 3 },
});

export interface CompareInput {
  comparison: string;
  /** One round, whose record is the result. */
  once?: boolean;
  /** From the run before, after a continue-as-new. */
  carried?: Memory;
}

interface Memory {
  /** Rounds so far, of all runs. */
  rounds: number;
  last: ComparisonRecord | null;
  /** Since when something differs for good, and since when one side is too far behind; `null`: it does not. */
  since: { diverged: number | null; lagging: number | null };
  text: string;
  /** What differs as far as rounds have said; `null`: not all of it is listed, so only a whole look can clear it. */
  differing?: string[][] | null;
}

/** Compares. Input: {"comparison":"orders"}; with "once":true one round. */
export async function compare(input: CompareInput): Promise<ComparisonRecord | string> {
  const name = (input as CompareInput | undefined)?.comparison;
  if (typeof name !== 'string' || name === '')
    throw ApplicationFailure.nonRetryable('the input must be {"comparison":"<name>"}', 'InvalidInput');
  const memory: Memory = input.carried ?? { rounds: 0, last: null, since: { diverged: null, lagging: null }, text: '' };
  setHandler(
    defineQuery<ComparisonStatus>('status'),
    () => ({ workflowId: workflowInfo().workflowId, comparison: name, now: Date.now(), ...memory }),
    { description: 'The last round: what differs, the lag, what was not looked at' },
  );
  for (;;) {
    const comparison = await resolve(name, memory, input.once === true);
    if (comparison === null) {
      const text = `the topology has no comparison "${name}"`;
      if (input.once === true) throw ApplicationFailure.nonRetryable(text, 'InvalidInput');
      return text;
    }
    const record = comparison === 'failed' ? null : await round(comparison, memory, input.once === true);
    if (input.once === true) return record!;
    const everyMs = comparison === 'failed' ? AGAIN_MS : comparison.everyMs;
    await sleep(record === null ? Math.min(AGAIN_MS, everyMs) : everyMs);
    if (workflowInfo().continueAsNewSuggested)
      return continueAsNew<typeof compare>({ comparison: name, carried: memory });
  }
}

async function resolve(name: string, memory: Memory, once: boolean): Promise<Comparison | null | 'failed'> {
  try {
    return await control.resolveComparison({ comparison: name });
  } catch (error) {
    if (isCancellation(error) || once) throw error;
    say(memory, `the topology cannot be read: ${causeOf(error).message}`);
    return 'failed';
  }
}

/** @returns `null` when it failed; the next round tries again */
async function round(comparison: Comparison, memory: Memory, once: boolean): Promise<ComparisonRecord | null> {
  memory.rounds += 1;
  const id = `${workflowInfo().workflowId}/${workflowInfo().firstExecutionRunId}/${memory.rounds}`;
  try {
    const { diverged, lagging } = memory.since;
    const before = diverged === null ? [] : memory.differing === undefined ? listOf(memory.last) : memory.differing;
    const record = await comparer.compareData({
      ...{ comparison, id },
      ...(before === null || before.length === 0 ? {} : { again: before }),
    });
    const { keys, complete, limited = !complete, again = 0, counts, lagAtLeastMs, lagSloMs } = record;
    // What was not looked at may still differ.
    const stands = (now: boolean, since: number | null, seen: boolean) =>
      now ? (since ?? record.startedAt) : seen ? null : since;
    const all = before !== null && again === before.length && !limited;
    const since = {
      diverged: stands(keys.length > 0, diverged, complete || (all && counts.changing === 0)),
      lagging: stands(lagAtLeastMs !== null && lagAtLeastMs > lagSloMs, lagging, !limited),
    };
    memory.last = record;
    if (keys.length > 0) memory.differing = complete || all ? listOf(record, counts.changing > 0 ? before : []) : null;
    const turned = (diverged === null) !== (since.diverged === null);
    const news = !turned ? null : since.diverged === null ? 'cleared' : 'opened';
    say(memory, `${keys.length} keys differ${complete ? '' : '; not everything was looked at'}`);
    await control.reportComparison({ record, since, news });
    // Only what was told is known: otherwise the next round tells it.
    memory.since = since;
    return record;
  } catch (error) {
    if (isCancellation(error) || once) throw error;
    say(memory, `the round failed: ${causeOf(error).message}`);
    return null;
  }
}

/** Keys that can be looked at by name, with those of before that were changing; `null`: not all of them can. */
function listOf(record: ComparisonRecord | null, more: string[][] | null = []): string[][] | null {
  const named = (record?.keys ?? []).map(({ key }) => key);
  const known = new Set(named.map((key) => JSON.stringify(key)));
  const list = [...named, ...(more ?? []).filter((key) => !known.has(JSON.stringify(key)))];
  return list.length > MOST_AGAIN || list.some((key) => key.some((value) => value.length > WHOLE_KEY)) ? null : list;
}

function say(memory: Memory, text: string): void {
  memory.text = text;
  log.info(text);
}
