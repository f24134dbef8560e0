/**
 * 500 guards on one dev server: what the server and the workers take for them, and how many actions an hour that is. The
 * workers are the real ones, each in its own process; the systems answer at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../clients/connection.ts';
import { installPart } from '../lab/parts/install.ts';
import { built } from '../lab/paths.ts';
import { freePorts } from '../lab/ports.ts';
import { devServerArguments, untilAnswers } from '../lab/world/temporal.ts';
import { topologyText } from './plan.ts';
import type { BenchOptions, Measure, Result } from './statistics.ts';
import { until } from './world.ts';

const GUARDS = 500;
/** Until every guard watches and has read what only local workers see, in milliseconds. */
const SETTLE_MS = 60_000;
/** One run, in milliseconds; three of them hold one renewal of every guard's quarter-hour watch. */
const RUN_MS = 300_000;
const DEADLINE_MS = 600_000;
/** Of the kernel's clock ticks that /proc counts CPU time in. */
const TICKS_A_SECOND = 100;

const WHO = ['Temporal server', 'control worker', 'worker of a region'] as const;

export async function guards({ runs, say }: BenchOptions): Promise<Result> {
  if (process.platform !== 'linux') throw new Error('the benchmark `guards` reads /proc: it needs Linux');
  const dir = mkdtempSync(join(tmpdir(), 'rampart-guards-'));
  const children: ChildProcess[] = [];
  const end = (): void => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  process.once('exit', end);
  // Without a handler of its own a signal would leave the children behind.
  const stop = (): void => process.exit(130);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const [port, uiPort, httpPort, metricsPort] = (await freePorts(4)) as [number, number, number, number];
    const { bin } = await installPart('temporal');
    const args = devServerArguments({ port, uiPort, httpPort }, join(dir, 'temporal.db'));
    const start = (name: string, command: string, argv: string[], env: Record<string, string> = {}): ChildProcess => {
      const log = openSync(join(dir, `${name}.log`), 'a');
      const child = spawn(command, argv, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
      children.push(child);
      return child;
    };
    const server = start('temporal', bin, [...args, '--metrics-port', String(metricsPort)]);
    await untilAnswers(`http://127.0.0.1:${httpPort}/api/v1/namespaces/default`, 60_000, 'the dev server');
    writeFileSync(join(dir, 'rampart.yaml'), topologyText(GUARDS));
    mkdirSync(join(dir, 'state'));
    const address = `127.0.0.1:${port}`;
    const env = {
      TEMPORAL_ADDRESS: address,
      RAMPART_CONFIG: join(dir, 'rampart.yaml'),
      RAMPART_STATE_DIR: join(dir, 'state'),
    };
    const worker = (...region: string[]) =>
      start(region[0] ?? 'control', process.execPath, [built('bench/guards-worker.js'), ...region], env);
    // The regions first, so that the guards find them at their first look.
    const west = worker('eu-west');
    worker('eu-central');
    const control = worker();
    await watching(address, say);
    await sleep(SETTLE_MS);
    return await measure(runs, say, [server, control, west], metricsPort);
  } finally {
    process.off('exit', end);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
    end();
  }
}

async function watching(address: string, say: (line: string) => void): Promise<void> {
  const temporal = await connect({ ...process.env, TEMPORAL_ADDRESS: address }, 'bench');
  const query = 'WorkflowType = "guard" AND RampartPhase = "well" AND ExecutionStatus = "Running"';
  await until(`${GUARDS} guards`, DEADLINE_MS, async () => {
    const { count } = await temporal.client.workflow.count(query);
    say(`${count} of ${GUARDS} guards say that all is well`);
    if (count < GUARDS) await sleep(5_000);
    return count >= GUARDS;
  });
  await temporal.close();
}

async function measure(
  runs: number,
  say: (line: string) => void,
  processes: ChildProcess[],
  metricsPort: number,
): Promise<Result> {
  const memory = WHO.map((): number[] => []);
  const cpu = WHO.map((): number[] => []);
  const kinds = new Map<string, number>();
  const actions: number[] = [];
  for (let run = 1; run <= runs; run += 1) {
    const before = { at: performance.now(), cpu: processes.map(cpuSeconds), actions: await readActions(metricsPort) };
    await sleep(RUN_MS);
    const seconds = (performance.now() - before.at) / 1_000;
    const after = await readActions(metricsPort);
    for (const [i, child] of processes.entries()) {
      memory[i]!.push(residentMiB(child));
      cpu[i]!.push(((cpuSeconds(child) - before.cpu[i]!) / seconds) * 100);
    }
    let all = 0;
    for (const [kind, n] of after) {
      const more = n - (before.actions.get(kind) ?? 0);
      if (more > 0) kinds.set(kind, (kinds.get(kind) ?? 0) + more);
      all += more;
    }
    actions.push((all / seconds) * 3_600);
    say(`run ${run}: ${Math.round(actions.at(-1)!)} actions an hour, server ${memory[0]!.at(-1)!.toFixed(0)} MiB`);
  }
  const perGuard = (n: number) => ((n / runs / RUN_MS) * 3_600_000) / GUARDS;
  const list = [...kinds].sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${kind} ${perGuard(n).toFixed(1)}`);
  const whose = (name: string, unit: Measure['unit'], values: number[][]): Measure[] =>
    WHO.map((subject, i) => ({ name, subject, unit, values: values[i]! }));
  return {
    benchmark: 'guards',
    about: `${GUARDS} services, each with a store, two routers and an app, on one dev server; a control worker and one worker for each of two regions. Everything is well.`,
    measures: [
      ...whose('memory', 'MiB', memory),
      ...whose('CPU', '% of a core', cpu),
      { name: `actions an hour, all ${GUARDS} guards`, subject: 'Temporal server', unit: 'count', values: actions },
      {
        name: 'actions an hour, one guard',
        subject: 'Temporal server',
        unit: 'count',
        values: actions.map((n) => n / GUARDS),
      },
    ],
    notes: [
      `A run is ${RUN_MS / 60_000} minutes. Every guard looks every 2 s; three runs hold one renewal of its quarter-hour watch.`,
      `Actions by the server's own count (metric \`action\`), an hour and guard: ${list.join(', ')}.`,
      'The systems answer at once, in the workers themselves: a real look costs a query to each node and a request to each router besides. Each worker also samples every store once a second.',
      'The workers’ memory grew from run to run: each keeps up to 1,800 samples of every store, a quarter of an hour. It was not measured for longer.',
    ],
  };
}

/** The server's count of what a hosted Temporal bills, by kind. */
async function readActions(port: number): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counts = new Map<string, number>();
  for (const [, labels, value] of text.matchAll(/^action\{([^}]*)\} (\S+)$/gm)) {
    if (!labels!.includes('namespace="default"')) continue;
    const kind = /action_type="([^"]*)"/.exec(labels!)?.[1] ?? '?';
    counts.set(kind, (counts.get(kind) ?? 0) + Number(value));
  }
  return counts;
}

function cpuSeconds({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Memory of a process that it has in use, MiB. */
export function residentMiB({ pid }: ChildProcess): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024;
}
