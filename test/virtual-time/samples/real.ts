/** Runs rows of the calibration's table on a real Temporal dev server. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  WorkflowFailedError,
  type WorkflowHandle,
  type WorkflowHandleWithFirstExecutionRunId,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import { answer, realCall, startServer } from './real-server.ts';
import type { Act, Scenario } from './scenarios.ts';
import { eventLine, type Observed, SAMPLE_WORKFLOWS } from './virtual.ts';
import { describeError } from './workflows.ts';

const TASK_QUEUE = 'samples';
/** How long one scenario may take; the longest waits a few seconds for its time-outs. */
const DEADLINE_MS = 30_000;

export interface RealServer {
  run(scenario: Scenario): Promise<Observed>;
  stop(): Promise<void>;
}

/** A dev server with one worker for all scenarios, which may run at the same time. */
export async function startRealServer(scenarios: Scenario[]): Promise<RealServer> {
  quietRuntime();
  const environment = await startServer([defineSearchAttributeKey('RampartService', 'KEYWORD')]);
  const stopWorker = await startWorker(environment, scenarios);
  return {
    run: (scenario) => runScenario(environment, scenario),
    async stop() {
      await stopWorker();
      await environment.teardown();
    },
  };
}

let installed = false;
/** Before anything else of Temporal's in this process, once. */
export function quietRuntime(): void {
  // Hung activities end in errors at shutdown; they are part of the scenarios.
  if (installed) return;
  const logging = { filter: makeTelemetryFilterString({ core: 'ERROR' }) };
  Runtime.install({ logger: new DefaultLogger('ERROR', () => {}), telemetryOptions: { logging } });
  installed = true;
}

let bundle: ReturnType<typeof bundleWorkflowCode> | null = null;

/** @returns what stops it */
export async function startWorker(
  environment: TestWorkflowEnvironment,
  scenarios: Scenario[],
): Promise<() => Promise<void>> {
  bundle ??= bundleWorkflowCode({ workflowsPath: SAMPLE_WORKFLOWS, logger: new DefaultLogger('WARN') });
  const workflowBundle = await bundle;
  const worker = await Worker.create({
    connection: environment.nativeConnection,
    taskQueue: TASK_QUEUE,
    workflowBundle,
    activities: { default: (...args: unknown[]) => runActivity(scenarios, args) },
    // Hung activities are part of the scenarios: do not wait for them.
    shutdownForceTime: 500,
    maxConcurrentActivityTaskExecutions: 200,
  });
  const running = worker.run();
  return async () => {
    worker.shutdown();
    // Forced shutdown of a worker with hung activities ends in an error that says just that.
    await running.catch(() => {});
  };
}

function workflowIdOf(scenario: Scenario): string {
  return scenario.name.replaceAll(/\W+/g, '-');
}

function runActivity(scenarios: Scenario[], args: unknown[]): unknown {
  const call = realCall(args);
  const workflowId = call.workflowId.replace(/\/child$/, '');
  const activity = scenarios.find((scenario) => workflowIdOf(scenario) === workflowId)?.activities?.[call.type];
  if (!activity) throw new Error(`no activity ${call.type} for ${workflowId}`);
  return answer(activity(call));
}

async function runScenario(environment: TestWorkflowEnvironment, scenario: Scenario): Promise<Observed> {
  const handle = await begin(environment, scenario);
  const updates: string[] = [];
  for (const act of scenario.acts ?? []) await perform(handle, act, updates);
  return { ...(await observe(environment, handle)), updates };
}

export function begin(
  environment: TestWorkflowEnvironment,
  scenario: Scenario,
): Promise<WorkflowHandleWithFirstExecutionRunId> {
  const workflowId = workflowIdOf(scenario);
  const options = { workflowId, taskQueue: TASK_QUEUE, args: scenario.args ?? [] };
  return environment.client.workflow.start(scenario.workflow, options);
}

/** Waits for its end. */
export async function observe(
  environment: TestWorkflowEnvironment,
  handle: WorkflowHandleWithFirstExecutionRunId,
): Promise<Omit<Observed, 'updates'>> {
  const outcome = await Promise.race([
    handle.result().then(
      (result) => `completed ${JSON.stringify(result)}`,
      (error: unknown) => failedLine(error),
    ),
    sleep<string>(DEADLINE_MS, 'still open', { ref: false }),
  ]);
  return { events: await eventsOf(environment, handle.workflowId, handle.firstExecutionRunId), outcome };
}

