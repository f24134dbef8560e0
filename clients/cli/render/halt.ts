/** That a service is halted, for people and for programs. */
import type { RunRef } from '../../runs.ts';
import type { Paint } from '../cli.ts';

export function haltedLine(service: string, { startedAt }: RunRef, paint: Paint): string {
  const since = new Date(startedAt).toISOString();
  return `${paint.red('HALTED')} since ${since}: rampart halt ${service} says why, rampart resume ${service} ends it`;
}

/** Field names are a promise, see docs/cli.md. */
export function haltedAnswer(halt: RunRef | null): { workflowId: string; startedAt: number } | null {
  return halt === null ? null : { workflowId: halt.workflowId, startedAt: halt.startedAt };
}
