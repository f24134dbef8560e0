/**
 * Owns one world: starts it, keeps its links, answers `rampart lab …`, and ends it. Its reaper ends the
 * world if this process dies; the pipe on its standard input ends it if the command that started it dies
 * before the world was handed over.
 *
 *   node supervisor.js <world.json>
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { built } from './paths.ts';
import { recordGroup, startTimeOf } from './processes.ts';
import { type RunningWorld, startWorld, type Target } from './world/running.ts';
import { recordOf, type WorldSpec } from './world/spec.ts';

/** Where and how to reach a supervisor; the file is readable for its owner only. */
export interface ControlFile {
  port: number;
  token: string;
  /** Process ids with their start times, so that a reused id is not taken for them. */
  supervisor: { pid: number; started: string };
  reaper: { pid: number; started: string };
}

/** What `GET /progress` answers. */
export interface Progress {
  phase: 'starting' | 'up' | 'failed' | 'ending';
  lines: string[];
  error: string | null;
  /** False while the world ends with the command that started it. */
  handedOver: boolean;
}

const file = process.argv[2];
if (!file) throw new Error('usage: supervisor.js <world.json>');
const spec = JSON.parse(readFileSync(file, 'utf8')) as WorldSpec;
const controlFile = join(spec.dir, 'control.json');
const token = randomBytes(16).toString('hex');
const progress: Progress = { phase: 'starting', lines: [], error: null, handedOver: false };
let world: RunningWorld | undefined;

// Tools that are under way when this process dies (initdb, pg_basebackup) are in its own group.
recordGroup(recordOf(spec.dir), 'supervisor', process.pid);

// The reaper holds the other end of this pipe: it acts when this process is gone, for whatever reason.
const reaper = spawn(process.execPath, [built('lab/reaper.js'), recordOf(spec.dir)], {
  cwd: '/',
  detached: true,
  stdio: ['pipe', 'ignore', 'inherit'],
});
reaper.unref();
reaper.stdin.on('error', () => {});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(2_000));
process.on('uncaughtException', (error) => {
  console.error(error);
  void end(0, 1);
});

// `release` on standard input hands the world over to itself; an end without it means that the command died.
let said = '';
process.stdin.on('data', (chunk) => {
  said += chunk;
  if (said.includes('release')) progress.handedOver = true;
});
process.stdin.on('error', () => {});
process.stdin.once('close', () => {
  if (!progress.handedOver) void end(0);
});

const control = createServer((request, response) => {
  const reply = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  if (request.headers.authorization !== `Bearer ${token}`) return reply(401, { error: 'wrong token' });
  let text = '';
  request.on('data', (chunk) => {
    text += chunk;
  });
  request.on('end', () => {
    answer(request.url ?? '/', text === '' ? {} : (JSON.parse(text) as Order)).then(
      (value) => reply(200, value),
      (error: unknown) => reply(400, { error: (error as Error).message }),
    );
  });
});
control.listen(0, '127.0.0.1', () => {
  const address = control.address();
  if (!address || typeof address === 'string') throw new Error('no control port');
  const access: ControlFile = {
    port: address.port,
    token,
    supervisor: identify(process.pid),
    reaper: identify(reaper.pid ?? 0),
  };
  writeFileSync(controlFile, JSON.stringify(access), { mode: 0o600 });
});

const identify = (pid: number): { pid: number; started: string } => ({ pid, started: startTimeOf(pid) ?? '' });

interface Order {
  target?: Target;
  region?: string;
  mode?: 'blackhole' | 'refuse';
  delayMs?: number;
}

async function answer(path: string, order: Order): Promise<unknown> {
  if (path === '/progress') return progress;
  if (path === '/down') {
    await endWorld(2_000);
    setImmediate(() => process.exit(0));
    return { ended: true };
  }
  if (!world) throw new Error(`the world is ${progress.phase}${progress.error ? `: ${progress.error}` : ''}`);
  switch (path) {
    case '/status':
      return world.status();
    case '/kill':
      return world.kill(need(order.target, 'target'));
    case '/start':
      return world.start(need(order.target, 'target'));
    case '/freeze':
      return world.freeze(need(order.target, 'target'));
    case '/partition':
      return world.partition(need(order.region, 'region'), order.mode ?? 'blackhole');
    case '/delay':
      return world.delay(need(order.region, 'region'), order.delayMs ?? 0);
    case '/stall-replication':
      return world.stallReplication();
    case '/heal':
      return world.heal();
    default:
      throw new Error(`no such order: ${path}`);
  }
}

function need<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`${name} is missing`);
  return value;
}

async function endWorld(graceMs: number): Promise<void> {
  progress.phase = 'ending';
  if (world) await world.end(graceMs);
  rmSync(controlFile, { force: true });
}

let ending = false;
async function end(graceMs: number, code = 0): Promise<void> {
  if (ending) return;
  ending = true;
  // What is not in `world` yet, and what does not end in time, is the reaper's: it starts as this process ends.
  await endWorld(graceMs).catch((error: unknown) => console.error(error));
  process.exit(code);
}

try {
  world = await startWorld(spec, (line) => progress.lines.push(line));
  if (!ending) progress.phase = 'up';
} catch (error) {
  console.error(error);
  progress.phase = 'failed';
  progress.error = (error as Error).message;
  // Long enough for the command to read why; its end closes our standard input.
  setTimeout(() => void end(0, 1), 10_000);
}
