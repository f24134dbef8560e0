import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Who runs PostgreSQL in the lab: ourselves, or another user when we are root (PostgreSQL refuses root). */
export interface Identity {
  uid: number;
  gid: number;
}

let root: string | undefined;

/** The repository, found from this file whether it runs from the sources or from `dist/`. */
export function repositoryRoot(): string {
  if (root) return root;
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) {
    const parent = dirname(folder);
    if (parent === folder)
      throw new Error(`no package-lock.json above ${fileURLToPath(import.meta.url)}: is this a whole clone?`);
    folder = parent;
  }
  root = realpathSync(folder);
  return root;
}

/** A built program, for example `built('lab/app/main.js')`. Child processes always run built code. */
export function built(path: string): string {
  const file = join(repositoryRoot(), 'dist', path);
  if (!existsSync(file)) throw new Error(`${file} is not there: run \`node scripts/build.mjs\``);
  return file;
}

/** Git-ignored folder with everything the lab installs and writes. */
export function labHome(): string {
  return join(repositoryRoot(), '.lab');
}

/** The user PostgreSQL runs as: undefined means as ourselves. */
export function postgresIdentity(): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return { uid: numericId('-u', 'nobody'), gid: numericId('-g', 'nobody') };
}

function numericId(flag: '-u' | '-g', user: string): number {
  const result = spawnSync('id', [flag, user], { encoding: 'utf8' });
  const id = Number(result.stdout?.trim());
  if (result.status !== 0 || !Number.isInteger(id)) {
    throw new Error(
      `PostgreSQL refuses to run as root and this machine has no user "${user}"; run rampart as an ordinary user`,
    );
  }
  return id;
}

/**
 * The folder for what PostgreSQL reads and writes: `.lab/`, or, when PostgreSQL has to run as another user
 * who cannot get into the clone (a clone below /root), a folder of our own below the temporary directory.
 */
export function postgresHome(identity = postgresIdentity()): string {
  const home = labHome();
  mkdirSync(home, { recursive: true });
  if (!identity || canEnter(home, identity)) return home;
  const name = createHash('sha256').update(repositoryRoot()).digest('hex').slice(0, 12);
  const folder = join(realpathSync(tmpdir()), `rampart-lab-${name}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== userInfo().uid || (found.mode & 0o022) !== 0) {
    throw new Error(`${folder} belongs to somebody else or others may write to it: remove it and try again`);
  }
  chmodSync(folder, 0o755);
  if (!canEnter(folder, identity)) {
    throw new Error(
      `PostgreSQL runs as uid ${identity.uid} when started by root, and that user can enter neither ${home} nor ${folder}; ` +
        'run rampart as an ordinary user, or set TMPDIR to a folder that everybody can enter',
    );
  }
  return folder;
}

/** Whether the user can enter the folder, asked of the kernel as that user (mode bits alone miss ACLs). */
function canEnter(folder: string, identity: Identity): boolean {
  // The working directory of the question must itself be reachable, so it is `/`.
  const asked = spawnSync('/bin/sh', ['-c', 'test -x "$1"', 'sh', folder], { ...identity, cwd: '/' });
  return asked.status === 0;
}
