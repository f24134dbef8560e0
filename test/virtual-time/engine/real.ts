/** The engine on a real dev server, acting on the same model world through real workers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import type { RunRecord } from '../../../evidence/record.ts';
import type { GateView, MessageAnswer, RunStatus } from '../../../workflows/contract.ts';
import { answer, realCall, startServer } from '../samples/real-server.ts';
import { BUNDLE, PLANNED } from './run.ts';
import { type Drivable, type EngineScenario, QUICK_RAMP, summaryOf } from './scenarios.ts';
import { A, B, ModelWorld } from './world/world.ts';

const DEADLINE_MS = 90_000;

export interface RealEngine {
  address: string;
  run(scenario: EngineScenario): Promise<object>;
  /** Stops the workers beside this region. */
  removeWorkers(region: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startRealEngine(): Promise<RealEngine> {
  // Hung activities end in errors at shutdown; they are part of the scenarios.
  Runtime.install({ logger: new DefaultLogger('ERROR', () => {}) });
  const environment = await startServer([]);
  const models = new Map<string, ModelWorld>();
  const activities = {
    default: (...args: unknown[]) => {
      const call = realCall(args);
      return answer((models.get(call.workflowId) as ModelWorld).activities(call));
    },
  };
  const connection = environment.nativeConnection;
  const common = { connection, activities, shutdownForceTime: 500 };
  const workers = new Map<string, { worker: Worker; running: Promise<void> }>();
  for (const queue of ['rampart', `rampart.${A}`, `rampart.${B}`]) {
    const worker = await Worker.create({
      ...common,
      taskQueue: queue,
      ...(queue === 'rampart' ? { workflowBundle: { codePath: BUNDLE } } : {}),
    });
    workers.set(queue, { worker, running: worker.run() });
  }
  const stop = async (queue: string): Promise<void> => {
    const found = workers.get(queue);
    workers.delete(queue);
    found?.worker.shutdown();
    // A forced shutdown of a worker with hung activities ends in an error that says just that.
    await found?.running.catch(() => {});
  };
  return {
    address: environment.address,
    async run(scenario) {
      const model = new ModelWorld({ service: { ramp: QUICK_RAMP, group: scenario.name }, pace: 0.5 });
      model.useClock(() => Date.now());
      scenario.before?.(model);
      const workflowId = `failover/${scenario.name}`;
      models.set(workflowId, model);
      const handle = await environment.client.workflow.start('failover', {
        workflowId,
        taskQueue: 'rampart',
        args: [scenario.request ?? PLANNED],
      });
      model.cancelRun = () => handle.cancel().then(() => undefined);
      const run = new RealRun(model, handle);
      await scenario.script(run);
      const status = await run.closed();
      return summaryOf(await run.query<RunRecord>('evidence'), model, status);
    },
    removeWorkers: (region) => stop(`rampart.${region}`),
    async stop() {
      await Promise.all([...workers.keys()].map(stop));
      await environment.teardown();
    },
  };
}

class RealRun implements Drivable {
  readonly model: ModelWorld;
  readonly #handle: WorkflowHandle;

  constructor(model: ModelWorld, handle: WorkflowHandle) {
    this.model = model;
    this.#handle = handle;
  }

  query<T>(name: string): Promise<T> {
    return this.#handle.query<T>(name);
  }

  send(verb: string, input: unknown = { by: 'bob' }): Promise<MessageAnswer> {
    return this.#handle.executeUpdate<MessageAnswer, [unknown]>(verb, { args: [input] });
  }

  gate(name?: string): Promise<GateView> {
    return this.#wait(`gate ${name ?? ''}`, async () => {
      const { gate } = await this.query<RunStatus>('status');
      return gate && (name === undefined || gate.name === name) ? gate : null;
    });
  }

  holding(): Promise<NonNullable<RunStatus['holding']>> {
    return this.#wait('a hold', async () => (await this.query<RunStatus>('status')).holding);
  }

  async approve(extra: object = {}): Promise<void> {
    const { id, needsOverride } = await this.gate();
    await this.send('decide', { gate: id, decision: 'approve', by: 'bob', override: needsOverride, ...extra });
  }

  async until(step: string): Promise<void> {
    await this.#wait(step, async () => this.model.attempts.includes(step) || null);
  }

  async cancel(): Promise<void> {
    await this.#handle.cancel();
  }

  async closed(): Promise<string> {
    try {
      await this.#handle.result();
      return 'completed';
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      const { name } = (await this.#handle.describe()).status;
      return name === 'CANCELLED' ? 'canceled' : name.toLowerCase();
    }
  }

  async #wait<T>(what: string, look: () => Promise<T | null>): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      if (Date.now() > deadline) throw new Error(`${this.#handle.workflowId} does not come to ${what}`);
      await sleep(20);
    }
  }
}
