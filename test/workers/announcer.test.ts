/** The notify command hears of every finding when it opens and when it is over, and of what only stands once a minute. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Alarm, Announcer, type GuardNotice } from '../../workers/watchdog.ts';

const AT = Date.UTC(2026, 2, 29, 3, 12);
const noWeights: GuardNotice = {
  ...{ source: 'guard', kind: 'noWeights', severity: 'critical', state: 'opened', service: 'checkout' },
  ...{ component: 'edge', region: null, message: 'all weights are zero', remedy: 'rampart escape checkout' },
};
const over: GuardNotice = { ...noWeights, state: 'cleared' };
const alarm: Alarm = {
  ...{ kind: 'twoWritable', service: 'checkout', component: 'orders-db' },
  ...{ message: '2 writable sides', remedy: 'rampart escape checkout' },
};
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let dir: string;
let announcer: Announcer;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rampart-announcer-'));
  announcer = new Announcer(log, ['sh', '-c', 'printf "%s\\n" "$(cat)" >> "$0"', join(dir, 'said')], null);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const heard = (): GuardNotice[] =>
  readFileSync(join(dir, 'said'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as GuardNotice);

test('what comes, goes and comes again within a minute is said three times: the last word is what stands', async () => {
  await announcer.tell(noWeights, AT);
  await announcer.tell(over, AT + 10_000);
  await announcer.tell(noWeights, AT + 20_000);
  expect(heard().map(({ state }) => state)).toEqual(['opened', 'cleared', 'opened']);
});

test('what another process was told meanwhile does not swallow what is told here', async () => {
  await announcer.tell(noWeights, AT);
  // Its end went by way of another control worker.
  await announcer.tell(noWeights, AT + 20_000);
  expect(heard()).toHaveLength(2);
});

test('one finding in two regions, of two services, of two nodes are two', async () => {
  const debt: GuardNotice = { ...noWeights, kind: 'protectionDebt', severity: 'warning', component: 'orders-db' };
  const old: GuardNotice = { ...debt, kind: 'proofOld', component: null };
  for (const one of [
    { ...debt, region: 'eu-west' },
    { ...debt, region: 'eu-central' },
    { ...debt, region: 'eu-central', message: 'orders-db-3 does not follow' },
    { ...old, service: 'a' },
    { ...old, service: 'b' },
  ])
    await announcer.tell(one, AT);
  expect(heard()).toHaveLength(5);
});

test('every text of a trigger is said; the same one within a minute is another try', async () => {
  const page: GuardNotice = { ...noWeights, source: 'trigger', kind: 'trigger/errors', component: null };
  await announcer.tell({ ...page, message: 'page: errors' }, AT);
  await announcer.tell({ ...page, message: 'start: a halt keeps it from starting' }, AT + 5_000);
  await announcer.tell({ ...page, message: 'page: errors' }, AT + 6_000);
  expect(heard().map(({ message }) => message)).toEqual(['page: errors', 'start: a halt keeps it from starting']);
});

test('a watch that is blind in two regions says both; another try of each within a minute is none', async () => {
  const blind: GuardNotice = {
    ...noWeights,
    source: 'watch',
    kind: 'watch/shop',
    severity: 'warning',
    component: null,
  };
  const first = { ...blind, message: 'nothing can be told of eu-west' };
  const second = { ...blind, message: 'nothing can be told of eu-central' };
  for (const [one, at] of [
    [first, 0],
    [first, 1_000],
    [second, 2_000],
    [second, 4_000],
  ] as const)
    await announcer.tell(one, AT + at);
  expect(heard().map(({ message }) => message)).toEqual([first.message, second.message]);
});

test('another try of a word, its end too, does not run the command again, however late', async () => {
  await announcer.tell(noWeights, AT);
  await announcer.tell({ ...noWeights, component: 'other' }, AT + 900_000);
  await announcer.tell(noWeights, AT);
  await announcer.tell(over, AT + 10_000);
  await announcer.tell(over, AT + 10_000);
  expect(heard().map(({ component, state }) => `${state} ${component}`)).toEqual([
    'opened edge',
    'opened other',
    'cleared edge',
  ]);
});

test('what the command did not take is said again', async () => {
  const script = 'test -e "$0.up" || { touch "$0.up"; exit 3; }; cat >> "$0"';
  announcer = new Announcer(log, ['sh', '-c', script, join(dir, 'said')], null);
  await expect(announcer.tell(noWeights, AT)).rejects.toThrow('the notify command ended with 3');
  await announcer.tell(noWeights, AT);
  expect(heard()).toHaveLength(1);
});

test('an alarm that stands is said once a minute for each service, and the guard does not say the same again', async () => {
  for (let at = AT; at <= AT + 60_000; at += 1_000)
    for (const service of ['checkout', 'shop']) announcer.announce({ ...alarm, service }, at);
  await vi.waitFor(() => expect(heard()).toHaveLength(4), 10_000);
  const guards: GuardNotice = { ...noWeights, ...alarm };
  await announcer.tell(guards, AT + 61_000);
  expect(heard()).toHaveLength(4);
  // Over by the guard's word: what the watchdog still sees is said at once.
  await announcer.tell({ ...guards, state: 'cleared' }, AT + 62_000);
  announcer.announce(alarm, AT + 63_000);
  await vi.waitFor(() => expect(heard()).toHaveLength(6), 10_000);
});
