/** The server process beside this worker: is it there, stop it, start it, and the file that keeps it read-only. */
import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RampartError } from '../errors.ts';
import { startOf } from '../lock.ts';
import { poll } from '../poll.ts';
import type { DriverContext } from '../ports.ts';
import type { Cluster, PgNode } from './config.ts';
import { runTool, toolPath } from './control-data.ts';
import { exists, ownerOf, readIfThere, removeDurably, writeDurably } from './files.ts';

/** A node whose data directory is ours to work with. */
export type LocalNode = PgNode & { dataDir: string };

/** With this file in the data directory a server that starts comes up in recovery, never writable. */
const SIGNAL_FILE = 'standby.signal';

export interface Postmaster {
  pid: number;
  /** `starting`, `ready`, `standby`, `stopping`. */
  status: string;
}

/** @throws InvalidInput when the node's files are not beside this worker */
export function local(node: PgNode): LocalNode {
  if (node.here && node.dataDir !== null) return node as LocalNode;
  const why = node.dataDir === null ? 'it has no dataDir' : 'this worker does not serve its place';
  throw new RampartError('InvalidInput', `this step of ${node.name} needs its data directory, and ${why}`, {
    remedy: 'Run the step on the queue of the worker beside the node (`place`), or add `dataDir` to the node.',
  });
}

/** The running postmaster of a data directory, or `null`. A pid file left by a killed server does not count. */
export async function postmasterOf(dataDir: string): Promise<Postmaster | null> {
  const text = await readIfThere(join(dataDir, 'postmaster.pid'));
  if (text === null) return null;
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !(await isPostmaster(pid, dataDir))) return null;
  return { pid, status: lines[7]?.trim() || 'starting' };
}

/** Where /proc tells, the process must work in the data directory: a pid may have been given to something else. */
async function isPostmaster(pid: number, dataDir: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  if (startOf(pid) === 'gone') return false;
  if (process.platform !== 'linux') return true;
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(dataDir));
  } catch (error) {
    // Not allowed to look: believe the pid file. Gone meanwhile: it is not running.
    return (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

/**
 * Processes whose working directory is the data directory: the postmaster and its backends, also those that
 * outlived a killed postmaster and may still commit. `null` where the system does not tell.
 */
export async function processesOf(dataDir: string): Promise<number[] | null> {
  if (process.platform !== 'linux') return null;
  const real = await realpath(dataDir);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => ((await readlink(`/proc/${pid}/cwd`).catch(() => '')) === real ? Number(pid) : 0)),
  );
  return found.filter((pid) => pid > 0);
}

export const hasSignal = (node: LocalNode): Promise<boolean> => exists(join(node.dataDir, SIGNAL_FILE));

/** From the return of this call on, no start of the server can make it writable. */
export async function writeSignal(node: LocalNode): Promise<void> {
  const owner = await ownerOf(node.dataDir);
  await writeDurably(join(node.dataDir, SIGNAL_FILE), '', owner === undefined ? {} : { owner });
}

export const removeSignal = (node: LocalNode): Promise<boolean> => removeDurably(join(node.dataDir, SIGNAL_FILE));

/**
 * Asks the server to stop: checkpoint, everything sent to the replicas, exit. Returns at once.
 * @param how `fast` = SIGINT, `immediate` = SIGQUIT (no checkpoint), `kill` = SIGKILL for every process of it
 */
export async function requestStop(
  node: LocalNode,
  postmaster: Postmaster,
  how: 'fast' | 'immediate' | 'kill',
): Promise<void> {
  if (how === 'kill') {
    // The postmaster first, so that it starts nothing new; then what it leaves behind, which could still commit.
    signalProcess(postmaster.pid, 'SIGKILL', node);
    for (const pid of (await processesOf(node.dataDir)) ?? []) signalProcess(pid, 'SIGKILL', node);
    return;
  }
  signalProcess(postmaster.pid, how === 'fast' ? 'SIGINT' : 'SIGQUIT', node);
}

/** Ends processes that outlived their postmaster. @returns how many there were */
export async function endOrphans(node: LocalNode): Promise<number> {
  const orphans = (await processesOf(node.dataDir)) ?? [];
  for (const pid of orphans) signalProcess(pid, 'SIGKILL', node);
  return orphans.length;
}

