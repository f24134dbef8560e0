/** A halt of the service speaks against every run but the one that only fences. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import type { Situation } from '../situation.ts';
import { blocker, resumeCommand, warning } from './finding.ts';

export function haltFindings({ input }: Situation): Finding[] {
  const { halt, request, service } = input;
  if (halt === undefined || halt === null) return [];
  const since = new Date(halt.since).toISOString();
  const message = `${service.name} is halted since ${since} by ${halt.by}: ${halt.reason}`;
  // A second writable side makes a corruption worse, and fencing it moves no data.
  if (request.action === 'refence') return [warning('halted', message, 'Fencing a returned primary goes on.')];
  const remedy = `A run may carry the corruption to the other side. Look at \`rampart halt ${service.name}\`; \`${resumeCommand(service.name)}\` ends the halt.`;
  return [blocker('halted', message, remedy, { override: 'halted' })];
}
