import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../../drivers/within.ts';
import type { Request } from '../../../plan/model.ts';
import { CONTROL_QUEUE } from '../../../workflows/contract.ts';
import { isUnmanned, TaskFails } from '../../ask.ts';
import { runLink, type Temporal } from '../../connection.ts';
import { follow, type View } from '../../follow.ts';
import { MessageRefused, sendMessage } from '../../messages.ts';
import { endedWell, findRun, queryStatus, type RunRef } from '../../runs.ts';
import { LockHeld, startRun } from '../../start.ts';
import type { Cli } from '../cli.ts';
import { CliError, EXIT, type ExitCode, failed } from '../exit.ts';
import { readTimeout } from '../options.ts';
import { endingLines, headline, waitingLines } from '../render/run.ts';
import { runAnswer } from '../render/run-json.ts';
import { type Asked, commandOf, type RequestOptions, readRequest } from '../request.ts';
import { linkLine, speaker, withTemporal } from '../session.ts';
import { watch } from '../watch.ts';

export interface StartOptions extends RequestOptions {
  by?: string;
  replace?: boolean;
  wait?: boolean;
  timeout?: string;
}

/** How long `start` waits to say where the run got to: its gate, its refusal, or that it is on its way. */
const SETTLE_MS = 30_000;
/** Workers of a server that has just started need a moment to be back. */
const UNMANNED_MS = 3_000;
/** How long a withdrawn run may take to close. */
const CLOSE_MS = 30_000;

/** `rampart start <action>` */
export async function run(cli: Cli, args: string[], options: StartOptions): Promise<ExitCode> {
  const by = speaker(cli, options.by);
  const asked = await readRequest(cli, args, options, by);
  const timeoutMs = readTimeout(options.timeout);
  return withTemporal(cli, asked.request.service, async (temporal) => {
    const started = await begin(cli, temporal, asked, options.replace === true, by);
    const { service } = asked.request;
    cli.print(`${started.workflowId}  ${cli.paint.dim(`run ${started.runId}`)}`);
    cli.print(linkLine(temporal, started));
    if (options.wait === true) {
      return watch(cli, temporal, started, { service, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    }
    return settle(cli, temporal, service, started);
  });
}

async function begin(cli: Cli, temporal: Temporal, asked: Asked, replace: boolean, by: string): Promise<RunRef> {
  try {
    return await startRun(temporal, asked.lock, asked.request);
  } catch (error) {
    if (!(error instanceof LockHeld)) throw error;
    if (!replace) throw await held(temporal, error.holder, asked.request);
    await withdraw(cli, temporal, error.holder, asked.request, by);
    return startRun(temporal, asked.lock, asked.request);
  }
}

/** Ends a run that has done nothing yet, and waits until its lock is free. */
async function withdraw(cli: Cli, temporal: Temporal, holder: RunRef, request: Request, by: string): Promise<void> {
  try {
    await sendMessage(temporal, holder, 'withdraw', { by, reason: 'replaced by another request' });
  } catch (error) {
    if (!(error instanceof MessageRefused)) throw error;
    throw failed(
      'refused',
      `the run cannot be replaced: ${error.message}`,
      ...(await whatMayApply(temporal, holder, request)),
    );
  }
  const deadline = Date.now() + CLOSE_MS;
  while (Date.now() < deadline) {
    const now = await findRun(temporal, holder.workflowId, holder.runId);
    if (now === null || now.closedAt !== null) {
      cli.note(`Withdrew run ${holder.runId}.`);
      return;
    }
    await sleep(100);
  }
  throw failed('timedOut', `the run was withdrawn but is still not closed after ${CLOSE_MS / 1000} s: try again`);
}

/** The refusal by the lock: who holds it, where that run is, and what may be done. */
async function held(temporal: Temporal, holder: RunRef, request: Request): Promise<CliError> {
  let silence = 'no worker says where it is';
  const status = await queryStatus(temporal, holder).catch((error: unknown) => {
    if (error instanceof TaskFails) silence = error.message;
    return null;
  });
  const where =
    status === null
      ? silence
      : `${status.action} to ${status.to ?? '?'}, ${status.gate !== null ? `waiting at gate ${status.gate.id}` : status.phase}`;
  const since = new Date(holder.startedAt).toISOString();
  const link = runLink(temporal, holder.workflowId, holder.runId);
  const message = `${request.service} is locked: ${holder.workflowId} has been running since ${since} (${where}; run ${holder.runId})`;
  return new CliError(EXIT.failed, message, {
    code: 'locked',
    next: [...(await whatMayApply(temporal, holder, request)), ...(link === null ? [] : [link])],
    details: {
      holder: {
        workflowId: holder.workflowId,
        runId: holder.runId,
        action: holder.type,
        startedAt: holder.startedAt,
        phase: status?.phase ?? null,
        gate: status?.gate?.id ?? null,
        link,
      },
    },
  });
}

async function whatMayApply(temporal: Temporal, holder: RunRef, request: Request): Promise<string[]> {
  const status = await queryStatus(temporal, holder).catch(() => null);
  const name = request.service;
  const untouched = status !== null && status.gate !== null && status.steps.every(({ stage }) => stage === 'preflight');
  const commands = [
    [`rampart status ${name} -w`, 'watch it'],
    ...(untouched ? [[`${commandOf(request)} --replace`, 'withdraw it, it has done nothing yet, and start this']] : []),
    [`rampart escalate ${name} --reason '…'`, 'turn it into an unplanned run, when a region dies under it'],
    [`rampart abort ${name} --reason '…'`, 'stop it'],
  ];
  return commands.map(([command, effect]) => `${command}   ${effect}`);
}

/** Waits a little for the run's first answer, so that a refusal or a gate is seen here and not minutes later. */
async function settle(cli: Cli, temporal: Temporal, service: string, started: RunRef): Promise<ExitCode> {
  const signal = within(SETTLE_MS, cli.io.signal);
  let view: View | null = null;
  for await (const seen of follow(temporal, started, { intervalMs: 200, signal })) {
    view = seen;
    if (isSettled(seen)) break;
    const late = Date.now() - started.startedAt > UNMANNED_MS;
    if (late && seen.status === null && (await isUnmanned(temporal).catch(() => false))) break;
  }
  if (view === null) return EXIT.done;
  cli.answer(runAnswer(temporal, service, view));
  if (view.ending !== null) {
    for (const line of endingLines(view.ending, { ...view.run, service }, cli.paint, Date.now())) cli.print(line);
    return endedWell(view.ending.outcome) ? EXIT.done : EXIT.failed;
  }
  if (view.status === null) {
    const absent = await isUnmanned(temporal).catch(() => false);
    cli.note(
      absent
        ? `The run waits: no worker polls the task queue ${CONTROL_QUEUE}. Start one: rampart worker`
        : `The run has not said yet where it is: ${view.trouble}`,
    );
    return EXIT.waiting;
  }
  cli.print('');
  cli.print(headline(view.status, cli.paint));
  for (const line of waitingLines(view.status, cli.paint, Date.now())) cli.print(line);
  cli.print('');
  cli.print(`Watch it: rampart status ${service} -w`);
  return EXIT.done;
}

function isSettled({ status, ending }: View): boolean {
  if (ending !== null) return true;
  if (status === null) return false;
  return status.gate !== null || status.holding !== null || !['planning', 'preflight'].includes(status.phase);
}
