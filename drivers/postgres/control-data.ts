/** What a data directory says about itself: the control file. */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { RampartError } from '../errors.ts';
import type { Position } from '../ports.ts';
import { formatLsn, positionAt } from '../sql/lsn.ts';
import { type ControlFile, readControlFile } from './control-file.ts';
import { exists, type Owner, ownerOf, readIfThere } from './files.ts';

export interface ControlData {
  /** As printed: `in production`, `shut down`, `shut down in recovery`, `in archive recovery`, … */
  state: string;
  systemId: string;
  /** Start of the latest checkpoint's record. After a clean stop it is the last record of the log. */
  checkpoint: Position;
  timeline: number;
  /** How far recovery must go before the data is consistent; on a server that was a replica, what it had applied. */
  minRecovery: Position | null;
  checksums: boolean;
  walLogHints: boolean;
  segmentBytes: number;
}

/**
 * Reads the control file, with PostgreSQL's own tool where its layout is not known.
 * @param bin folder with pg_controldata, `null` = find it
 * @throws PreconditionFailed when the directory is no data directory or the tool is missing
 */
export async function readControlData(dataDir: string, bin: string | null, signal: AbortSignal): Promise<ControlData> {
  const file = await readControlFile(dataDir);
  return file === null ? askTool(dataDir, bin, signal) : fromFile(file);
}

function fromFile({ checkpoint, minRecovery, minRecoveryTimeline, ...rest }: ControlFile): ControlData {
  return {
    ...rest,
    checkpoint: positionAt(formatLsn(checkpoint), rest.timeline)!,
    minRecovery: positionAt(formatLsn(minRecovery), minRecoveryTimeline || rest.timeline),
  };
}

/** What `pg_controldata` prints, for any version and machine. */
export async function askTool(dataDir: string, bin: string | null, signal: AbortSignal): Promise<ControlData> {
  const { code, output } = await runTool(await toolPath(dataDir, bin, 'pg_controldata'), [dataDir], {
    owner: await ownerOfData(dataDir),
    signal,
  });
  if (code !== 0) {
    throw new RampartError('PreconditionFailed', `${dataDir} cannot be read: ${output.trim()}`, {
      remedy: 'Check `dataDir` and `bin` of the node, and that this worker runs beside the database.',
    });
  }
  const fields = new Map<string, string>();
  for (const line of output.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value !== undefined) return value;
    throw new RampartError('PreconditionFailed', `pg_controldata of ${dataDir} does not show "${name}"`, {
      remedy: 'Use the pg_controldata of the same major version as the server (`bin` of the node).',
    });
  };
  const timeline = Number(field("Latest checkpoint's TimeLineID"));
  return {
    state: field('Database cluster state'),
    systemId: field('Database system identifier'),
    checkpoint: positionAt(field('Latest checkpoint location'), timeline)!,
    timeline,
    minRecovery: positionAt(
      field('Minimum recovery ending location'),
      Number(field("Min recovery ending loc's timeline")) || timeline,
    ),
    checksums: field('Data page checksum version') !== '0',
    walLogHints: field('wal_log_hints setting') === 'on',
    segmentBytes: Number(field('Bytes per WAL segment')),
  };
}

/**
 * The greatest timeline that the directory holds log of. The control file alone is behind after a promotion until the
 * next checkpoint, so the names of log segments count too. History files do not: a standby fetches those of a primary
 * that it has parted from, and would then be taken for as far as that one.
 */
export async function greatestTimeline(
  dataDir: string,
  control: { timeline: number; minRecovery?: Position | null },
): Promise<number> {
  const names = await readdir(join(dataDir, 'pg_wal'));
  return names.reduce(
    (greatest, name) => {
      const match = /^([0-9A-F]{8})[0-9A-F]{16}(?:\.partial)?$/.exec(name);
      return match === null ? greatest : Math.max(greatest, Number.parseInt(match[1]!, 16));
    },
    Math.max(control.timeline, control.minRecovery?.timeline ?? 0),
  );
}

/** The tool's path: from the folder given, else beside the program that last ran here, else from PATH. */
export async function toolPath(dataDir: string | null, bin: string | null, tool: string): Promise<string> {
  if (bin !== null) return join(bin, tool);
  const opts = dataDir === null ? null : await readIfThere(join(dataDir, 'postmaster.opts'));
  const program = opts === null ? undefined : /^(\/\S*\/postgres)\s/.exec(opts)?.[1];
  const folders = [...(program === undefined ? [] : [dirname(program)]), ...(process.env.PATH ?? '').split(delimiter)];
  for (const folder of folders.filter(Boolean)) {
    if (await exists(join(folder, tool))) return join(folder, tool);
  }
  throw new RampartError('PreconditionFailed', `${tool} was found neither beside the server nor in PATH`, {
    remedy: "Set `bin` of the component to the folder with PostgreSQL's tools, e.g. /usr/lib/postgresql/18/bin.",
  });
}

/** Runs a program to its end; the output holds both streams. Killed when the signal aborts. */
export function runTool(
  program: string,
  args: string[],
  options: {
    owner?: Owner | undefined;
    signal: AbortSignal;
    env?: Record<string, string>;
    /** Told the process id once it runs. */
    started?: (pid: number) => Promise<void>;
    /** Told each piece of output. */
    progress?: (text: string) => void;
  },
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    options.signal.throwIfAborted();
    const child = spawn(program, args, {
      ...options.owner,
      // Another user may not be allowed into our working directory.
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: pg_basebackup has a child that must end with it.
      detached: true,
    });
    let output = '';
    let told: Promise<void> = Promise.resolve();
    const collect = (chunk: Buffer): void => {
      output = `${output}${chunk}`.slice(-64_000);
      options.progress?.(String(chunk));
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const abort = (): void => endGroup(child.pid);
    options.signal.addEventListener('abort', abort, { once: true });
    child.once('spawn', () => {
      told = options.started?.(child.pid!) ?? told;
      told.catch(abort);
    });
    child.once('error', (error) => {
      options.signal.removeEventListener('abort', abort);
      const remedy = `See that ${program} is there and may be run by this worker's user.`;
      reject(new RampartError('PreconditionFailed', `${program} did not start: ${error.message}`, { remedy }));
    });
    child.once('close', (code) => {
      options.signal.removeEventListener('abort', abort);
      told.then(
        () => (options.signal.aborted ? reject(options.signal.reason) : resolve({ code: code ?? -1, output })),
        reject,
      );
    });
  });
}

/** Ends a tool and everything it has started. Gone already is fine. */
export function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function ownerOfData(dataDir: string): Promise<Owner | undefined> {
  try {
    return await ownerOf(dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new RampartError('PreconditionFailed', `there is no ${dataDir}`, {
      remedy: 'Check `dataDir` of the node; a repair that was cut off is finished by running it again.',
    });
  }
}
