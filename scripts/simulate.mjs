// Builds what the simulation runs (`dist/` for the workflow bundle, `.lab/simulation/` for the tests' own code) and
// hands over to it: `npm run simulate -- --seeds 1000`, `npm run simulate -- --help` is in test/simulation/main.ts.
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const program = process.argv[2];

function run(args, options = {}) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? 1);
}

run(['scripts/build.mjs', '--if-stale']);
await withLock(join(root, '.lab/simulation.lock'), () =>
  run(['node_modules/typescript/bin/tsc', '-p', 'scripts/tsconfig.simulation.json', '--noCheck']),
);
run([join('.lab/simulation/test/simulation', `${program}.js`), ...process.argv.slice(3)]);
