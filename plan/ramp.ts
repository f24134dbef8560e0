/**
 * The arithmetic of a ramp. A step is the share of the source's starting weight that has moved:
 * `to = to₀ + from₀ · p / 100`, whole percent, other regions untouched, never backwards on a repeat.
 * Pure; workflow code imports it too.
 */
import type { Weights } from '../drivers/ports.ts';
import type { RegionName } from '../topology/model.ts';

/** Whole percent that add up to 100, by largest remainder; ties go to the region whose name sorts first. */
export function normalise(weights: Weights): Weights {
  const regions = Object.keys(weights);
  const total = regions.reduce((sum, region) => sum + Math.max(0, weights[region]!), 0);
  if (total <= 0) return { ...weights };
  const exact = regions.map((region) => ({ region, share: (Math.max(0, weights[region]!) * 100) / total }));
  const result: Weights = {};
  for (const { region, share } of exact) result[region] = Math.floor(share);
  let rest = 100 - Object.values(result).reduce((a, b) => a + b, 0);
  const byRemainder = [...exact].sort(
    (a, b) => (b.share % 1) - (a.share % 1) || (a.region < b.region ? -1 : a.region > b.region ? 1 : 0),
  );
  for (const { region } of byRemainder) {
    if (rest === 0) break;
    result[region]! += 1;
    rest -= 1;
  }
  return result;
}

export interface Shift {
  /** Weights before the ramp began; they add up to 100. */
  start: Weights;
  from: RegionName;
  to: RegionName;
  /** Share of the source's starting weight that shall have moved, 0 to 100. */
  percent: number;
  /** Present weights, when known: the target never gets less than it has. */
  present?: Weights;
  /** Smallest step of the router, in percent. */
  resolution?: number;
}

/** The weights after a step of the ramp. They add up to 100 whenever `start` does; regions without traffic are 0. */
export function weightsAt({ start, from, to, percent, present, resolution = 1 }: Shift): Weights {
  const base = normalise(start);
  const [from0, to0] = [base[from] ?? 0, base[to] ?? 0];
  const exact = to0 + (from0 * percent) / 100;
  const grain = Math.max(1, Math.round(resolution));
  // At 100 % everything moves whatever the grain; before that the grain rounds, and never beyond what there is.
  const rounded = percent >= 100 ? from0 + to0 : Math.min(from0 + to0, Math.round(exact / grain) * grain);
  const target = Math.max(to0, rounded, Math.min(from0 + to0, present?.[to] ?? 0));
  return { ...base, [from]: from0 + to0 - target, [to]: target };
}

/** The share of the source's starting weight that has moved, in percent; 100 when it had none. */
export function movedPercent(start: Weights, present: Weights, to: RegionName, from: RegionName): number {
  const from0 = start[from] ?? 0;
  if (from0 <= 0) return 100;
  const moved = (((present[to] ?? 0) - (start[to] ?? 0)) * 100) / from0;
  return Math.min(100, Math.max(0, moved));
}

/**
 * The steps still to do.
 * @param steps rising shares in percent
 * @param last  the last share wanted (steps beyond it are dropped, it is added)
 * @param moved the share that has moved already
 */
export function remainingSteps(steps: readonly number[], last: number, moved: number): number[] {
  const wanted = [...steps.filter((p) => p < last), last];
  return wanted.filter((p) => p > moved);
}

/** What is wrong with a list of steps, as a sentence, or `null`. */
export function rampProblem(steps: readonly number[]): string | null {
  if (steps.length === 0) return 'the ramp has no steps';
  const bad = steps.find((p) => !Number.isInteger(p) || p < 1 || p > 100);
  if (bad !== undefined) return `the ramp step ${bad} is no whole percent from 1 to 100`;
  const fall = steps.findIndex((p, i) => i > 0 && p <= steps[i - 1]!);
  return fall === -1 ? null : `the ramp does not rise: ${steps[fall]} comes after ${steps[fall - 1]}`;
}
