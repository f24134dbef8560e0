/**
 * A guard and its refence in virtual time against a real server, on the same model world: the same words to people,
 * the same refence, the same end. With RAMPART_RECORD=1 the real runs are kept as golden histories for the replay test.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WorkflowNotFoundError } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunRecord } from '../../../evidence/record.ts';
import type { Health, LiveRun } from '../../../plan/health/model.ts';
import type { GuardStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK } from '../engine/run.ts';
import { summaryOf } from '../engine/scenarios.ts';
import { A, B, type ModelWorld } from '../engine/world/world.ts';
import type { Workflow } from '../harness.ts';
import { answer, realCall, startServer } from '../samples/real-server.ts';
import { failedOver, guardActivities, guardedWorld, oldPrimaryReturns, startGuard, type Watched } from './world.ts';

const RECORD = fileURLToPath(new URL('../../replay/record.mjs', import.meta.url));
const GUARD = 'guard/checkout';
/** So soon the server suggests to continue as new that the runs of a minute show it. */
const SHORT_HISTORIES = ['--dynamic-config-value', 'limit.historyCount.suggestContinueAsNew=40'];
const DEADLINE_MS = 90_000;

/** What a guard does in either world, driven in the same way. */
interface Driven {
  model: ModelWorld;
  until(what: string, fits: (health: Health) => boolean): Promise<void>;
  closed(): Promise<unknown>;
}

/** An old primary comes back and is fenced; a router points astray and back; then the topology has the service no more. */
async function script({ model, until, closed }: Driven): Promise<unknown> {
  await until('a first look', () => true);
  oldPrimaryReturns(model);
  await until('the old primary', ({ returned }) => returned !== null);
  await until('its fence', ({ returned, run }) => returned === null && run === null);
  model.traffic.routers.writer!.weights = { [A]: 100, [B]: 0 };
  await until('the writers astray', ({ findings }) => findings.some(({ code }) => code === 'writerAstray'));
  model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
  await until('the writers back', ({ findings }) => !findings.some(({ code }) => code === 'writerAstray'));
  delete model.topology.services.checkout;
  return closed();
}

interface Seen {
  told: string[];
  refence: object;
  end: unknown;
}

const seen = (told: string[], record: RunRecord, model: ModelWorld, end: unknown): Seen => ({
  // In what order things open and clear that come at the same look depends on how long a look takes.
  told: [...new Set(told)].sort(),
  refence: summaryOf(record, model, 'completed'),
  end,
});

function resultOf({ outcome }: Workflow): unknown {
  if (outcome?.status !== 'completed') throw new Error(`it did not complete: ${JSON.stringify(outcome)}`);
  return outcome.result;
}

async function virtually(): Promise<Seen> {
  const run = await startGuard({ before: failedOver });
  try {
    const end = await script({
      model: run.model,
      until: async (_what, fits) => void (await run.until(fits)),
      closed: async () => {
        await run.guard.runUntilClosed();
        return resultOf(run.guard);
      },
    });
    const record = resultOf(run.harness.workflow(LOCK)) as RunRecord;
    await run.harness.replay();
    return seen(run.told, record, run.model, end);
  } finally {
    await run.dispose();
  }
}

let environment: Awaited<ReturnType<typeof startServer>>;
const workers: Array<{ worker: Worker; running: Promise<void> }> = [];

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR', () => {}) });
  environment = await startServer([], SHORT_HISTORIES);
}, 120_000);

afterAll(async () => {
  for (const { worker } of workers) worker.shutdown();
  await Promise.all(workers.map(({ running }) => running.catch(() => {})));
  await environment?.teardown();
}, 30_000);

async function liveRun(): Promise<LiveRun | null> {
  try {
    const { status, runId, type, startTime } = await environment.client.workflow.getHandle(LOCK).describe();
    if (status.name !== 'RUNNING') return null;
    return { workflowId: LOCK, runId, type, startedAt: startTime.getTime() };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

async function continuedAs(runId: string): Promise<string | null | undefined> {
  const { events } = await environment.client.workflow.getHandle(GUARD, runId).fetchHistory();
  return events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
}

async function really(): Promise<Seen> {
  const model = guardedWorld('fence', []);
  model.useClock(() => Date.now());
  failedOver(model);
  const watched: Watched = { model, told: [], lastProof: null, live: liveRun };
  const handler = guardActivities(watched, { searchAttributes: [] });
  const activities = { default: (...args: unknown[]) => answer(handler(realCall(args))) };
  for (const taskQueue of ['rampart', 'rampart-guard', `rampart.${A}`, `rampart.${B}`]) {
    const worker = await Worker.create({
      ...{ connection: environment.nativeConnection, activities, shutdownForceTime: 500, taskQueue },
      ...(taskQueue === 'rampart' ? { workflowBundle: { codePath: BUNDLE } } : {}),
    });
    workers.push({ worker, running: worker.run() });
  }
  const { workflow } = environment.client;
  const guard = await workflow.start('guard', {
    ...{ workflowId: GUARD, taskQueue: 'rampart', args: [{ service: 'checkout' }] },
  });
  const first = guard.firstExecutionRunId;
  const end = await script({
    model,
    until: async (what, fits) => {
      for (const deadline = Date.now() + DEADLINE_MS; ; await sleep(50)) {
        const { health } = await workflow.getHandle(GUARD).query<GuardStatus>('health');
        if (health !== null && fits(health)) return;
        if (Date.now() > deadline) throw new Error(`the guard does not come to ${what}: ${JSON.stringify(health)}`);
      }
    },
    closed: () => workflow.getHandle(GUARD).result(),
  });
  const record = (await workflow.getHandle(LOCK).result()) as RunRecord;
  const { runId: last } = await workflow.getHandle(GUARD).describe();
  // A run that starts a refence and continues as new, one that was handed its state, and one that ends.
  const next = await continuedAs(first);
  expect([first, next]).not.toContain(last);
  if (process.env.RAMPART_RECORD) {
    const runs = [`${GUARD}@${first}=guard-refences`, `${GUARD}@${next}=guard-carried`, `${GUARD}@${last}=guard-ends`];
    execFileSync(process.execPath, [RECORD, ...runs, `${LOCK}=refence`], {
      env: { ...process.env, TEMPORAL_ADDRESS: environment.address },
    });
  }
  return seen(watched.told, record, model, end);
}

it('a guard and its refence do the same on a real server as in virtual time', async () => {
  expect(await really()).toEqual(await virtually());
}, 180_000);
