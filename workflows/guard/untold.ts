/** What a guard has found and not everybody could be told: kept until they have heard, or until it says the opposite. */
import type { HealthNews } from '../../activities/contract.ts';
import type { Millis } from '../../drivers/ports.ts';
import { keyOf } from '../../plan/health/judge.ts';
import type { HealthFinding } from '../../plan/health/model.ts';

export interface Untold {
  opened: HealthNews[];
  cleared: HealthNews[];
  /** Tries that failed since something was first kept. */
  tries: number;
  /** Not tried again before, unless there is news. */
  notBefore: Millis;
}

export const NONE_UNTOLD: Untold = { opened: [], cleared: [], tries: 0, notBefore: 0 };

/** Between two tries, in milliseconds: doubled each time. */
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 900_000;
/** Most findings of each kind that are kept; the newest. */
const MOST_KEPT = 100;

export const isUntold = ({ opened, cleared }: Untold): boolean => opened.length > 0 || cleared.length > 0;

/** The last word about each finding: what has opened and is over meanwhile is told as being over. */
export function withNews(
  untold: Untold,
  { opened, cleared }: { opened: readonly HealthFinding[]; cleared: readonly HealthFinding[] },
  at: Millis,
): Untold {
  const news = new Set([...opened, ...cleared].map(keyOf));
  const both = (kept: readonly HealthNews[], more: readonly HealthFinding[]) =>
    [...kept.filter((one) => !news.has(keyOf(one))), ...more.map((one) => ({ ...one, at }))].slice(-MOST_KEPT);
  return { ...untold, opened: both(untold.opened, opened), cleared: both(untold.cleared, cleared) };
}

export function afterFailure(untold: Untold, now: Millis): Untold {
  const tries = untold.tries + 1;
  return { ...untold, tries, notBefore: now + Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS) };
}

/** How long the guard may watch before it tells again what not everybody has heard, in milliseconds. */
export function untilToldAgain(untold: Untold, now: Millis, longestMs: number): number {
  return isUntold(untold) ? Math.min(Math.max(untold.notBefore - now, 1_000), longestMs) : longestMs;
}
