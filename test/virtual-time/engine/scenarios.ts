/** Runs of the engine that are compared with a real server; more rows may be added. */
import { ApplicationFailure } from '@temporalio/common';
import type { RunRecord } from '../../../evidence/record.ts';
import type { GateView, MessageAnswer, RunStatus } from '../../../workflows/contract.ts';
import { checkout } from '../../plan/world.ts';
import { UNPLANNED } from './run.ts';
import { A, B, type ModelWorld, type Script } from './world/world.ts';

/** What a scenario does to a run, on either world. */
export interface Drivable {
  readonly model: ModelWorld;
  gate(name?: string): Promise<GateView>;
  holding(): Promise<NonNullable<RunStatus['holding']>>;
  approve(extra?: object): Promise<void>;
  send(verb: string, input?: unknown): Promise<MessageAnswer>;
  until(step: string): Promise<void>;
  cancel(): Promise<void>;
}

export interface EngineScenario {
  name: string;
  /** Kept as a golden history when recording. */
  golden?: true;
  request?: object;
  before?: (model: ModelWorld) => void;
  /** Regions without a worker. */
  withoutWorkers?: string[];
  script: (run: Drivable) => Promise<unknown>;
}

/** Short, since a real server needs the time for real. */
export const QUICK_RAMP = { ...checkout.ramp, steps: [50, 100], bakeMs: 300, intervalMs: 100 };

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};
const busy: Script = () => {
  throw ApplicationFailure.retryable('the system is busy', 'ProviderUnavailable');
};

export const ENGINE_SCENARIOS: EngineScenario[] = [
  { name: 'planned', golden: true, script: (run) => run.approve() },
  {
    name: 'rejected',
    script: async (run) => {
      await run.gate();
      await run.send('reject', { by: 'bob', comment: 'not today' });
    },
  },
  {
    name: 'aborted-in-prepare',
    script: async (run) => {
      await run.approve();
      await run.until('converge:orders-db');
      await run.send('abort', { by: 'bob', reason: 'wrong service' });
    },
  },
  {
    name: 'cancelled-in-the-freeze',
    golden: true,
    script: async (run) => {
      await run.approve();
      await run.until('catchUp:orders-db');
      await run.cancel();
    },
    // Slow enough for a real cancel request to arrive in between.
    before: (model) =>
      model.on('catchUp:orders-db', async (act, call) => {
        await call.sleep(10_000);
        return act();
      }),
  },
  {
    name: 'catch-up-fails',
    before: (model) => model.on('catchUp:orders-db', refuse, 99),
    script: (run) => run.approve(),
  },
  {
    name: 'fence-is-busy',
    before: (model) => model.on(`fence:orders-db@${A}`, busy, 2),
    script: (run) => run.approve(),
  },
  {
    name: 'promotion-answer-fails',
    before: (model) =>
      model.on('promote:orders-db', async (act) => {
        await act();
        throw ApplicationFailure.nonRetryable('connection reset', 'ProviderUnavailable');
      }),
    script: (run) => run.approve(),
  },
  {
    name: 'promotion-refused',
    golden: true,
    before: (model) => model.on('promote:orders-db', refuse, 99),
    script: (run) => run.approve(),
  },
  {
    name: 'bake-fails-then-retried',
    golden: true,
    before: (model) => model.on('bake@100', refuse),
    script: async (run) => {
      await run.approve();
      await run.holding();
      await run.send('retry');
    },
  },
  {
    name: 'drain-skipped',
    before: (model) => model.on(`drain:shop@${A}`, refuse, 99),
    script: async (run) => {
      await run.approve();
      await run.holding();
      await run.send('skip', { by: 'bob', step: `drain:shop@${A}`, reason: 'its host is gone' });
    },
  },
  {
    name: 'paused',
    script: async (run) => {
      await run.approve();
      await run.until('converge:orders-db');
      await run.send('pause');
      await run.send('resume');
    },
  },
  {
    name: 'withdrawn',
    script: async (run) => {
      await run.gate();
      await run.send('withdraw', { by: 'bob' });
    },
  },
  {
    name: 'unplanned-region-lost',
    golden: true,
    request: UNPLANNED,
    before: (model) => model.lose(A),
    withoutWorkers: [A],
    script: async (run) => {
      await run.approve({ maxLoss: { seconds: 3_600 } });
      await run.gate('promote');
      await run.approve({ maxLoss: { seconds: 3_600 } });
    },
  },
];

/** What is compared: everything but times and the order of what happens at the same time. */
export function summaryOf(record: RunRecord, model: ModelWorld, status: string): object {
  return {
    status,
    outcome: record.outcome,
    text: record.text.replaceAll(/\d+(\.\d+)? s\b/g, 'n s'),
    steps: record.steps
      .map(({ id, state, scheduled, error }) => `${id} ${state} ${scheduled} ${error?.type ?? ''}`)
      .sort(),
    undone: model.attempts.filter((id) => id.startsWith('undo:')),
    attempts: [...new Set(model.attempts)].sort(),
    decisions: record.decisions.map(({ gate, decision, by }) => `${gate} ${decision} ${by}`),
    messages: record.messages.map(({ verb, applied }) => `${verb} ${applied}`),
    debt: record.debt.map(({ code, component, region }) => `${code} ${component} ${region}`).sort(),
    crossed: record.pointOfNoReturn.crossedAt !== null,
    revoked: record.pointOfNoReturn.revokedAt !== null,
    writable: model.database().writable,
    weights: Object.values(model.traffic.routers).map(({ weights }) => [weights[A], weights[B]]),
  };
}
