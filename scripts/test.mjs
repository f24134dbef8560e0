// `./rampart test`: format and lint, types, then every test. Ends with one line `N passed, N failed`.
// Arguments go to vitest, and then only the tests run: `./rampart test test/lab`, `./rampart test -t ramp`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (file) => join(root, 'node_modules', file);
const chosen = process.argv.slice(2);
const counts = { passed: 0, failed: 0 };

function run(file, args) {
  return spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
}

function check(title, file, args) {
  console.log(`\n${title}`);
  const { status } = run(file, args);
  counts[status === 0 ? 'passed' : 'failed'] += 1;
}

if (chosen.length === 0) {
  check('Format and lint', bin('@biomejs/biome/bin/biome'), ['ci', '.']);
  check('Types', bin('typescript/bin/tsc'), ['--noEmit']);
}

const output = join(root, '.lab/test-results.json');
mkdirSync(dirname(output), { recursive: true });
rmSync(output, { force: true });
const vitest = run(bin('vitest/vitest.mjs'), [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${output}`,
  ...chosen,
]);
try {
  const results = JSON.parse(readFileSync(output, 'utf8'));
  counts.passed += results.numPassedTests;
  counts.failed += results.numFailedTests;
  // A file that does not load has no tests to count, and an error outside a test fails the run as well.
  if (results.numFailedTests === 0 && vitest.status !== 0) counts.failed += Math.max(1, results.numFailedTestSuites);
} catch {
  counts.failed += 1;
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
