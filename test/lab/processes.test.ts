import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { built } from '../../lab/paths.ts';
import { endRecorded, groupLives, readRecord, recordGroup, startProcess, survivors } from '../../lab/processes.ts';

let folder: string;
let record: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rampart-processes-'));
  record = join(folder, 'processes.jsonl');
});
afterEach(async () => {
  await endRecorded(record, 0);
  rmSync(folder, { recursive: true, force: true });
});

const soon = { timeout: 5_000, interval: 10 };

/** A shell that ignores SIGTERM and has a child of its own. */
function startStubborn(): void {
  startProcess({
    name: 'stubborn',
    command: '/bin/sh',
    args: ['-c', `trap '' TERM; sleep 600 & echo ready > ${join(folder, 'ready')}; while :; do sleep 1; done`],
    log: join(folder, 'log'),
    record,
  });
}

test('ending a record leaves neither a stubborn process nor its children', async () => {
  startStubborn();
  await expect.poll(() => read(join(folder, 'ready')), soon).toBe('ready\n');
  expect(survivors(record)).toEqual(['stubborn']);
  await endRecorded(record, 50);
  expect(survivors(record)).toEqual([]);
});

test('children whose leader has died are ended too', async () => {
  startProcess({
    name: 'orphans',
    command: '/bin/sh',
    args: ['-c', `sleep 600 & echo ready > ${join(folder, 'ready')}`],
    log: join(folder, 'log'),
    record,
  });
  await expect.poll(() => read(join(folder, 'ready')), soon).toBe('ready\n');
  const [entry] = readRecord(record);
  if (!entry || !('group' in entry)) throw new Error('nothing was recorded');
  await expect.poll(() => groupLives(entry), soon).toBe(true);
  await endRecorded(record, 0);
  expect(groupLives(entry)).toBe(false);
});

test('a process id that was used again by somebody else is left alone', async () => {
  const stranger = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  const pid = stranger.pid as number;
  appendFileSync(record, `${JSON.stringify({ name: 'old', group: pid, started: 'another time' })}\n`);
  await endRecorded(record, 0);
  expect(stranger.signalCode).toBeNull();
  expect(() => process.kill(pid, 0)).not.toThrow();
  stranger.kill('SIGKILL');
});

test('a half-written last line does not hide the others', () => {
  recordGroup(record, 'self', process.pid);
  appendFileSync(record, '{"name":"hal');
  expect(readRecord(record).map(({ name }) => name)).toEqual(['self']);
  rmSync(record);
});

test('the reaper ends everything when its pipe breaks', async () => {
  startStubborn();
  await expect.poll(() => read(join(folder, 'ready')), soon).toBe('ready\n');
  const reaper = spawn(process.execPath, [built('lab/reaper.js'), record], { stdio: ['pipe', 'ignore', 'inherit'] });
  expect(survivors(record)).toEqual(['stubborn']);
  const done = new Promise((resolve) => reaper.once('exit', resolve));
  reaper.stdin.destroy();
  expect(await done).toBe(0);
  expect(survivors(record)).toEqual([]);
});

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
