/**
 * A world from outside: bring it up, ask it, hurt it, end it. The world itself lives in its supervisor.
 *
 * ```ts
 * const world = await openWorld({ name: 'orders-test', load: 100 });
 * const { world: addresses } = await world.status();
 * await world.order('/kill', { target: { what: 'database' } });
 * await world.down();
 * ```
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadClient, loadClient } from './load/client.ts';
import { emulatorCommand } from './parts/emulators.ts';
import { installPart } from './parts/install.ts';
import { withLock } from './parts/lock.ts';
import { built, labHome } from './paths.ts';
import { endRecorded, startTimeOf } from './processes.ts';
import type { ControlFile, Progress } from './supervisor.ts';
import { saveSpec, type Target, type WorldStatus } from './world/running.ts';
import { type Cloud, decideWorld, nodesDirectory, recordOf, worldDirectory } from './world/spec.ts';

export interface OpenOptions {
  /** `default` if absent. */
  name?: string;
  /** Orders per second of the load generator; 0 (default) for none. */
  load?: number;
  /** Workers per place, 2 by default. */
  workers?: number;
  /** How long the ramp holds each weight; `2s` by default. */
  bake?: string;
  /** Whether a guard watches the service; default no: what happens is what the caller does. */
  guard?: boolean;
  /** Example of `examples/` to run against an emulated provider; none by default. */
  cloud?: Cloud | null;
  /**
   * `true`: the world ends with this process, however it ends, unless `handOver()` is called. `false`
   * (default): it stays until `down`.
   */
  tied?: boolean;
  /** Gets one line per step of the start. */
  say?: (line: string) => void;
}

export interface World {
  name: string;
  dir: string;
  status(): Promise<WorldStatus>;
  kill(target: Target): Promise<string[]>;
  start(target: Target): Promise<string[]>;
  freeze(target: Target): Promise<string[]>;
  partition(region: string, mode?: 'blackhole' | 'refuse'): Promise<string[]>;
  delay(region: string, delayMs: number): Promise<string[]>;
  stallReplication(): Promise<string[]>;
  heal(): Promise<string[]>;
  /** The load generator, if the world has one. */
  load(): Promise<LoadClient>;
  /** Unties the world from this process. */
  handOver(): void;
  /** Ends everything; the world's files stay for a look. */
  down(): Promise<void>;
}

/**
 * Brings a world up, or finds the one of that name that is up.
 * @throws Error with the reason and the log's path
 */
export async function openWorld(options: OpenOptions = {}): Promise<World> {
  const name = options.name ?? 'default';
  const say = options.say ?? (() => {});
  const dir = worldDirectory(name);
  mkdirSync(dir, { recursive: true });
  return withLock(`${dir}.lock`, async () => {
    const present = await findWorld(name);
    if (present) return present;
    await clearRemains(dir);
    // Here rather than in the supervisor: this process may have a terminal that can show the progress.
    const log = { log: say };
    await installPart('postgres', log);
    await installPart('traefik', log);
    if (!process.env.TEMPORAL_ADDRESS) await installPart('temporal', log);
    const { load = 0, workers = 2, bake = '2s', guard = false, cloud = null } = options;
    if (cloud !== null) await emulatorCommand('ministack', { ...log, port: 0 });
    const spec = await decideWorld({ name, load, workers, bake, guard, cloud });
    saveSpec(spec);
    const supervisor = startSupervisor(dir);
    const handOver = (): void => {
      supervisor.stdin?.end('release\n');
    };
    const world = await untilUp(name, dir, supervisor, say, handOver);
    if (!options.tied) handOver();
    return world;
  });
}

/** The world of that name if one is up. */
export async function findWorld(name: string): Promise<World | undefined> {
  const dir = worldDirectory(name);
  const access = readControl(dir);
  if (!access) return undefined;
  try {
    const progress = (await ask(access, '/progress')) as Progress;
    return progress.phase === 'up' ? handle(name, dir, access, () => {}) : undefined;
  } catch {
    return undefined; // the file was left by a supervisor that has died
  }
}

/**
 * Makes room for a new world of that name: one that was left running is ended.
 * @throws Error when it belongs to a command that still runs
 */
export async function replaceKept(name: string): Promise<void> {
  const access = readControl(worldDirectory(name));
  const progress = access
    ? ((await ask(access, '/progress').catch(() => undefined)) as Progress | undefined)
    : undefined;
  if (progress && !progress.handedOver)
    throw new Error(`the world "${name}" is in use by another command: choose another --name`);
  if (progress) await endWorld(name);
}

