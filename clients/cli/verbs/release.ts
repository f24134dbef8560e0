import { WorkflowFailedError } from '@temporalio/client';
import { within } from '../../../drivers/within.ts';
import { lockOf } from '../../../topology/model.ts';
import { abortable } from '../../abortable.ts';
import { runLink } from '../../connection.ts';
import { endingOf, findRun } from '../../runs.ts';
import { LockHeld, startRelease } from '../../start.ts';
import type { Cli } from '../cli.ts';
import { badInput, CliError, EXIT, type ExitCode, failed } from '../exit.ts';
import { readTimeout } from '../options.ts';
import { speaker, withTemporal } from '../session.ts';
import { requireTopology, serviceIn } from '../topology.ts';

interface ReleaseOptions {
  by?: string;
  waive?: boolean;
  reason?: string;
  timeout?: string;
}

/** Old data can be large: removing it may take long. In milliseconds. */
const TIMEOUT_MS = 600_000;

/** `rampart release <service>`: lets go of the old data that a rebuild kept aside. */
export async function run(cli: Cli, args: string[], options: ReleaseOptions): Promise<ExitCode> {
  const [name] = args as [string];
  const { waive, reason } = options;
  if (waive === true && !reason) {
    throw badInput('--waive needs --reason: why the old data may go although the debt is not paid');
  }
  const timeoutMs = readTimeout(options.timeout) ?? TIMEOUT_MS;
  const service = serviceIn(await requireTopology(cli), name);
  const by = speaker(cli, options.by);
  return withTemporal(cli, name, async (temporal) => {
    const run = await startRelease(temporal, lockOf(service), {
      service: name,
      by,
      ...(waive === true ? { waive } : {}),
      ...(reason === undefined ? {} : { reason }),
    }).catch((error: unknown) => {
      if (!(error instanceof LockHeld)) throw error;
      throw failed('locked', `${name} is locked: a run is on (${error.holder.runId})`, `rampart status ${name} -w`);
    });
    const over = within(timeoutMs, cli.io.signal);
    const handle = temporal.client.workflow.getHandle(run.workflowId, run.runId);
    await abortable(handle.result(), over).catch((error: unknown) => {
      if (error instanceof WorkflowFailedError) return;
      if (!over.aborted) throw error;
      const next = [`rampart history ${name}`];
      if (cli.io.signal.aborted) {
        throw new CliError(EXIT.interrupted, 'interrupted; it goes on', { code: 'interrupted', next });
      }
      const text = `it is not over after ${timeoutMs / 1000} s, and goes on`;
      throw new CliError(EXIT.waiting, text, { code: 'timedOut', next });
    });
    const ending = await endingOf(temporal, (await findRun(temporal, run.workflowId, run.runId)) ?? run);
    const released = ending.outcome === 'completed' || ending.outcome === 'nothingToDo';
    cli.answer({
      service: name,
      workflowId: run.workflowId,
      runId: run.runId,
      released,
      outcome: ending.outcome,
      text: ending.text,
      link: runLink(temporal, run.workflowId, run.runId),
    });
    cli.print(`${name}: ${ending.text}`);
    return released ? EXIT.done : EXIT.failed;
  });
}