/**
 * Ends the processes that stream to replicas, which keep a stopping server waiting for a replica that no longer
 * answers (up to `wal_sender_timeout`, 60 s by default).
 */
export async function endWalSenders(node: LocalNode): Promise<number> {
  let ended = 0;
  for (const pid of (await processesOf(node.dataDir)) ?? []) {
    const title = (await readIfThere(`/proc/${pid}/cmdline`).catch(() => null)) ?? '';
    if (!title.includes('walsender')) continue;
    signalProcess(pid, 'SIGTERM', node);
    ended++;
  }
  return ended;
}

function signalProcess(pid: number, name: NodeJS.Signals, node: LocalNode): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new RampartError('AccessDenied', `${name} to process ${pid} of ${node.name}: ${(error as Error).message}`, {
      remedy: 'Run the worker beside a database as the user that owns its data directory, or as root.',
    });
  }
}

/**
 * Waits until the server is gone.
 * @param only this process: another one, which somebody has started since, is not waited for
 * @returns false when the deadline passed first
 */
export async function awaitStopped(
  node: LocalNode,
  context: DriverContext,
  deadlineMs: number,
  only?: number,
): Promise<boolean> {
  const done = await poll({ signal: context.signal, deadlineMs, intervalMs: 1 }, async () => {
    const running = await postmasterOf(node.dataDir);
    return running === null || (only !== undefined && running.pid !== only) ? true : undefined;
  });
  return done === true;
}

/**
 * Stops a server cleanly, for repairs: fast, then immediate when that takes longer than `stopTimeout`.
 * Not running is fine.
 * @param only this process; absent: whatever runs there
 */
export async function stopServer(cluster: Cluster, node: LocalNode, only?: number): Promise<void> {
  const { context, config } = cluster;
  const running = await postmasterOf(node.dataDir);
  if (running === null || (only !== undefined && running.pid !== only)) return;
  context.heartbeat({ node: node.name, doing: 'stopping' });
  await stopViaControl(cluster, node, running);
  if (await awaitStopped(node, context, config.stopTimeout, only)) return;
  const still = await postmasterOf(node.dataDir);
  if (still !== null) await requestStop(node, still, 'immediate');
  if (await awaitStopped(node, context, config.stopTimeout, only)) return;
  throw new RampartError('DeadlineExceeded', `${node.name} did not stop within ${2 * config.stopTimeout} ms`, {
    remedy: `Look at the server's log; \`pg_ctl stop -m immediate -D ${node.dataDir}\` ends it.`,
  });
}

/** Asks for a fast stop the way the node's `control` says. Returns at once where the way allows it. */
export function stopViaControl(cluster: Cluster, node: LocalNode, postmaster: Postmaster): Promise<void> {
  return viaControl(cluster, node, 'stop', () => requestStop(node, postmaster, 'fast'));
}

/** Asks the server to start and returns; not waiting keeps the caller's lock short. Running already is fine. */
export async function requestStart(cluster: Cluster, node: LocalNode): Promise<void> {
  if ((await postmasterOf(node.dataDir)) !== null) return;
  await viaControl(cluster, node, 'start', () => pgCtlStart(node));
}

/**
 * Waits until the server takes sessions.
 * @throws PreconditionFailed with the end of its log when it ended instead; DeadlineExceeded
 */
export async function awaitStarted(cluster: Cluster, node: LocalNode, deadlineMs: number): Promise<Postmaster> {
  const { context } = cluster;
  let seen = false;
  const started = performance.now();
  const found = await poll({ signal: context.signal, deadlineMs, intervalMs: 3 }, async () => {
    const postmaster = await postmasterOf(node.dataDir);
    seen ||= postmaster !== null;
    if (postmaster?.status === 'ready' || postmaster?.status === 'standby') return postmaster;
    context.heartbeat({ node: node.name, doing: 'starting', status: postmaster?.status ?? 'not running' });
    // It was there and is gone, or never came: its log says why.
    if (postmaster === null && (seen || performance.now() - started > 10_000)) return null;
    return undefined;
  });
  if (found) return found;
  const log = await tailOf(node);
  if (found === null) {
    throw new RampartError('PreconditionFailed', `${node.name} did not start. ${log}`, {
      remedy: `Mend what its log (${logOf(node)}) names, then retry.`,
    });
  }
  throw new RampartError('DeadlineExceeded', `${node.name} takes no sessions after ${deadlineMs} ms. ${log}`, {
    remedy: 'It may still be replaying its log: wait, then retry.',
  });
}