/** Names of all worlds that are up. */
export async function listWorlds(): Promise<string[]> {
  const folder = join(labHome(), 'worlds');
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'world.json')))
    : [];
  const found = await Promise.all(names.map(async (name) => ((await findWorld(name)) ? [name] : [])));
  return found.flat();
}

/** Ends the world of that name in whatever state it is: up, starting, or left over from a crash. */
export async function endWorld(name: string): Promise<boolean> {
  const dir = worldDirectory(name);
  if (!existsSync(dir)) return false;
  const access = readControl(dir);
  if (access) await ask(access, '/down').catch(() => {});
  await untilSupervisorGone(access);
  await endRecorded(recordOf(dir), 0);
  rmSync(join(dir, 'control.json'), { force: true });
  return access !== undefined;
}

/** Ends the world of that name and removes its files. */
export async function removeWorld(name: string): Promise<void> {
  await endWorld(name);
  const dir = worldDirectory(name);
  const nodes = dirname(nodesDirectory(name));
  for (const folder of [dir, nodes]) rmSync(folder, { recursive: true, force: true });
}

function startSupervisor(dir: string): ChildProcess {
  const log = openSync(join(dir, 'supervisor.log'), 'a');
  const child = spawn(process.execPath, [built('lab/supervisor.js'), join(dir, 'world.json')], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', log, log],
  });
  closeSync(log);
  child.stdin?.on('error', () => {});
  child.unref();
  // The pipe must not keep this process alive either; it only has to break when this process ends.
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}

async function untilUp(
  name: string,
  dir: string,
  supervisor: ChildProcess,
  say: (line: string) => void,
  handOver: () => void,
): Promise<World> {
  let told = 0;
  for (;;) {
    const access = readControl(dir);
    const progress = access
      ? ((await ask(access, '/progress').catch(() => undefined)) as Progress | undefined)
      : undefined;
    for (const line of progress?.lines.slice(told) ?? []) {
      say(line);
      told += 1;
    }
    if (access && progress?.phase === 'up') return handle(name, dir, access, handOver);
    if (progress?.phase === 'failed' || supervisor.exitCode !== null || supervisor.signalCode !== null) {
      await endWorld(name);
      throw new Error(
        `the lab did not come up: ${progress?.error ?? 'its supervisor ended'} (log: ${join(dir, 'supervisor.log')})`,
      );
    }
    await sleep(20);
  }
}

function handle(name: string, dir: string, access: ControlFile, handOver: () => void): World {
  const order = async (path: string, body: object = {}): Promise<string[]> =>
    (await ask(access, path, body)) as string[];
  const status = async (): Promise<WorldStatus> => (await ask(access, '/status')) as WorldStatus;
  return {
    name,
    dir,
    status,
    kill: (target) => order('/kill', { target }),
    start: (target) => order('/start', { target }),
    freeze: (target) => order('/freeze', { target }),
    partition: (region, mode) => order('/partition', { region, mode }),
    delay: (region, delayMs) => order('/delay', { region, delayMs }),
    stallReplication: () => order('/stall-replication'),
    heal: () => order('/heal'),
    load: async () => {
      const { load } = await status();
      if (!load) throw new Error(`the world "${name}" has no load generator: rampart lab up --load 100`);
      return loadClient(load.port);
    },
    handOver,
    down: async () => {
      await endWorld(name);
    },
  };
}

/** Ends what a crashed world may have left and removes its files. */
async function clearRemains(dir: string): Promise<void> {
  const access = readControl(dir);
  await untilSupervisorGone(access);
  await endRecorded(recordOf(dir), 0);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
}

function readControl(dir: string): ControlFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, 'control.json'), 'utf8')) as ControlFile;
  } catch {
    return undefined;
  }
}

async function ask(access: ControlFile, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${access.port}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${access.token}` },
    body: JSON.stringify(body ?? {}),
    signal: AbortSignal.timeout(60_000),
  });
  const value = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(value.error ?? `the lab answered ${response.status}`);
  return value;
}

/**
 * Waits for the end of a supervisor and of its reaper, which still works for a moment after a crash. A
 * supervisor that does not end (a frozen one) is killed, and its reaper does the rest.
 */
async function untilSupervisorGone(access: ControlFile | undefined): Promise<void> {
  if (!access) return;
  if (!(await untilGone(access.supervisor, 10_000))) process.kill(access.supervisor.pid, 'SIGKILL');
  await untilGone(access.supervisor, 5_000);
  await untilGone(access.reaper, 15_000);
}

async function untilGone(who: { pid: number; started: string }, deadlineMs: number): Promise<boolean> {
  const deadline = Date.now() + deadlineMs;
  while (startTimeOf(who.pid) === who.started) {
    if (Date.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}
