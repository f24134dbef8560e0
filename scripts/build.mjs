// Builds `dist/`: TypeScript emitted folder by folder as the sources lie, other assets copied beside
// them, and the workflow bundle that workers load in production.
//
//   node scripts/build.mjs              build
//   node scripts/build.mjs --if-stale   build only when a source is newer than dist/.stamp
//
// Types are not checked here: that is `npx tsc --noEmit`, a part of the tests. Two builds never run at
// the same time: the second one waits for the first and then usually finds nothing to do.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const stamp = join(dist, '.stamp');
/** What is built: everything but the tests, which run from their sources. */
const project = join(root, 'scripts/tsconfig.build.json');
const folders = JSON.parse(readFileSync(project, 'utf8'))
  .include.map((folder) => folder.replace('../', ''))
  .filter((folder) => existsSync(join(root, folder)));
/** What runs from dist besides code. Markdown is read from the sources. */
const assets = /\.(json|sql|html|css|tmpl)$/;

/** Every file below `folder`, as paths relative to the root. */
function files(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : files(path);
    return entry.isFile() ? [path] : [];
  });
}

const sources = () => [
  'package.json',
  'tsconfig.json',
  'scripts/build.mjs',
  'scripts/tsconfig.build.json',
  ...folders.flatMap(files),
];

function isStale() {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  const known = new Set(readFileSync(stamp, 'utf8').split('\n'));
  const present = sources();
  return (
    present.length !== known.size ||
    present.some((path) => !known.has(path) || statSync(join(root, path)).mtimeMs > built)
  );
}

function emit() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const result = spawnSync(process.execPath, [tsc, '-p', project, '--noCheck', '--noEmitOnError', 'false'], {
    cwd: root,
    encoding: 'utf8',
  });
  // Even without type checks tsc reports syntax errors; a file that does not parse must not be shipped.
  if (result.status !== 0)
    fail(`the TypeScript compiler failed:\n${result.stdout ?? ''}${result.stderr ?? result.error ?? ''}`);
}

function copyAssets(paths) {
  for (const path of paths.filter((path) => path.includes('/') && assets.test(path))) {
    mkdirSync(join(dist, dirname(path)), { recursive: true });
    copyFileSync(join(root, path), join(dist, path));
  }
}

/** Removes emitted files whose source is gone, so that nothing runs from a deleted file. */
function prune(paths) {
  const kept = new Set(paths.map((path) => path.replace(/\.ts$/, '')));
  for (const path of listDist(dist)) {
    const name = relative(dist, path);
    if (!name.includes('/')) continue;
    if (!kept.has(name.replace(/\.js(\.map)?$/, '')) && !kept.has(name)) rmSync(path);
  }
}

function listDist(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? listDist(path) : [path];
  });
}

/** Bundles the workflows once, so that no worker needs webpack and a second at start. */
async function bundleWorkflows() {
  if (!existsSync(join(root, 'workflows/index.ts'))) return;
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(dist, 'workflows/index.js'),
    payloadConverterPath: join(dist, 'workflows/payload-converter.js'),
    logger: quiet,
  });
  writeFileSync(join(dist, 'workflow-bundle.js'), code);
}

function fail(message) {
  console.error(`rampart: build failed: ${message}`);
  process.exit(1);
}

await withLock(join(root, '.lab/build.lock'), async () => {
  if (process.argv.includes('--if-stale') && !isStale()) return;
  // The stamp carries the moment the build began: a source saved meanwhile makes it stale again.
  const began = new Date();
  const paths = sources();
  mkdirSync(dist, { recursive: true });
  rmSync(stamp, { force: true });
  emit();
  copyAssets(paths);
  prune(paths);
  await bundleWorkflows().catch((error) => fail(`bundling the workflows: ${error?.stack ?? error}`));
  writeFileSync(stamp, paths.join('\n'));
  utimesSync(stamp, began, began);
});
