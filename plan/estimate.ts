/** How long a plan takes, as far as it can be told before. Pure. */
import type { Lag } from '../drivers/ports.ts';
import { type Estimate, FROZEN, type Stage, type Step } from './model.ts';
import { TYPICAL_SECONDS } from './timeouts.ts';

/** What Temporal adds to each step, in seconds: scheduling, a worker's poll, history. */
const OVERHEAD_SECONDS = 0.02;

/** Seconds a step usually takes, its own waits included. */
export function stepSeconds(step: Step, lag: Record<string, Lag | null>): number {
  const wait = typeof step.input.durationMs === 'number' ? step.input.durationMs / 1000 : 0;
  // Replaying goes faster than the writing did, but by how much nobody knows: the lag itself is the cautious figure.
  const behind = step.verb === 'converge' ? (lag[step.component ?? '']?.seconds ?? 0) : 0;
  return TYPICAL_SECONDS[step.verb] + OVERHEAD_SECONDS + wait + behind;
}

/** The longest chain of steps that wait for each other. */
export function stageSeconds(stage: Stage, lag: Record<string, Lag | null>): number {
  const ends = new Map<string, number>();
  for (const step of stage.steps) {
    // `after` names earlier steps of the stage; one that is listed later has not begun anything yet.
    const start = Math.max(0, ...(step.after ?? []).map((id) => ends.get(id) ?? 0));
    const skipped = step.onlyIf !== undefined;
    ends.set(step.id, start + (skipped ? 0 : stepSeconds(step, lag)));
  }
  return Math.max(0, ...ends.values());
}

export function estimateOf(
  stages: readonly Stage[],
  lag: Record<string, Lag | null>,
): Omit<Estimate, 'lossBytes' | 'lossSeconds'> {
  const byStage: Estimate['stages'] = {};
  for (const stage of stages) byStage[stage.name] = round((byStage[stage.name] ?? 0) + stageSeconds(stage, lag));
  const sum = (names: readonly string[] | null) =>
    round(
      Object.entries(byStage)
        .filter(([name]) => names === null || names.includes(name))
        .reduce((total, [, seconds]) => total + seconds, 0),
    );
  // Without a fence or a switchover nobody is kept from writing.
  const frozen = stages.some((stage) => ['quiesce', 'fence', 'promote-atomic'].includes(stage.name));
  return { seconds: sum(null), freezeSeconds: frozen ? sum(FROZEN) : 0, stages: byStage };
}

const round = (seconds: number) => Math.round(seconds * 100) / 100;
