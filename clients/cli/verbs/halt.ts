import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { renderHalt } from '../../../evidence/halt.ts';
import type { HaltRecord } from '../../../evidence/halt-record.ts';
import { NoWorker, TaskFails } from '../../ask.ts';
import type { Temporal } from '../../connection.ts';
import { haltRecord, startHalt } from '../../halts.ts';
import { MessageNotTaken, MessageRefused, sendMessage } from '../../messages.ts';
import { findRun, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { linkLine, speaker, withTemporal } from '../session.ts';
import { haltFor } from '../topology.ts';

export interface HaltOptions {
  reason?: string;
  by?: string;
  replication?: boolean;
  out?: string;
}

/** How long this waits until everything stands still, in milliseconds; a run in its cut may take longer. */
const SETTLE_MS = 30_000;

/** `rampart halt <service>`: halts it with a reason; without one shows the record of the open or the last halt. */
export async function run(cli: Cli, args: string[], options: HaltOptions): Promise<ExitCode> {
  const [service] = args as [string];
  const { reason } = options;
  const workflowId = await haltFor(cli, service);
  return withTemporal(cli, service, async (temporal) => {
    if (reason === undefined) return show(cli, temporal, service, workflowId, options.out);
    if (reason.trim() === '')
      throw badInput('--reason must say why', `rampart halt ${service} --reason 'wrong amounts'`);
    const by = speaker(cli, options.by);
    const started = await startHalt(temporal, workflowId, {
      ...{ service, by, reason },
      replication: options.replication !== false,
    });
    cli.print(linkLine(temporal, started.run));
    if (started.already) await note(cli, temporal, service, started.run, { by, reason });
    return settle(cli, temporal, service, started.run, options.out);
  });
}

async function note(cli: Cli, temporal: Temporal, service: string, run: RunRef, input: { by: string; reason: string }) {
  try {
    await sendMessage(temporal, run, 'note', input);
    cli.print(`${service} is halted already; this stands in its record now.`);
  } catch (error) {
    if (error instanceof MessageRefused || error instanceof MessageNotTaken)
      throw failed('refused', `${service} is halted already, and that could not be noted: ${error.message}`);
    throw error;
  }
}

async function show(
  cli: Cli,
  temporal: Temporal,
  service: string,
  workflowId: string,
  out: string | undefined,
): Promise<ExitCode> {
  const found = await findRun(temporal, workflowId);
  if (found === null)
    throw failed('noRun', `${service} has never been halted`, `rampart halt ${service} --reason '…'   halts it`);
  const record = await haltRecord(temporal, found);
  if (record === null) throw failed('noRun', `${service} is not halted, and the record of the last halt is gone`);
  await tell(cli, record, out);
  return record.state === 'closed' ? EXIT.done : EXIT.waiting;
}

/** Waits until everything stands still, so that what could not be stopped is seen here and not minutes later. */
async function settle(
  cli: Cli,
  temporal: Temporal,
  service: string,
  run: RunRef,
  out: string | undefined,
): Promise<ExitCode> {
  let record: HaltRecord | null = null;
  for (const deadline = Date.now() + SETTLE_MS; Date.now() < deadline && !cli.io.signal.aborted; await sleep(200)) {
    try {
      record = await haltRecord(temporal, run);
    } catch (error) {
      if (error instanceof TaskFails) throw error;
      if (!(error instanceof NoWorker)) throw failed('refused', (error as Error).message);
      cli.note(`The halt waits for a worker (rampart worker); runs and triggers are held all the same.`);
      return EXIT.waiting;
    }
    if (record !== null && record.state !== 'stopping') break;
  }
  if (record === null) return EXIT.waiting;
  await tell(cli, record, out);
  cli.print(`\nShow it again: rampart halt ${service}. End it: rampart resume ${service} --reason '…'`);
  return record.state === 'stopping' ? EXIT.waiting : EXIT.done;
}

async function tell(cli: Cli, record: HaltRecord, out: string | undefined): Promise<void> {
  cli.answer(record);
  const text = renderHalt(record);
  if (out === undefined) return cli.print(text);
  await writeFile(out, text);
  cli.print(`Written: ${out}`);
}