/** Runs the control's own command where it has one, else `otherwise`. */
async function viaControl(
  cluster: Cluster,
  node: LocalNode,
  verb: 'start' | 'stop',
  otherwise: () => Promise<void>,
): Promise<void> {
  const { control } = node;
  const own = control[verb];
  if (own !== undefined) return runControl(cluster, node, own);
  if (control.kind === 'systemd' && control.unit !== undefined) {
    return runControl(cluster, node, ['systemctl', '--no-block', verb, control.unit]);
  }
  return otherwise();
}

/**
 * Runs one of the node's own commands, with its placeholders filled in.
 * @throws PreconditionFailed with what it printed when it does not end with 0
 */
export async function runControl(cluster: Cluster, node: PgNode, argv: string[]): Promise<void> {
  const { code, output } = await runTool(...commandOf(node, argv), { signal: cluster.context.signal });
  if (code === 0) return;
  throw new RampartError(
    'PreconditionFailed',
    `${argv[0]} for ${node.name} ended with ${code}: ${output.trim().slice(-500)}`,
    {
      remedy: `Run it by hand to see why: ${argv.join(' ')}`,
    },
  );
}

/** The program and its arguments, with the node's facts for the placeholders. */
export function commandOf(node: PgNode, argv: string[]): [program: string, args: string[]] {
  const values: Record<string, string> = {
    dataDir: node.dataDir ?? '',
    host: node.host,
    port: String(node.port),
    node: node.name,
    region: node.region,
  };
  const [program, ...args] = argv.map((part) => part.replaceAll(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole));
  return [program!, args];
}

/** Starts with the options the server had the last time, as `pg_ctl restart` does. */
async function pgCtlStart(node: LocalNode): Promise<void> {
  const program = await toolPath(node.dataDir, node.bin, 'postgres');
  const owner = await ownerOf(node.dataDir);
  const log = logOf(node);
  await mkdir(dirname(log), { recursive: true, mode: 0o755 });
  const handle = await open(log, 'a', 0o640);
  try {
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
    const child = spawn(program, ['-D', node.dataDir, ...(await lastOptions(node.dataDir))], {
      ...owner,
      cwd: '/',
      env: environment(),
      detached: true,
      stdio: ['ignore', handle.fd, handle.fd],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(
          new RampartError('PreconditionFailed', `${program} did not start: ${error.message}`, {
            remedy: 'Check `bin` of the node.',
          }),
        ),
      );
    });
    child.unref();
  } finally {
    await handle.close();
  }
}

/** A database must not inherit the worker's secrets. */
function environment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'LANG', 'LC_ALL', 'LD_LIBRARY_PATH', 'TZ', 'HOME'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** Command line options of the last start, without the data directory; `postmaster.opts` quotes each. */
export async function lastOptions(dataDir: string): Promise<string[]> {
  const text = (await readIfThere(join(dataDir, 'postmaster.opts'))) ?? '';
  const options = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]!);
  return options.filter((option, i) => option !== '-D' && options[i - 1] !== '-D');
}

/** State that Rampart keeps beside the data directory. */
export const stateDirOf = (node: LocalNode): string => `${node.dataDir}.rampart`;

export const logOf = (node: LocalNode): string => node.logFile ?? join(stateDirOf(node), 'log', 'postgres.log');

async function tailOf(node: LocalNode): Promise<string> {
  const text = await readIfThere(logOf(node)).catch(() => null);
  const lines = (text ?? '').trim().split('\n').slice(-5);
  return `Its log ends with: ${lines.join(' | ').slice(-800)}`;
}

/** A promotion was asked for and has not been taken up yet. */
export const hasPromoteTrigger = (node: LocalNode): Promise<boolean> => exists(join(node.dataDir, 'promote'));
