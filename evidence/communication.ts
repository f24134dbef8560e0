/** What had to be said to whom, and who was told: of the checklist and of the channels. */
import type { Row } from './audit.ts';
import { timeOfDay } from './format.ts';
import type { NotificationRecord, RunRecord } from './record.ts';

/** More failures than this of one channel are counted and not listed. */
const MOST_LISTED = 5;

export function communicationOf({ checklist = [], notifications = [] }: RunRecord): Row[] {
  const said = checklist.map(({ text, done }) => ({
    label: text,
    value: done === null ? 'not ticked' : `done, says ${done.by}, ${timeOfDay(done.at)}`,
  }));
  const channels = [...new Set(notifications.map(({ channel }) => channel))];
  const told = channels.map((name) => ({
    label: `told on ${name}`,
    value: toldOn(notifications.filter(({ channel }) => channel === name)),
  }));
  return [...said, ...told];
}

function toldOn(all: NotificationRecord[]): string {
  const failed = all.filter(({ result }) => result !== 'sent');
  const sent = `${all.length - failed.length} of ${all.length} events`;
  if (failed.length === 0) return sent;
  const listed = failed.slice(0, MOST_LISTED).map(({ event, at, text }) => `${event} at ${timeOfDay(at)}: ${text}`);
  const more = failed.length > MOST_LISTED ? `; and ${failed.length - MOST_LISTED} more` : '';
  return `${sent}; not told: ${listed.join('; ')}${more}`;
}
