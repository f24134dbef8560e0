/** The demo as people run it, through the launcher. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { DemoResult } from '../../lab/demo/result.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { survivors } from '../../lab/processes.ts';
import { nodesDirectory, recordOf, worldDirectory } from '../../lab/world/spec.ts';
import { removeWorld } from '../../lab/world.ts';
import { fullOnly } from '../integration/expectations.ts';

const launcher = join(repositoryRoot(), 'rampart');
const names = new Set<string>();

afterEach(async () => {
  for (const name of names) await removeWorld(name);
  names.clear();
}, 60_000);

function worldName(suffix: string): string {
  const name = `e2e-${process.pid}-${suffix}`;
  names.add(name);
  return name;
}

function processesOf(world: string): string[] {
  const listed = spawnSync('ps', ['-A', '-ww', '-o', 'pid=,stat=,args='], { encoding: 'utf8' }).stdout.split('\n');
  const folders = [`${worldDirectory(world)}/`, `${nodesDirectory(world)}/`];
  const named = listed.filter((line) => folders.some((folder) => line.includes(folder)) && !/^\s*\d+\s+Z/.test(line));
  // Apps and workers do not name the world on their command line; the record has them.
  return [...named, ...survivors(recordOf(worldDirectory(world)))];
}

test('the demo passes, and its last line says what programs rely on', async () => {
  const name = worldName('whole');
  const child = spawn(launcher, ['demo', '--json', '--name', name], { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  let out = '';
  let progress = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    progress += chunk;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const result = JSON.parse(out.trim().split('\n').at(-1) ?? '') as DemoResult;
  expect(result.problems, progress).toEqual([]);
  expect([result.result, code]).toEqual(['passed', 0]);

  const [failover, failback, unplanned] = result.runs;
  expect(result.runs.map(({ action, mode, from, to }) => [action, mode, from, to])).toEqual([
    ['failover', 'planned', 'eu-west', 'eu-central'],
    ['failback', 'planned', 'eu-central', 'eu-west'],
    ['failover', 'unplanned', 'eu-west', 'eu-central'],
  ]);
  for (const run of [failover, failback]) {
    expect(run).toMatchObject({ outcome: 'completed', lost: 0, duplicated: 0, service: 'checkout' });
    expect(run?.acknowledged).toBeGreaterThan(100);
    expect(run?.ramp.map(({ set }) => set)).toEqual([10, 25, 50, 100]);
  }
  expect(unplanned).toMatchObject({ outcome: 'completed', lostInsideStatement: true, duplicated: 0 });
  expect(unplanned?.lost).toBeGreaterThan(0);
  expect(Object.keys(unplanned?.statedLoss ?? {})).toEqual(['kind', 'fromTime', 'toTime', 'seconds', 'atLeastBytes']);
  expect(readFileSync(result.report ?? '', 'utf8')).toContain('Rampart demo');
  expect(processesOf(name)).toEqual([]);
}, 300_000);

// That a world ends with its command is tested with every way for it to end in test/lab/world.test.ts.
fullOnly(
  'Ctrl-C in the middle leaves no process behind',
  async () => {
    const name = worldName('cut');
    // A group of its own, so that the signal reaches all of it as from a terminal.
    const child = spawn(launcher, ['demo', '--name', name], {
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: '/',
      detached: true,
    });
    const closed = new Promise((resolve) => child.once('close', resolve));
    let out = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        out += chunk;
        if (out.includes('point of no return')) resolve();
      });
      child.once('close', () => reject(new Error(`the demo ended by itself:\n${out}`)));
    });
    expect(processesOf(name).length).toBeGreaterThan(5);
    process.kill(-(child.pid as number), 'SIGINT');
    expect(await closed).toBe(130);
    expect(processesOf(name)).toEqual([]);
  },
  120_000,
);
