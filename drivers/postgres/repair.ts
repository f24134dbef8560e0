/** The tools and file operations of a repair, each safe to run again. */
import { chown, lstat, mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RampartError } from '../errors.ts';
import { formatConninfo, parseConninfo } from '../sql/status.ts';
import type { Cluster, PgNode } from './config.ts';
import { runTool, toolPath } from './control-data.ts';
import { exists, type Owner, ownerOf, syncFolder } from './files.ts';
import { newDirOf, type Repair } from './repair-state.ts';
import type { LocalNode } from './server.ts';

type Child = (pid: number) => Promise<void>;

/** Entries of a data directory that belong to the data, not to the node's configuration. */
const DATA =
  /^(base|global|log|pg_(?!hba\.conf$|ident\.conf$).*|PG_VERSION|postmaster\.pid|backup_label.*|backup_manifest|tablespace_map.*|standby\.signal|recovery\.signal|promote|current_logfiles|.*\.draft)$/;

/** Copies the directory to `kept`, whole or not at all. There already is fine. */
export async function copyAside(cluster: Cluster, node: LocalNode, kept: string, child: Child): Promise<void> {
  if (await exists(kept)) return;
  await assertCopyable(node);
  const draft = `${kept}.partial`;
  await rm(draft, { recursive: true, force: true });
  await assertRoom(node);
  // Copy-on-write where the file system can: then it takes no time and no room.
  const clone = process.platform === 'linux' ? ['--reflink=auto'] : [];
  await long(cluster, node, 'copying the old directory', 'cp', ['-a', ...clone, node.dataDir, draft], { child });
  await runTool('sync', process.platform === 'linux' ? ['-f', draft] : [], { signal: cluster.context.signal });
  await rename(draft, kept);
  await syncFolder(dirname(kept));
}

/** A copy must hold everything: links out of the directory would go on belonging to the original. */
async function assertCopyable(node: LocalNode): Promise<void> {
  const tablespaces = await readdir(join(node.dataDir, 'pg_tblspc'));
  const walIsLink = (await lstat(join(node.dataDir, 'pg_wal'))).isSymbolicLink();
  if (tablespaces.length === 0 && !walIsLink) return;
  const what = walIsLink ? 'its pg_wal is a symbolic link' : 'it has tablespaces outside its data directory';
  throw new RampartError(
    'PreconditionFailed',
    `${node.name} cannot be repaired by Rampart: ${what}, so its old data could not be kept whole`,
    {
      remedy: 'Keep a snapshot, then run pg_rewind or pg_basebackup by hand; `rampart escape` prints the commands.',
    },
  );
}

async function assertRoom(node: LocalNode): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(node.dataDir));
  const needed = await sizeOf(node.dataDir);
  const free = bavail * bsize;
  if (free > needed * 1.05) return;
  throw new RampartError(
    'PreconditionFailed',
    `keeping the old data of ${node.name} needs ${megabytes(needed)}, and ${megabytes(free)} are free in ${dirname(node.dataDir)}`,
    {
      remedy: 'Make room there, then retry.',
    },
  );
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true });
  const sizes = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sizeOf(path);
      return lstat(path).then(
        (found) => found.size,
        () => 0,
      );
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;

/**
 * @returns why it did not work, `null` when it did
 * @throws ProviderUnavailable when the primary could not be reached: then the directory is as it was
 */
export async function rewind(
  cluster: Cluster,
  node: LocalNode,
  primary: PgNode,
  child: Child,
): Promise<RampartError | null> {
  const { context, config } = cluster;
  const source = formatConninfo([
    ['host', primary.host],
    ['port', String(primary.port)],
    ['user', primary.user],
    ['dbname', config.controlDatabase],
    ...(config.ssl === 'disable' ? [] : ([['sslmode', config.ssl]] as Array<[string, string]>)),
    ['application_name', 'rampart rewind'],
  ]);
  const args = ['--target-pgdata', node.dataDir, '--source-server', source, '--progress'];
  const env: Record<string, string> = {};
  if (primary.password !== undefined) env.PGPASSWORD = await context.secret(primary.password);
  try {
    const program = await toolPath(node.dataDir, node.bin, 'pg_rewind');
    await long(cluster, node, 'pg_rewind', program, args, { child, env, owner: await ownerOf(node.dataDir) });
    return null;
  } catch (error) {
    if (!(error instanceof RampartError)) throw error;
    if (!/connection to server .* failed/.test(error.message)) return error;
    throw new RampartError('ProviderUnavailable', error.message, {
      remedy: `See that ${primary.name} can be reached, then retry: nothing was changed.`,
    });
  }
}

