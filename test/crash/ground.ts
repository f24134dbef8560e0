/** What cells stand on: one running world, its recorder, and what is read from it before and after a run. */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Json } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { Acknowledgement } from '../../lab/load/ledger.ts';
import type { WorldSpec } from '../../lab/world/spec.ts';
import type { Plan } from '../../plan/model.ts';
import { CONTROL_QUEUE, type GateView, WORKFLOW_TASK_TIMEOUT } from '../../workflows/contract.ts';
import { endOf, LOCK } from '../integration/world.ts';
import { type Hands, openHands } from './hands.ts';
import { readHistory } from './history.ts';
import { type Care, careFor, type Watched } from './person.ts';
import { appliedWeights, type Recorder, startRecorder } from './recorder.ts';
import type { RunSeen } from './trace.ts';

export interface Ground {
  hands: Hands;
  recorder: Recorder;
  spec: WorldSpec;
  /** Compiles a plan as a run would, and changes nothing. */
  plan(action: string, input: object): Promise<Plan>;
  /** Starts a run and cares for it until it has ended. */
  run(action: string, input: object, care?: RunCare): Promise<RunDone>;
  snapshot(): Promise<Record<string, Json>>;
  /** Region that the edge sends most of its traffic to, and the other one. */
  traffic(): Promise<{ most: string; other: string }>;
  /** Where the writer's acknowledgements and every process's log end now. */
  mark(): Mark;
  /** Orders acknowledged, and lines logged, since a mark. */
  since(mark: Mark): { acknowledged: Acknowledgement[]; logs: Array<{ where: string; text: string }> };
  /** Says what somebody is at, so that a hang can be told from outside. */
  at(who: 'cell' | 'fault' | 'run', what: string): void;
  /** What everybody is at. */
  where(): string;
  close(): Promise<void>;
}

export type RunCare = Partial<Care> & {
  onStart?: (runId: string) => void;
  /** Of the second orchestrator. */
  client?: Client;
};

export interface RunDone {
  /** `completed`, the type of the failure, or `gone` when its server does not know it any more. */
  status: string;
  text: string;
  debts: number;
  watched: Watched;
  /** `null`: nothing of it can be read any more. */
  seen: RunSeen | null;
}

export type Mark = Record<string, number>;

/** A run that has not ended by then hangs, in milliseconds. */
const RUN_DEADLINE_MS = 120_000;

export async function openGround(suffix: string): Promise<Ground> {
  const hands = await openHands(suffix);
  const { world, client } = hands;
  const spec = JSON.parse(readFileSync(join(world.lab.dir, 'world.json'), 'utf8')) as WorldSpec;
  const recorder = startRecorder(hands);
  const acks = join(world.lab.dir, 'acknowledged.jsonl');
  const logs = join(world.lab.dir, 'logs');
  let plans = 0;
  const whereabouts = new Map<string, string>();
  const at: Ground['at'] = (who, what) => void whereabouts.set(who, `${what} (since ${new Date().toISOString()})`);

  const snapshot = async (): Promise<Record<string, Json>> => {
    const roles = await hands.roles();
    const state: Record<string, Json> = {
      writable: Object.keys(roles).filter((region) => roles[region] === 'primary'),
      edge: await appliedWeights(spec, 'edge'),
      writer: await appliedWeights(spec, 'writer'),
    };
    for (const [region, { app }] of Object.entries(world.report.regions))
      state[`app@${region}`] = await fetch(`${app}/rampart`, { signal: AbortSignal.timeout(2_000) })
        .then(async (answer) => ((await answer.json()) as { state: string }).state)
        .catch(() => null);
    return state;
  };
  return {
    hands,
    recorder,
    spec,
    at,
    where: () => [...whereabouts].map(([who, what]) => `${who}: ${what}`).join('; '),
    snapshot,
    plan: (action, input) => {
      plans += 1;
      return client.workflow.execute('plan', {
        taskQueue: CONTROL_QUEUE,
        workflowId: `crash/plan/${process.pid}-${plans}`,
        args: [{ action, ...input }],
      });
    },
    run: async (action, input, { client: other, onStart, ...care } = {}) => {
      const on = other ?? client;
      const lock = other === undefined ? LOCK : `${LOCK} of the second orchestrator`;
      const before = await snapshot();
      const handle = await on.workflow.start(action, {
        taskQueue: CONTROL_QUEUE,
        workflowId: LOCK,
        args: [input],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      });
      const ref = { workflowId: LOCK, runId: handle.firstExecutionRunId };
      onStart?.(ref.runId);
      at('run', `${action} ${ref.runId} is cared for`);
      const gates = new Map<string, GateView>();
      const watched = await careFor(hands, on, ref, {
        deadlineMs: RUN_DEADLINE_MS,
        ...care,
        onStatus: (status) => {
          const { phase, holding, gate } = status;
          at('run', `${action} ${ref.runId} in ${phase}, gate ${gate?.id}, holding ${holding?.reason}`);
          if (status.gate !== null) gates.set(status.gate.id, status.gate);
        },
      });
      at('run', `${action} ${ref.runId} has ended, or its server has lost it`);
      const snapshots = { before, after: await snapshot() };
      // What was frozen wakes up now, after the end; until then it would keep a closed run from being asked.
      await hands.mend();
      await hands.thaw();
      at('run', `the end of ${action} ${ref.runId} is read`);
      const closed = on.workflow.getHandle(LOCK, ref.runId) as typeof handle;
      try {
        // Known at all? Else waiting for its end would wait for ever.
        await closed.describe();
        const end = await endOf(closed);
        // The failure of a cancelled workflow brings no record along; the closed run still answers, by a whole replay.
        const record = end.record ?? (await closed.query<RunRecord>('evidence'));
        const { status, text } = end;
        const history = await readHistory(on, ref);
        const seen = { id: ref.runId, lock, history, record, gates: [...gates.values()], snapshots };
        return { status, text: text || record.text, debts: record.debt.length, watched, seen };
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        return { status: 'gone', text: 'its server lost everything', debts: 0, watched, seen: null };
      }
    },
    traffic: async () => {
      const weights = await appliedWeights(spec, 'edge');
      const [most, other] = Object.keys(weights).sort((a, b) => weights[b]! - weights[a]!);
      return { most: most!, other: other! };
    },
    mark: () => Object.fromEntries([acks, ...filesIn(logs)].map((file) => [file, statSync(file).size])),
    since: (mark) => ({
      acknowledged: readSince(acks, mark[acks] ?? 0)
        .split('\n')
        .flatMap((line) => {
          try {
            return [JSON.parse(line) as Acknowledgement];
          } catch {
            return []; // the last line, still being written
          }
        }),
      logs: filesIn(logs).map((file) => ({ where: basename(file), text: readSince(file, mark[file] ?? 0) })),
    }),
    close: async () => {
      await recorder.stop();
      await hands.close();
    },
  };
}

const filesIn = (folder: string): string[] => readdirSync(folder).map((name) => join(folder, name));

/** What was written to a file after `from`, in bytes. */
function readSince(file: string, from: number): string {
  const descriptor = openSync(file, 'r');
  try {
    const length = fstatSync(descriptor).size - from;
    const buffer = Buffer.alloc(Math.max(0, length));
    const read = readSync(descriptor, buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, read);
  } finally {
    closeSync(descriptor);
  }
}
