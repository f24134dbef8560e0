/** A run as programs get it. Field names are a promise, see docs/cli.md. */
import type { RunStatus } from '../../../workflows/contract.ts';
import { runLink, type Temporal } from '../../connection.ts';
import type { Ending, RunRef } from '../../runs.ts';

export interface RunAnswer {
  service: string;
  workflowId: string;
  runId: string;
  action: string;
  state: 'running' | 'closed';
  startedAt: number;
  closedAt: number | null;
  /** Link into the Web UI; `null` when its address is not known. */
  link: string | null;
  /** Set when the run is closed. */
  outcome: Ending['outcome'] | null;
  text: string;
  /** Why `status` is missing or old; `null` when it is of now. */
  trouble: string | null;
  /** When the run said `status`, in milliseconds since the epoch. */
  statusAt: number | null;
  status: RunStatus | null;
}

export function runAnswer(
  temporal: Pick<Temporal, 'ui' | 'namespace'>,
  service: string,
  view: { run: RunRef; status: RunStatus | null; seenAt: number | null; trouble: string | null; ending: Ending | null },
): RunAnswer {
  const { run, status, ending } = view;
  return {
    service,
    workflowId: run.workflowId,
    runId: run.runId,
    action: run.type,
    state: ending === null ? 'running' : 'closed',
    startedAt: run.startedAt,
    closedAt: run.closedAt,
    link: runLink(temporal, run.workflowId, run.runId),
    outcome: ending?.outcome ?? null,
    text: ending?.text ?? status?.text ?? '',
    trouble: view.trouble,
    statusAt: view.seenAt,
    status,
  };
}
