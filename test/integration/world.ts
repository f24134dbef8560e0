/**
 * A world of the lab for one test file: real Temporal, PostgreSQL pair, router, apps, workers and a continuous
 * writer. Every test leaves it with one active region and a replica that follows, so that one world serves a file.
 * Programs use it as well: nothing here needs a test runner.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { type Document, parseDocument } from 'yaml';
import type { RunRecord } from '../../evidence/record.ts';
import type { Verification } from '../../lab/load/verify.ts';
import { installPart } from '../../lab/parts/install.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import type { WorldReport } from '../../lab/world/running.ts';
import type { Cloud, WorldSpec } from '../../lab/world/spec.ts';
import { untilAnswers } from '../../lab/world/temporal.ts';
import { openWorld, removeWorld, type World } from '../../lab/world.ts';
import type { MessageAnswer, RunStatus } from '../../workflows/contract.ts';
import { CONTROL_QUEUE } from '../../workflows/contract.ts';

export const LOCK = 'failover/checkout';
/** Who decides in these tests. */
export const PERSON = 'ana@example.com';

export interface TestWorldOptions {
  /** Orders per second of the writer. */
  load?: number;
  workers?: number;
  bake?: string;
  /** Whether a guard watches the service. */
  guard?: boolean;
  /** Example of `examples/` that the world is built by. */
  cloud?: Cloud;
}

/** How a run ended. */
export interface Ended {
  /** `completed`, or the type of the failure: `RolledBack`, `Refused`, `NeedsHuman`, `InvalidInput`, `Cancelled`. */
  status: string;
  text: string;
  record: RunRecord;
}

export interface TestRun {
  handle: WorkflowHandleWithFirstExecutionRunId;
  status(): Promise<RunStatus>;
  /** Asks `status` until it fits. @throws with the last status' essentials when the deadline passes or the run ends */
  until(what: string, fits: (status: RunStatus) => boolean, deadlineMs?: number): Promise<RunStatus>;
  /** Waits for an open gate of that name and approves it, with the overrides that it asks for. */
  approve(gate: string, more?: object): Promise<RunStatus>;
  /** Approves every gate that opens, with what it asks for, until the run has ended. @returns the names of the gates */
  approveAll(deadlineMs?: number): Promise<string[]>;
  send(verb: string, input: unknown): Promise<MessageAnswer>;
  /** Waits for the end, one minute at most unless said otherwise. */
  ended(deadlineMs?: number): Promise<Ended>;
}

export interface TestWorld {
  lab: World;
  report: WorldReport;
  client: Client;
  /** Runs the `temporal` CLI against the world's server. @returns standard output @throws with what it said */
  temporal(...args: string[]): Promise<string>;
  /** Starts a run; under its lock unless another ID is given. */
  start(type: string, input: unknown, workflowId?: string): Promise<TestRun>;
  /** The run that holds the lock, or held it last. */
  run(): TestRun;
  /** Region whose database accepts writes, and the other one. */
  sides(): Promise<{ active: string; other: string }>;
  /** Changes the topology file; workers read it anew at every start of a run. */
  editTopology(change: (file: Document) => void): void;
  /** Puts the first topology back. */
  resetTopology(): void;
  /**
   * Stops the writer, looks for every order acknowledged since `from` in the active database, and lets the writer go on.
   */
  verifyOrders(from?: number): Promise<Verification>;
  /** Waits until the other side streams from the active one and has applied everything. */
  untilProtected(): Promise<void>;
  /** Waits until every worker polls its queue, after some were started again. */
  untilWorkers(): Promise<void>;
  /** Between tests: the first topology again; after a failed one also no run, open links, and everything started. */
  tidy(failed: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Polls until `look` gives something. @throws naming what did not come about */
export async function until<T>(what: string, look: () => Promise<T | undefined>, deadlineMs = 90_000): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${deadlineMs / 1000} s`, { cause: last });
    await sleep(20);
  }
}

/** @param suffix names the world; one per test file */
export async function openTestWorld(suffix: string, options: TestWorldOptions = {}): Promise<TestWorld> {
  const name = `it-${process.pid}-${suffix}`;
  const { load = 40, workers = 1, bake = '1s', guard = false, cloud } = options;
  const lab = await openWorld({ name, load, workers, bake, guard, cloud, tied: true });
  const { world: report } = await lab.status();
  const connection = await Connection.connect({ address: report.temporal.address });
  const client = new Client({ connection, namespace: report.temporal.namespace });
  const { bin } = await installPart('temporal');
  const topology = readFileSync(report.config, 'utf8');
  const database = (region: string): string => report.regions[region]!.database;

  const run = (handle: WorkflowHandleWithFirstExecutionRunId): TestRun => runOf(handle);
  const sides = async (): Promise<{ active: string; other: string }> => {
    const { databases } = await lab.status();
    const writable = databases.filter(({ role }) => role === 'primary').map(({ region }) => region);
    if (writable.length !== 1) throw new Error(`writable are: ${writable.join(', ') || 'none'}`);
    return { active: writable[0]!, other: databases.find(({ region }) => region !== writable[0])!.region };
  };
  return {
    lab,
    report,
    client,
    sides,
    temporal: (...args) =>
      runTemporal(bin, ['--address', report.temporal.address, '--namespace', report.temporal.namespace, ...args]),
    start: async (type, input, workflowId = LOCK) =>
      run(await client.workflow.start(type, { taskQueue: CONTROL_QUEUE, workflowId, args: [input] })),
    run: () => run(client.workflow.getHandle(LOCK) as WorkflowHandleWithFirstExecutionRunId),
    editTopology: (change) => {
      const file = parseDocument(readFileSync(report.config, 'utf8'));
      change(file);
      writeFileSync(report.config, file.toString());
    },
    resetTopology: () => writeFileSync(report.config, topology),
    verifyOrders: async (from) => {
      const writer = await lab.load();
      await writer.pause();
      const found = await writer.verify(database((await sides()).active), from === undefined ? {} : { from });
      await writer.resume();
      return found;
    },
    untilProtected: async () => {
      await until('a replica that follows the active side', async () => {
        const { active, other } = await sides();
        const { rows } = await withClient(database(active), (c) => c.query('SELECT pg_current_wal_lsn() AS lsn'));
        const applied = await withClient(database(other), (c) =>
          c.query(
            `SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there
             FROM pg_stat_wal_receiver WHERE status = 'streaming'`,
            [rows[0].lsn],
          ),
        );
        return applied.rows[0]?.there === true ? true : undefined;
      });
    },
    untilWorkers: async () => {
      const { workerPorts } = JSON.parse(readFileSync(join(lab.dir, 'world.json'), 'utf8')) as WorldSpec;
      await Promise.all(workerPorts.map((port) => untilAnswers(`http://127.0.0.1:${port}/readyz`, 60_000, 'a worker')));
    },
    tidy: async (failed) => {
      writeFileSync(report.config, topology);
      if (!failed) return;
      await lab.heal();
      for (const what of ['temporal', 'worker', 'app', 'database'] as const)
        for (const where of what === 'temporal' ? [undefined] : [...Object.keys(report.regions)])
          await lab.start(where === undefined ? { what } : { what, where }).catch(() => {});
      await lab.start({ what: 'worker', where: 'control' }).catch(() => {});
      await client.workflow
        .getHandle(LOCK)
        .terminate('its test failed')
        .catch(() => {});
    },
    close: async () => {
      await connection.close().catch(() => {});
      // RAMPART_KEEP_WORLD leaves the logs of a failed run for a look; the processes end in any case.
      if (process.env.RAMPART_KEEP_WORLD) await lab.down();
      else await removeWorld(name);
    },
  };
}