function failedLine(error: unknown): string {
  if (!(error instanceof WorkflowFailedError)) return `unexpected ${describeError(error)}`;
  const cause = error.cause as Error;
  if (cause.name === 'CancelledFailure') return 'canceled';
  if (cause.name === 'TerminatedFailure') return 'terminated';
  return `failed ${describeError(cause)}`;
}

/** What the client's types ask of arguments; here they may be none. */
type Arguments = [unknown, ...unknown[]];

async function perform(handle: WorkflowHandle, act: Act, updates: string[]): Promise<void> {
  await reached(handle, act.after);
  await sleep(act.delay ?? 0);
  if (act.signal) await handle.signal(act.signal[0], ...act.signal.slice(1));
  if (act.update) {
    const [name, ...args] = act.update;
    updates.push(
      await handle.executeUpdate<unknown, Arguments>(name, { args: args as Arguments }).then(
        (value) => `completed ${JSON.stringify(value)}`,
        (error: unknown) => `failed ${describeError(error instanceof WorkflowUpdateFailedError ? error.cause : error)}`,
      ),
    );
  }
  if (act.cancel) await handle.cancel();
  if (act.terminate) await handle.terminate();
}

/** Waits until its history has got so far. */
export async function reached(handle: WorkflowHandle, { event, name: of, count = 1 }: Act['after']): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const seen = (await historyLines(handle)).filter((line) => line.event === event && (!of || line.name === of));
    if (seen.length >= count) break;
    if (Date.now() > deadline) throw new Error(`${handle.workflowId}: no ${event} ${of ?? ''} in its history`);
    await sleep(20);
  }
}

interface Line {
  event: string;
  name?: string;
  attempt?: number;
}

/** Events of all runs, from the first on through continue-as-new. */
async function eventsOf(environment: TestWorkflowEnvironment, workflowId: string, firstRunId: string) {
  const events: string[] = [];
  for (let runId: string | undefined = firstRunId; runId; ) {
    const history = await environment.client.workflow.getHandle(workflowId, runId).fetchHistory();
    events.push(...linesOf(history).map(({ event, ...facts }) => eventLine(event, facts)));
    runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
  }
  return events;
}

async function historyLines(handle: WorkflowHandle): Promise<Line[]> {
  return linesOf(await handle.fetchHistory());
}

type History = temporal.api.history.v1.IHistory;
type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** The history in the words of the virtual trace. What only a real server has (workflow tasks, starts) is left out. */
function linesOf(history: History): Line[] {
  const events = history.events ?? [];
  const byId = new Map(events.map((event) => [String(event.eventId), event]));
  return events.flatMap((event) => {
    const type = temporal.api.enums.v1.EventType[event.eventType as number] ?? '';
    const words = type.replace('EVENT_TYPE_', '').toLowerCase().split('_');
    const name = words.map((word, i) => (i === 0 ? word : (word[0] ?? '').toUpperCase() + word.slice(1))).join('');
    if (name.startsWith('workflowTask') || name === 'activityTaskStarted') return [];
    return { event: name, ...factsOf(event, byId) };
  });
}

function factsOf(event: HistoryEvent, byId: Map<string, HistoryEvent>): Omit<Line, 'event'> {
  const attributes = event[event.attributes as keyof HistoryEvent] as Record<string, unknown> | undefined;
  const link = (key: string): HistoryEvent | undefined => byId.get(String(attributes?.[key]));
  const scheduled =
    event.activityTaskScheduledEventAttributes ?? link('scheduledEventId')?.activityTaskScheduledEventAttributes;
  const type = scheduled?.activityType ?? attributes?.workflowType;
  const accepted = link('acceptedEventId') ?? event;
  const name =
    (event.workflowExecutionContinuedAsNewEventAttributes ? undefined : (type as { name?: string })?.name) ??
    (attributes?.signalName as string | undefined) ??
    (attributes?.markerName as string | undefined) ??
    accepted.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.name ??
    undefined;
  return { name, attempt: link('startedEventId')?.activityTaskStartedEventAttributes?.attempt ?? undefined };
}
