import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from '../lab/paths.ts';

/** Brings `dist/` up to date before any test: the child processes of the tests run built code. */
export default function build(): void {
  const script = join(repositoryRoot(), 'scripts/build.mjs');
  const result = spawnSync(process.execPath, [script, '--if-stale'], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${result.stdout}${result.stderr}`);
}