export function runOf(handle: WorkflowHandleWithFirstExecutionRunId): TestRun {
  const status = (): Promise<RunStatus> => handle.query<RunStatus>('status');
  const untilStatus: TestRun['until'] = async (what, fits, deadlineMs = 90_000) => {
    let last: RunStatus | undefined;
    try {
      await until(
        what,
        async () => {
          last = await status();
          return fits(last) || last.outcome !== null ? last : undefined;
        },
        deadlineMs,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; ${describe(last)}`, { cause: (error as Error).cause });
    }
    if (!fits(last!)) throw new Error(`${what}: the run ended before; ${describe(last)}`);
    return last!;
  };
  const send: TestRun['send'] = (verb, input) =>
    handle.executeUpdate<MessageAnswer, [unknown]>(verb, { args: [input] });
  return {
    handle,
    status,
    until: untilStatus,
    send,
    approve: async (gate, more = {}) => {
      const open = await untilStatus(`gate ${gate} is open`, (s) => s.gate?.name === gate);
      const { id, needsOverride } = open.gate!;
      await send('decide', { gate: id, decision: 'approve', by: PERSON, override: needsOverride, ...more });
      return open;
    },
    approveAll: async (deadlineMs = 240_000) => {
      const approved: string[] = [];
      for (;;) {
        const fits = (s: RunStatus): boolean => s.outcome !== null || s.gate?.approvedBy.length === 0;
        const { outcome, gate } = await untilStatus('a gate or the end', fits, deadlineMs);
        if (outcome !== null || gate === null) return approved;
        const { id, needsOverride } = gate;
        // The facts may change between the look and the word; then the gate is looked at again.
        const said = await send('decide', { gate: id, decision: 'approve', by: PERSON, override: needsOverride }).catch(
          () => undefined,
        );
        if (said?.applied) approved.push(gate.name);
      }
    },
    ended: async (deadlineMs = 180_000) => {
      await untilStatus('the run ends', (s) => s.outcome !== null, deadlineMs);
      return endOf(handle);
    },
  };
}

/** Waits for the workflow's end. @returns it; the failure of a cancelled workflow brings no record along */
export async function endOf(handle: WorkflowHandleWithFirstExecutionRunId): Promise<Ended> {
  try {
    const record = (await handle.result()) as RunRecord;
    return { status: 'completed', text: record.text, record };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const cause = error.cause as { name: string; type?: string; message: string; details?: unknown[] } | undefined;
    const status = cause?.type ?? (cause?.name === 'CancelledFailure' ? 'Cancelled' : (cause?.name ?? 'unknown'));
    return { status, text: cause?.message ?? '', record: cause?.details?.[0] as RunRecord };
  }
}

/** What a person would ask first about a run that does not get where it should. */
function describe(status: RunStatus | undefined): string {
  if (status === undefined) return 'no status could be read';
  return JSON.stringify(
    {
      phase: status.phase,
      outcome: status.outcome,
      text: status.text,
      gate: status.gate?.id,
      holding: status.holding?.reason,
      unfinished: status.steps
        .filter((s) => s.state !== 'done')
        .map((s) => `${s.id}: ${s.state} ${s.error?.message ?? ''}`),
      log: status.log.slice(-12).map((l) => l.text),
    },
    null,
    1,
  );
}

function runTemporal(bin: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0
        ? resolve(out)
        : reject(new Error(`temporal ${args.slice(4).join(' ')} ended with ${code}:\n${err || out}`)),
    );
  });
}
