/** Maintenance windows: when they are on. Pure but for the time zones that the system knows. */
import { Cron } from 'croner';
import type { MaintenanceWindow } from './alerts.ts';

/**
 * Whether a maintenance window is on.
 * @param now milliseconds since the epoch
 * @returns its end, the latest where several are on; `null` when none is
 */
export function quietUntilOf(windows: readonly MaintenanceWindow[], now: number): number | null {
  const ends = windows.flatMap(({ cron, timeZone, durationMs }) => {
    // The newest beginning that can still be on: the first one after a duration ago, then the ones after that.
    const times = new Cron(cron, { timezone: timeZone });
    let begin = times.nextRun(new Date(now - durationMs));
    let end: number | null = null;
    while (begin !== null && begin.getTime() <= now) {
      end = begin.getTime() + durationMs;
      begin = times.nextRun(begin);
    }
    return end !== null && end > now ? [end] : [];
  });
  return ends.length === 0 ? null : Math.max(...ends);
}
