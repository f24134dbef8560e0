/** What of the facts a decision depends on, so that a watcher can tell news from noise. Pure; used by workflows. */
import type { Facts } from './model.ts';

export interface Material {
  state: string;
  /** Codes of blockers with their component. */
  blockers: string[];
  /** Stores without a fresh lag reading. */
  unread: string[];
  loss: { kind: string; open: boolean; seconds: number | null };
}

export function materialOf(facts: Facts): Material {
  const { kind, toTime, seconds } = facts.loss;
  return {
    state: facts.classified.state,
    blockers: facts.blockers.map((b) => `${b.code}@${b.component ?? ''}`).sort(),
    unread: Object.entries(facts.lag).flatMap(([store, lag]) => (lag?.fresh ? [] : [store])),
    loss: { kind, open: kind !== 'none' && toTime === null, seconds },
  };
}

/** A loss that grew by less than this is no news, in seconds; a longer one must grow by a tenth. */
const NEWS_SECONDS = 5;

/** Whether people who saw `shown` should be shown `now`. */
export function isNews(shown: Material, now: Material): boolean {
  if (shown.state !== now.state || shown.loss.kind !== now.loss.kind || shown.loss.open !== now.loss.open) return true;
  if (shown.blockers.join() !== now.blockers.join() || shown.unread.join() !== now.unread.join()) return true;
  const [before, after] = [shown.loss.seconds, now.loss.seconds];
  if (before === null || after === null) return before !== after;
  return after - before > Math.max(NEWS_SECONDS, before / 10);
}
