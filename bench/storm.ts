/**
 * 10,000 messages about one incident, from four senders at once, at `rampart serve` with a real Temporal, a real worker
 * and a real trigger; Temporal is killed in the middle and comes back. Beside it, in the same run, the least that could
 * answer a webhook.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Temporal } from '../clients/connection.ts';
import { installPart } from '../lab/parts/install.ts';
import { built } from '../lab/paths.ts';
import { freePorts } from '../lab/ports.ts';
import { devServerArguments, untilAnswers } from '../lab/world/temporal.ts';
import type { TriggerStatus } from '../workflows/contract.ts';
import { triggerOf } from '../workflows/contract.ts';
import { residentMiB } from './guards.ts';
import type { BenchOptions, Measure, Result } from './statistics.ts';
import { atOnce, delivery, SECRETS, SOURCES, sender } from './storm-senders.ts';
import { until } from './world.ts';

/** Before Temporal is away, while it is away, and after. */
const BEFORE = 6_000;
const AWAY = 2_000;
const AFTER = 2_000;
const MESSAGES = BEFORE + AWAY + AFTER;
/** And more of the same afterwards: whatever grows with every message would show. */
const MORE = 30_000;
/** Messages under way at one time: four of each sender. With 64, two cores are full, and the bare endpoint is as late. */
const WIDTH = 16;
/** So long the server knows a word again without asking Temporal (temporal-inbox.ts), and a little more. */
const FORGOTTEN_MS = 21_000;
const AWAY_MS = 10_000;
/** After the storm, until memory is read again. */
const CALM_MS = 5_000;
const DEADLINE_MS = 120_000;
const TRIGGER = 'eu-west-down';

const TOPOLOGY = `version: 1
regions:
  eu-west: {}
  eu-central: {}
components:
  db:
    type: postgres
    database: app
    user: rampart
    password: \${env:DB_PASSWORD}
    sides: { eu-west: { host: db.eu-west.internal }, eu-central: { host: db.eu-central.internal } }
services:
  checkout:
    tier: critical
    owner: team-checkout
    home: eu-west
    standby: [eu-central]
    components: [db]
    ramp: { bake: 2s, interval: 500ms }
    guard: { enabled: false }
${SOURCES}triggers:
  ${TRIGGER}:
    service: checkout
    to: eu-central
    when: [{ source: am }, { source: grafana }, { source: pagerduty }, { source: probe }]
    quorum: { atLeast: 4, within: 10m }
`;

interface Memory {
  before: number;
  /** The most that was seen. */
  during: number;
  after: number;
}

/** Of one storm. Milliseconds and MiB. */
interface Storm {
  taken: number[];
  away: number[];
  refused: number;
  /** Messages whose last answer was 202. */
  done: number;
  memory: Memory;
  /** After the messages of the time before Temporal went away, and after many more than the storm. */
  midway: number;
  later: number;
  bare: { taken: number[]; memory: Memory };
  runs: number;
  sources: number;
  signals: number;
}

