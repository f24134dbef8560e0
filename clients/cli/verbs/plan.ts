import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { within } from '../../../drivers/within.ts';
import type { Plan } from '../../../plan/model.ts';
import { renderPlan } from '../../../plan/render.ts';
import { CONTROL_QUEUE } from '../../../workflows/contract.ts';
import { abortable } from '../../abortable.ts';
import { pollersOf } from '../../ask.ts';
import type { Temporal } from '../../connection.ts';
import type { RunRef } from '../../runs.ts';
import { startPlan } from '../../start.ts';
import type { Cli } from '../cli.ts';
import { badInput, CliError, EXIT, type ExitCode, failed } from '../exit.ts';
import { readTimeout } from '../options.ts';
import { commandOf, type RequestOptions, readRequest } from '../request.ts';
import { speaker, withTemporal } from '../session.ts';

interface PlanOptions extends RequestOptions {
  by?: string;
  timeout?: string;
}

/** Longest wait for a plan, in milliseconds, unless --timeout says otherwise. */
const TIMEOUT_MS = 60_000;
/** After this a plan that is still not there makes us look whether anybody makes plans. */
const UNMANNED_MS = 3_000;

/** `rampart plan <action>`: observes the live state, changes nothing, says what would be done. */
export async function run(cli: Cli, args: string[], options: PlanOptions): Promise<ExitCode> {
  const { request } = await readRequest(cli, args, options, speaker(cli, options.by));
  const timeoutMs = readTimeout(options.timeout) ?? TIMEOUT_MS;
  return withTemporal(cli, request.service, async (temporal) => {
    const plan = await made(cli, temporal, await startPlan(temporal, request), timeoutMs);
    cli.answer(plan);
    if (!cli.json) {
      cli.io.out(renderPlan(plan, { palette: cli.paint, width: Math.min(cli.io.size().columns, 120) }));
    }
    const blocked = plan.facts.blockers.length > 0;
    if (!blocked && plan.nothingToDo === null) cli.print(`Start it: ${commandOf(request)} --digest ${plan.digest}`);
    return blocked ? EXIT.failed : EXIT.done;
  });
}

/** Waits for the plan; Ctrl-C, the time-out and the lack of workers cancel it. */
async function made(cli: Cli, temporal: Temporal, run: RunRef, timeoutMs: number): Promise<Plan> {
  const handle = temporal.client.workflow.getHandle(run.workflowId, run.runId);
  const over = within(timeoutMs);
  const unmanned = new AbortController();
  const look = setTimeout(() => {
    pollersOf(temporal, CONTROL_QUEUE, 'workflow').then(
      (pollers) => pollers.length === 0 && unmanned.abort(),
      () => undefined,
    );
  }, UNMANNED_MS);
  const signal = AbortSignal.any([cli.io.signal, over, unmanned.signal]);
  try {
    return (await abortable(handle.result(), signal)) as Plan;
  } catch (error) {
    if (!signal.aborted) throw refusal(error);
    await handle.cancel().catch(() => undefined);
    if (unmanned.signal.aborted) {
      throw failed(
        'noWorker',
        `no worker polls the task queue ${CONTROL_QUEUE}: nobody can observe`,
        'Start one: rampart worker',
      );
    }
    if (over.aborted) {
      throw new CliError(EXIT.waiting, `no plan after ${timeoutMs / 1000} s`, {
        code: 'timedOut',
        next: ['`rampart doctor` shows what is missing.'],
      });
    }
    throw new CliError(EXIT.interrupted, 'interrupted; the plan was cancelled', { code: 'interrupted' });
  } finally {
    clearTimeout(look);
  }
}

/** The workflow's own words, with the exit code of their kind. */
function refusal(error: unknown): unknown {
  if (!(error instanceof WorkflowFailedError)) return error;
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    return cause.type === 'InvalidInput' ? badInput(cause.message) : failed('failed', cause.message);
  }
  if (cause instanceof CancelledFailure) return failed('failed', 'the plan was cancelled');
  return failed('failed', cause?.message ?? error.message);
}
