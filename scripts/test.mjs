// `./rampart test`: format and lint, types, then every test. Ends with one line `N passed, N failed`.
// Arguments go to vitest, and then only the tests run: `./rampart test test/lab`, `./rampart test -t ramp`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (file) => join(root, 'node_modules', file);
const chosen = process.argv.slice(2);
let passed = 0;
/** A line for everything that failed: said once more at the end, where a log that was cut still has it. */
const failures = [];

function run(file, args) {
  return spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
}

function check(title, file, args) {
  console.log(`\n${title}`);
  const { status } = run(file, args);
  if (status === 0) passed += 1;
  else failures.push(title);
}

/** What failed of one file: its tests, or the file itself where none of them ran. */
function failuresOf(file) {
  const name = relative(root, file.name);
  const tests = file.assertionResults.filter((test) => test.status === 'failed');
  if (tests.length === 0) return file.status === 'failed' ? [`${name}: ${firstLine(file.message)}`] : [];
  return tests.map((test) => `${name} > ${test.fullName}: ${firstLine(test.failureMessages[0])}`);
}

function firstLine(message = '') {
  return stripVTControlCharacters(message).split('\n', 1)[0].slice(0, 300);
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
  passed += results.numPassedTests;
  failures.push(...results.testResults.flatMap(failuresOf));
  // An error outside every test fails the run as well.
  if (vitest.status !== 0 && results.testResults.every((file) => file.status !== 'failed'))
    failures.push('an error outside the tests, told above');
} catch {
  failures.push('vitest left no results');
}
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
