/** Debian's docker-compose 1.29 for reading compose files: on PATH, or installed with its packages where that works. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { labHome } from '../../lab/paths.ts';

export interface Program {
  command: string;
  args: string[];
  env: Record<string, string>;
}

const answers = (p: Program): boolean =>
  spawnSync(p.command, [...p.args, '--version'], { env: { ...process.env, ...p.env } }).status === 0;

/**
 * @returns the program; `null` where there is none and no apt-get to get it with (not Debian)
 * @throws Error with apt's own words when the installation fails
 */
export function dockerCompose(): Program | null {
  const onPath = { command: 'docker-compose', args: [], env: {} };
  if (answers(onPath)) return onPath;
  if (spawnSync('apt-get', ['--version']).status !== 0) return null;
  if (process.getuid?.() === 0) {
    apt(['install', '-y', '--no-install-recommends', 'docker-compose']);
    return onPath;
  }
  return unpacked();
}

function apt(args: string[], cwd = '/'): void {
  const run = () =>
    execFileSync('apt-get', args, { cwd, stdio: 'pipe', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  try {
    run();
  } catch (error) {
    // A fresh machine has no package lists, an old one stale ones.
    if (process.getuid?.() !== 0) throw error;
    execFileSync('apt-get', ['update'], { stdio: 'pipe' });
    run();
  }
}

/** Without root: the packages are downloaded and unpacked into `.lab/`, and found through PYTHONPATH. */
function unpacked(): Program {
  const home = join(labHome(), 'docker-compose');
  const program = {
    command: '/usr/bin/python3',
    args: [join(home, 'usr/bin/docker-compose')],
    env: { PYTHONPATH: join(home, 'usr/lib/python3/dist-packages') },
  };
  if (existsSync(home) && answers(program)) return program;
  const draft = `${home}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  const planned = execFileSync('apt-get', ['install', '-s', '--no-install-recommends', 'docker-compose'], {
    encoding: 'utf8',
  });
  const packages = [...planned.matchAll(/^Inst (\S+)/gm)].map((m) => m[1]!);
  apt(['download', ...packages], draft);
  for (const file of readdirSync(draft).filter((name) => name.endsWith('.deb')))
    execFileSync('dpkg', ['-x', join(draft, file), draft]);
  rmSync(home, { recursive: true, force: true });
  renameSync(draft, home);
  if (!answers(program)) throw new Error(`docker-compose in ${home} does not start`);
  return program;
}