export async function storm({ runs, alone, say }: BenchOptions): Promise<Result> {
  if (process.platform !== 'linux') throw new Error('the benchmark `storm` reads /proc: it needs Linux');
  const storms: Storm[] = [];
  for (let run = 1; run <= runs; run += 1) {
    const one = await blow(alone, say);
    storms.push(one);
    say(
      `run ${run}: p99 ${percentile(one.taken, 99).toFixed(1)} ms, ${one.refused} told to come again, ${one.runs} run proposed`,
    );
  }
  const each = (name: string, subject: string, unit: Measure['unit'], of: (one: Storm) => number, aim?: string) => ({
    ...{ name, subject, unit, values: storms.map(of) },
    ...(aim === undefined ? {} : { aim }),
  });
  const who = 'rampart serve';
  const peer = 'bare hono endpoint';
  return {
    benchmark: 'storm',
    about: `${MESSAGES} messages about one incident from four senders (Alertmanager, Grafana and PagerDuty with their signatures, a generic source with its own), ${WIDTH} at a time. Temporal is killed after ${BEFORE} of them and comes back ${AWAY_MS / 1_000} s later; who is told 503 sends again.`,
    measures: [
      each('answer, p50', who, 'ms', (one) => percentile(one.taken, 50)),
      each('answer, p99', who, 'ms', (one) => percentile(one.taken, 99), '< 50'),
      each('answer, longest', who, 'ms', (one) => Math.max(...one.taken), '< 3000'),
      each('answer while Temporal is away, longest', who, 'ms', (one) => Math.max(...one.away), '< 3000'),
      each('told to come again (503)', who, 'count', (one) => one.refused),
      each('memory before', who, 'MiB', (one) => one.memory.before),
      each(`memory after ${BEFORE} messages`, who, 'MiB', (one) => one.midway),
      each(`memory after ${MESSAGES} messages`, who, 'MiB', (one) => one.memory.after),
      each(`memory after ${MESSAGES + MORE} messages`, who, 'MiB', (one) => one.later),
      each('memory, most during', who, 'MiB', (one) => one.memory.during),
      each('messages that were taken', who, 'count', (one) => one.done, String(MESSAGES)),
      each('senders that the trigger has heard', who, 'count', (one) => one.sources, '4'),
      each('proposed runs', who, 'count', (one) => one.runs, '1'),
      each('signals to Temporal', who, 'count', (one) => one.signals),
      ...(alone
        ? []
        : [
            each('answer, p50', peer, 'ms', (one) => percentile(one.bare.taken, 50)),
            each('answer, p99', peer, 'ms', (one) => percentile(one.bare.taken, 99)),
            each('answer, longest', peer, 'ms', (one) => Math.max(...one.bare.taken)),
            each('memory, most during', peer, 'MiB', (one) => one.bare.memory.during),
            each(`memory after ${MESSAGES} messages`, peer, 'MiB', (one) => one.bare.memory.after),
          ]),
    ],
    notes: [
      `An answer is timed from the request to the end of its 202, in the sender, which shares the machine's cores with the server, the worker and Temporal: with ${WIDTH} messages under way, most of it is waiting for a core. With 64 under way (2,000 messages a second) the p99 was 73 to 80 ms here, and 49 to 58 ms for the bare endpoint, which does nothing.`,
      'The answers while Temporal is away are those that were sent then, 503 and 202 alike; they are in no other row.',
      `Every message was sent until it was taken. The trigger starts a run only when all four senders have been heard (quorum 4), so the one run stands for all of them; runs are counted by Temporal.`,
      'The bare endpoint (hono on Node, as rampart serve is) reads the body and answers 202: it proves nobody, keeps nothing and starts nothing.',
    ],
  };
}

