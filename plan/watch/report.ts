/** What a check's answer is to a watch, and what of a vantage point's view is new. Pure. */
import type { CheckResult, Millis } from '../../drivers/ports.ts';
import type { PointReport, Reading } from './model.ts';

/** @param ms from asking to the answer; `null` where that is not the system's own time */
export function readingOf(result: CheckResult, ms: number | null, at: Millis): Reading | null {
  if (result.outcome === 'unknown') {
    if (result.unserved === undefined) return null;
    return { at, ok: false, answered: result.unserved === 'answered', ms: null };
  }
  return { at, ok: result.outcome === 'pass', answered: true, ms };
}

/** Whether it says something else than before. The first word is that every target has been read. */
export function isPointNews(shown: PointReport | null, now: PointReport): boolean {
  if (shown === null) return now.targets.every(({ signals }) => signals.failing.on !== null);
  return essence(shown) !== essence(now);
}

const essence = ({ targets }: PointReport): string =>
  JSON.stringify(
    targets.map(({ probe, region, signals: { failing, errorRate, latency }, silent }) => [
      ...[probe, region, silent],
      ...[failing.on, errorRate.on, latency.on],
    ]),
  );
