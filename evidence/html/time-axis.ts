/**
 * A time axis that stays readable when a run of seconds waited hours for a person: stretches in which nothing ran
 * are drawn as a narrow break that says how long it was. Pure.
 */
import { duration } from '../format.ts';

export interface Axis {
  /** Horizontal place of a time; times outside are clamped to the ends. */
  x(at: number): number;
  breaks: Array<{ x0: number; x1: number; from: number; to: number; text: string }>;
  ticks: Array<{ x: number; text: string }>;
}

export type Interval = readonly [from: number, to: number];

const BREAK_WIDTH = 46;
/** Least distance between two ticks. */
const TICK_ROOM = 74;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const LONG_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 604800];

/**
 * @param active when something ran; the axis covers from the first to the last
 * @param zero what ticks count from
 * @param area left and right end of the axis
 * @param minIdleMs shorter stretches without activity are drawn to scale
 */
export function timeAxis(
  active: Interval[],
  zero: number,
  area: { left: number; right: number },
  minIdleMs = 3_000,
): Axis {
  const merged = merge(active);
  const total = merged.reduce((sum, [from, to]) => sum + (to - from), 0);
  const idle = Math.max(minIdleMs, total * 0.12);
  const parts = join(merged, idle);
  const width = area.right - area.left - BREAK_WIDTH * (parts.length - 1);
  const scaled = parts.reduce((sum, [from, to]) => sum + (to - from), 0) || 1;
  const placed: Array<{ from: number; to: number; x0: number; x1: number }> = [];
  let at = area.left;
  for (const [from, to] of parts) {
    const w = (width * (to - from)) / scaled;
    placed.push({ from, to, x0: at, x1: at + w });
    at += w + BREAK_WIDTH;
  }
  const x = (time: number): number => {
    const first = placed[0];
    if (first === undefined) return area.left;
    if (!(time > first.from)) return first.x0;
    for (const [i, p] of placed.entries()) {
      if (time <= p.to) return p.to === p.from ? p.x0 : p.x0 + ((time - p.from) / (p.to - p.from)) * (p.x1 - p.x0);
      const next = placed[i + 1];
      if (next !== undefined && time < next.from) return p.x1 + ((time - p.to) / (next.from - p.to)) * (next.x0 - p.x1);
    }
    return placed.at(-1)!.x1;
  };
  return {
    x,
    breaks: placed.slice(1).map((p, i) => {
      const [from, to] = [placed[i]!.to, p.from];
      return { x0: placed[i]!.x1, x1: p.x0, from, to, text: duration(to - from) };
    }),
    ticks: placed.flatMap((p) => ticks(p, zero, x, scaled / Math.max(1, width))),
  };
}

function merge(intervals: Interval[]): Interval[] {
  const sorted = intervals
    .filter(([from, to]) => Number.isFinite(from) && Number.isFinite(to))
    .map(([from, to]): Interval => [from, Math.max(from, to)])
    .sort((a, b) => a[0] - b[0]);
  return join(sorted, 0);
}

/** Joins sorted intervals that are at most `gap` apart. */
function join(sorted: Interval[], gap: number): Interval[] {
  const out: Array<[number, number]> = [];
  for (const [from, to] of sorted) {
    const last = out.at(-1);
    if (last !== undefined && from - last[1] <= gap) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}

function ticks(
  part: { from: number; to: number },
  zero: number,
  x: (at: number) => number,
  msPerPx: number,
): Axis['ticks'] {
  const least = TICK_ROOM * msPerPx;
  const step = [...STEPS, ...LONG_STEPS.map((s) => s * 1000)].find((s) => s >= least) ?? least;
  const out: Axis['ticks'] = [];
  for (let n = Math.ceil((part.from - zero) / step); zero + n * step <= part.to && out.length < 60; n += 1)
    out.push({ x: x(zero + n * step), text: n === 0 ? '0' : tickText(n * step) });
  return out;
}

function tickText(ms: number): string {
  const abs = Math.abs(ms);
  const text =
    abs < 1000
      ? `${abs} ms`
      : abs < 120_000
        ? `${abs / 1000} s`
        : abs < 7_200_000
          ? `${Math.round(abs / 6000) / 10} min`
          : `${Math.round(abs / 360_000) / 10} h`;
  return `${ms < 0 ? '−' : '+'}${text}`;
}