async function blow(alone: boolean, say: (line: string) => void): Promise<Storm> {
  const dir = mkdtempSync(join(tmpdir(), 'rampart-storm-'));
  const children: ChildProcess[] = [];
  const end = (): void => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  process.once('exit', end);
  // Without a handler of its own a signal would leave the children behind.
  const stop = (): void => process.exit(130);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  let temporal: Temporal | null = null;
  try {
    const [port, uiPort, httpPort, hooks, bare] = (await freePorts(5)) as [number, number, number, number, number];
    const env = {
      ...{ TEMPORAL_ADDRESS: `127.0.0.1:${port}`, RAMPART_CONFIG: join(dir, 'rampart.yaml'), DB_PASSWORD: 'x' },
      ...{ RAMPART_STATE_DIR: join(dir, 'state'), ...SECRETS },
    };
    const start = (name: string, command: string, argv: string[]): ChildProcess => {
      const log = openSync(join(dir, `${name}.log`), 'a');
      const child = spawn(command, argv, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
      children.push(child);
      return child;
    };
    writeFileSync(join(dir, 'rampart.yaml'), TOPOLOGY);
    mkdirSync(join(dir, 'state'));
    const { bin } = await installPart('temporal');
    const argv = devServerArguments({ port, uiPort, httpPort }, join(dir, 'temporal.db'));
    const bring = async (): Promise<ChildProcess> => {
      const server = start('temporal', bin, argv);
      await untilAnswers(`http://127.0.0.1:${httpPort}/api/v1/namespaces/default`, 60_000, 'the dev server');
      return server;
    };
    const first = await bring();
    start('control', process.execPath, [built('bench/guards-worker.js')]);
    const serve = start('serve', process.execPath, [
      ...[built('clients/cli/main.js'), 'serve', '--address', `127.0.0.1:${hooks}`],
    ]);
    await untilAnswers(`http://127.0.0.1:${hooks}/healthz`, DEADLINE_MS, 'rampart serve');
    const peer = alone ? null : start('bare', process.execPath, [built('bench/storm-bare.js'), String(bare)]);
    const bareOf = peer === null ? empty() : await ofBare(peer, bare);

    const since = Date.now() - 60_000;
    const { once, untilTaken, close } = sender(hooks, WIDTH);
    const watched = watchMemory(serve);
    const began = Date.now();
    const taken: number[] = [];
    const away: number[] = [];
    let refused = 0;
    let done = 0;
    const send = async (n: number, into: number[]): Promise<void> => {
      const answers = await untilTaken(() => delivery(n, since));
      refused += answers.filter(({ status }) => status === 503).length;
      if (answers.at(-1)?.status === 202) done += 1;
      into.push(...answers.map(({ ms }) => ms));
    };
    await once(delivery(0, since));
    await atOnce(BEFORE, WIDTH, (n) => send(n, taken));
    const midway = residentMiB(serve);
    say(`${BEFORE} taken in ${((Date.now() - began) / 1_000).toFixed(1)} s`);
    first.kill('SIGKILL');
    await sleep(Math.max(0, began + FORGOTTEN_MS - Date.now()));
    const while_ = atOnce(AWAY, WIDTH, (n) => send(BEFORE + n, away));
    await sleep(AWAY_MS);
    say('Temporal comes back');
    await bring();
    await while_;
    await atOnce(AFTER, WIDTH, (n) => send(BEFORE + AWAY + n, taken));
    await sleep(CALM_MS);
    const memory = watched.end();
    // The same storm goes on; the answers to it are not counted.
    await atOnce(MORE, WIDTH, (n) => send(MESSAGES + n, []));
    const later = residentMiB(serve);
    close();

    temporal = await connect({ ...process.env, ...env }, 'bench');
    const seen = await outcome(temporal);
    return { taken, away, refused, done: done - MORE, memory, midway, later, bare: bareOf, ...seen };
  } finally {
    await temporal?.close();
    process.off('exit', end);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
    end();
  }
}

/** What Temporal has of it, when the run that the trigger proposes stands at its gate. */
async function outcome({ client }: Temporal): Promise<Pick<Storm, 'runs' | 'sources' | 'signals'>> {
  const handle = client.workflow.getHandle(triggerOf(TRIGGER));
  let status: TriggerStatus | null = null;
  await until('a proposed run', DEADLINE_MS, async () => {
    status = await handle.query<TriggerStatus>('status').catch(() => null);
    const { count } = await client.workflow.count('WorkflowType = "failover" AND RampartPhase = "waiting:cutover"');
    return status?.run != null && count > 0;
  });
  const { count: runs } = await client.workflow.count('WorkflowType = "failover"');
  const { events } = await handle.fetchHistory();
  const signals = (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes != null).length;
  const sources = new Set((status as TriggerStatus | null)?.alerts.map(({ source }) => source)).size;
  return { runs, sources, signals };
}

async function ofBare(child: ChildProcess, port: number): Promise<Storm['bare']> {
  const { once, close } = sender(port, WIDTH);
  await until('the bare endpoint', DEADLINE_MS, () =>
    once(delivery(0, 0)).then(
      () => true,
      () => false,
    ),
  );
  const watched = watchMemory(child);
  const taken: number[] = [];
  await atOnce(MESSAGES, WIDTH, async (n) => void taken.push((await once(delivery(n, 0))).ms));
  await sleep(CALM_MS);
  const memory = watched.end();
  close();
  child.kill('SIGKILL');
  return { taken, memory };
}

const empty = (): Storm['bare'] => ({ taken: [], memory: { before: 0, during: 0, after: 0 } });

function watchMemory(child: ChildProcess) {
  const before = residentMiB(child);
  let during = before;
  const timer = setInterval(() => {
    during = Math.max(during, residentMiB(child));
  }, 200);
  return {
    end: () => {
      clearInterval(timer);
      return { before, during, after: residentMiB(child) };
    },
  };
}

/** The value that so many percent of all do not exceed. */
function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}
