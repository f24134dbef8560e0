/**
 * What a plan does about the row of the table it finds: nothing, the whole way, or the rest of a way begun earlier.
 * Pure. The refusals that belong to the rows are in `findings/state.ts`.
 */
import type { CompileInput, Mode, StageName } from './model.ts';
import { type Parts, type Reading, weightsOf } from './parts.ts';
import { mayWrite } from './returned.ts';
import { follows, isOpen, nodesAt } from './sides.ts';

export interface Course {
  /** The sentence when there is nothing to do. */
  nothing: string | null;
  /** Shown to people: where a begun way goes on. `null` = the whole plan. */
  resumeAt: StageName | null;
  /** First stage with steps of its own, after preflight and prepare. Earlier than `resumeAt` where proofs are renewed. */
  entry: StageName;
  /** The point of no return was passed before this plan: nothing on its stores is ever undone. */
  past: boolean;
}

const WHOLE: Course = { nothing: null, resumeAt: null, entry: 'prepare', past: false };

/** The mode that is meant: unplanned only ever by word, since it may lose data. */
export function modeOf(request: CompileInput['request']): Mode {
  return request.mode ?? 'planned';
}

/** Decides how much of the plan is left to do. */
export function courseOf(input: CompileInput, reading: Reading, parts: Parts): Course {
  const { classified, from, to } = reading;
  const { request } = input;
  if (request.action === 'reprotect') return { ...WHOLE, nothing: nothingToProtect(input, reading, parts) };
  if (request.action === 'refence') return { ...WHOLE, entry: 'fence', nothing: nothingToFence(reading, parts) };
  if (request.action === 'trafficRamp')
    return { ...WHOLE, entry: 'ramp', nothing: nothingToRamp(input, reading, parts) };
  const mode = modeOf(request);
  const arrived = classified.region === to;
  const resume = (at: StageName, entry: StageName = at, past = true): Course => ({
    nothing: null,
    resumeAt: at,
    entry,
    past,
  });
  switch (classified.state) {
    case 'steady':
      return arrived ? { ...WHOLE, nothing: `Nothing to do: ${classified.text}` } : WHOLE;
    case 'fenced':
      if (arrived) return WHOLE;
      // What is not fenced yet has to be; the rest proves again under this plan's own claim.
      if (parts.stores.some((view) => view.writable.some((node) => node.region === from))) {
        return resume('fence', 'fence', false);
      }
      return resume(mode === 'planned' ? 'catch-up' : 'promote', 'fence', false);
    case 'partlyPromoted':
      return arrived ? resume('promote', 'fence') : WHOLE;
    case 'promoted':
      return arrived ? resume('verify') : WHOLE;
    case 'midRamp':
      return arrived ? resume('ramp') : WHOLE;
    case 'unsettled':
      return arrived ? resume('drain') : WHOLE;
    case 'noneWritable':
      return resume('fence', 'fence', false);
    case 'twoWritable':
      return resume('fence');
    case 'sourceLost':
    case 'unknown':
      return WHOLE;
  }
}

/** Not while a journal is open: a ramp that was lost when the traffic had moved has its settings to put back still. */
function nothingToRamp(input: CompileInput, { from, to }: Reading, { edges, stores }: Parts): string | null {
  if (from === null || to === null || edges.length === 0) return null;
  if (stores.some((view) => view.nodes.some(isOpen))) return null;
  const weights = edges.map((router) => weightsOf(input, router));
  if (weights.some((seen) => seen === null || (seen[from] ?? 0) > 0)) return null;
  return `Nothing to do: ${from} has no traffic that could move to ${to}.`;
}

/** Where no node of the side accepts writes, or would after a start. One that cannot be read is no reason to stop. */
function nothingToFence({ from, to }: Reading, { stores }: Parts): string | null {
  if (stores.length === 0) return 'Nothing to do: the service keeps no data.';
  if (from === null) return null;
  const nodes = stores.flatMap((view) => nodesAt(view, from));
  if (nodes.some((node) => mayWrite(node) || node.state === 'unreachable' || node.state === 'unknown')) return null;
  return `Nothing to do: nothing in ${from} accepts writes (${nodes.map((node) => `${node.name} is ${node.state}`).join(', ') || 'it has no store'})${to === null ? '' : `, ${to} stays as it is`}.`;
}

/** Only where exactly one side of every store is writable, everything else follows it, and no setting is still set aside. */
function nothingToProtect(input: CompileInput, { to }: Reading, { stores }: Parts): string | null {
  if (stores.length === 0) return 'Nothing to do: the service keeps no data that could be protected.';
  const done = stores.every(
    (view) =>
      view.writable.length === 1 &&
      view.writable[0]!.region === to &&
      (view.writable[0]!.seen?.suspended ?? []).length === 0 &&
      view.nodes.every((node) => (node.state === 'writable' || follows(view, node)) && !isOpen(node)),
  );
  return done ? `Nothing to do: every side of ${input.service.name} follows ${to}.` : null;
}