/** Takes a base backup beside the data directory. A half one of an earlier attempt is thrown away. */
export async function basebackup(
  cluster: Cluster,
  node: LocalNode,
  primary: PgNode,
  conninfo: string,
  child: Child,
): Promise<void> {
  if (await exists(node.dataDir)) await assertCopyable(node);
  const target = newDirOf(node);
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { mode: 0o700 });
  const owner = await ownerOfNode(node);
  if (owner !== undefined) await chown(target, owner.uid, owner.gid);
  // Not through the node's slot: a backup that was killed would keep it busy. The slot holds the log all the same.
  // The password goes through the environment: arguments are for everybody to see.
  const values = parseConninfo(conninfo);
  const password = values.get('password');
  values.delete('password');
  const args = ['-D', target, '-d', formatConninfo(values), '-X', 'stream', '-c', 'fast', '--progress'];
  const program = await toolPath(node.dataDir, node.bin, 'pg_basebackup');
  const env: Record<string, string> = password === undefined ? {} : { PGPASSWORD: password };
  await long(cluster, node, `base backup from ${primary.name}`, program, args, { child, env, owner });
}

async function ownerOfNode(node: LocalNode): Promise<Owner | undefined> {
  return (await exists(node.dataDir)) ? ownerOf(node.dataDir) : ownerOf(dirname(node.dataDir));
}

/** Puts the fresh directory in the old one's place; the old one is kept, unless a copy of it is. */
export async function swapIn(node: LocalNode, repair: Repair): Promise<void> {
  const fresh = newDirOf(node);
  // With a copy of it kept, this is what pg_rewind has left half done, or what it made and did not stream.
  const broken = `${repair.kept}.broken`;
  if (await exists(fresh)) {
    await rm(broken, { recursive: true, force: true });
    if (await exists(node.dataDir))
      await rename(node.dataDir, (await exists(repair.kept)) ? (repair.aside ?? broken) : repair.kept);
    await rename(fresh, node.dataDir);
    await syncFolder(dirname(node.dataDir));
  }
  await rm(broken, { recursive: true, force: true });
}

/** pg_rewind and pg_basebackup bring the primary's configuration along (its port, its name): puts the node's own back. */
export async function restoreConfiguration(cluster: Cluster, node: LocalNode, kept: string): Promise<void> {
  const own = (await readdir(kept)).filter((name) => !DATA.test(name));
  if (own.length === 0) return;
  const paths = own.map((name) => join(kept, name));
  await long(cluster, node, 'restoring its configuration', 'cp', ['-a', ...paths, node.dataDir], {});
  await syncFolder(node.dataDir);
}

/** Runs a tool that may take long, with a heartbeat every second. @throws PreconditionFailed with its last words */
async function long(
  cluster: Cluster,
  node: LocalNode,
  doing: string,
  program: string,
  args: string[],
  options: { child?: Child; env?: Record<string, string>; owner?: Owner | undefined },
): Promise<void> {
  const { context } = cluster;
  let last = '';
  const beat = (): void => context.heartbeat({ node: node.name, doing, progress: last });
  beat();
  const timer = setInterval(beat, 1_000);
  try {
    const { code, output } = await runTool(program, args, {
      signal: context.signal,
      owner: options.owner,
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.child === undefined ? {} : { started: options.child }),
      progress: (text) => {
        last =
          text
            .trim()
            .split(/[\r\n]/)
            .at(-1)
            ?.slice(-200) ?? '';
      },
    });
    if (code === 0) return;
    throw new RampartError(
      'PreconditionFailed',
      `${doing} for ${node.name} ended with ${code}: ${output.trim().slice(-600)}`,
      {
        remedy: 'Mend what it names, then retry; the old data is untouched.',
      },
    );
  } finally {
    clearInterval(timer);
  }
}
