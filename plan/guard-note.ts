/** What whoever follows the page of manual commands must know of the guard. Pure. */
import type { Service } from '../topology/model.ts';

/**
 * What acts by itself beside a person at the keyboard, and what stops it.
 * @returns comment lines; none where nothing acts by itself
 */
export function guardNote(service: Service, from: string, to: string): string[] {
  const { name, guard, returningPrimary } = service;
  if (guard?.enabled !== true || returningPrimary !== 'fence') return [];
  return [
    `# It acts only while Temporal and a worker beside the old primary run. Once ${to} is promoted and clients are sent`,
    `# there, it fences ${from} by itself as soon as that takes writes again: it stops the server and writes standby.signal.`,
    `# It never touches the side on the higher timeline, and nothing while clients are sent to ${from}.`,
    `#   see it:   rampart guard ${name}`,
    `#   stop it:  returningPrimary: notify   for ${name}, in the topology of the control workers; heeded within a minute`,
    '#             (terminating its workflow does not last: the workers start it again)',
    `#   by hand, with Temporal:     rampart refence ${name}`,
    `#   by hand, without Temporal:  rampart escape ${name} --to ${to}   while ${from} takes writes: it begins with the fence`,
  ];
}
