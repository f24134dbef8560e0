/**
 * One PostgreSQL server of the lab as files: `<node>/data` is its data directory, `<node>/node.conf` holds
 * what is this node's own (port, name), `<node>/postgres.log` its log. `node.conf` lies outside the data
 * directory because pg_basebackup and pg_rewind copy configuration files from the other node.
 */
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Identity } from '../paths.ts';

export interface NodeFiles {
  /** Folder of the node. */
  dir: string;
}

export const dataDirectory = (node: NodeFiles): string => join(node.dir, 'data');
export const logFile = (node: NodeFiles): string => join(node.dir, 'postgres.log');

/** Creates the node's folder, owned by the user who runs PostgreSQL. */
export function createNodeFolder(dir: string, identity: Identity | undefined): void {
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o755);
  closeSync(openSync(join(dir, 'postgres.log'), 'a'));
  if (!identity) return;
  chownSync(dir, identity.uid, identity.gid);
  chownSync(join(dir, 'postgres.log'), identity.uid, identity.gid);
}

/** Writes what differs between nodes; `postgresql.conf` of every node includes it. */
export function writeNodeSettings(
  dir: string,
  settings: Record<string, string | number>,
  identity: Identity | undefined,
): void {
  const file = join(dir, 'node.conf');
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  if (identity) chownSync(file, identity.uid, identity.gid);
}

/** The user that owns a data directory, if it is not us: its tools must run as that user. */
export function ownerOf(path: string): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(path);
  return uid === 0 ? undefined : { uid, gid };
}

/**
 * Runs a PostgreSQL tool to its end.
 * @throws Error with the tool's own words
 */
export async function runTool(
  bin: string,
  tool: string,
  args: string[],
  options: { identity?: Identity | undefined; env?: Record<string, string> } = {},
): Promise<string> {
  const child = spawn(join(bin, tool), args, {
    ...options.identity,
    // Another user may not be allowed into our working directory.
    cwd: '/',
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${tool} ${args.join(' ')} ended with ${code}:\n${output.trim()}`);
  return output;
}
