/** What keeps a drill that is due from beginning. */
import { describe, expect, test } from 'vitest';
import { type DrillDeps, type PastDrill, runChaos, survey } from '../../activities/drills.ts';
import type { Drill } from '../../topology/drill.ts';
import { parseTopology } from '../../topology/parse.ts';
import { BASE } from '../topology/bad-inputs.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';

const TEXT = `${BASE}  basket:
    owner: team-basket
    home: eu-west
    standby: eu-central
    components: [basket-app]
    dependsOn: [checkout]
  other:
    owner: team-other
    home: eu-west
    standby: eu-central
    components: [other-app]
alertSources:
  am: {type: alertmanager, auth: {bearer: "\${env:AM}"}}
triggers:
  down:
    {service: checkout, to: eu-central, when: [{source: am}], maintenance: [{cron: 0 2 * * 0, duration: 2h}]}
  basket-down: {service: basket, to: eu-central, when: [{source: am}]}
  other-down: {service: other, to: eu-central, when: [{source: am}]}
drills:
  weekly:
    service: checkout
    to: eu-central
    cron: 0 4 * * 1
    dwell: 1m
    approvals: auto
    blackout: [{cron: 0 0 20 12 *, duration: 48h}]
`.replace(
  'services:',
  `  basket-app: {type: fakeedge, ttl: 10s, sides: {eu-west: {address: w}, eu-central: {address: c}}}
  other-app: {type: fakeedge, ttl: 10s, sides: {eu-west: {address: w}, eu-central: {address: c}}}
services:`,
);
const { topology, problems } = parseTopology(TEXT, { path: 'rampart.yaml', drivers: fakeDrivers });
if (topology === undefined) throw new Error(JSON.stringify(problems));

const MONDAY = Date.parse('2026-11-23T04:00:00Z');
const PASSED: PastDrill = { workflowId: 'w', runId: 'r', kind: 'full', at: MONDAY - 1_000, result: 'passed' };

interface Given {
  runs?: string[];
  firing?: string[];
  past?: PastDrill[];
  drill?: Partial<Drill>;
  byPerson?: boolean;
  filed?: boolean;
  now?: number;
}

function ask({
  runs = [],
  firing = [],
  past = [PASSED],
  drill = {},
  byPerson = false,
  now = MONDAY,
  filed = false,
}: Given) {
  const deps: DrillDeps = {
    openRun: async (id) => (runs.includes(id) ? { type: 'failover' } : null),
    firing: async (name) => (firing.includes(name) ? 'RegionDown (am)' : null),
    alarm: async () => null,
    filedPass: async () => filed,
    pastDrills: async () => past,
  };
  return survey(topology!, { ...topology!.drills.weekly!, ...drill }, deps, { byPerson, now });
}
const against = async (given: Given): Promise<string[]> => (await ask(given)).against;

test('nothing, on an ordinary day', async () => {
  expect(await ask({})).toEqual({ against: [], approvals: 'auto' });
});

test('people are asked until a full drill has passed, whatever is written', async () => {
  const approvals = async (past: PastDrill[]) => (await ask({ past })).approvals;
  expect(await approvals([])).toBe('people');
  expect(await approvals([{ ...PASSED, kind: 'rampOnly' }])).toBe('people');
  expect(await approvals([{ ...PASSED, result: 'other' }])).toBe('people');
  expect(await approvals([{ ...PASSED, result: 'other' }, PASSED])).toBe('auto');
  expect((await ask({ drill: { approvals: 'people' } })).approvals).toBe('people');
  // What Temporal has forgotten stands in the reports.
  expect((await ask({ past: [], filed: true })).approvals).toBe('auto');
  expect((await ask({ past: [], filed: true, drill: { approvals: 'people' } })).approvals).toBe('people');
});

describe('an incident anywhere in the dependency group', () => {
  test('a run under the lock of a service, or a trigger of one', async () => {
    expect(await against({ runs: ['failover/basket'], firing: ['down'] })).toEqual([
      'a failover is on (failover/basket)',
      'trigger down fires: RegionDown (am)',
    ]);
    expect(await against({ firing: ['basket-down'] })).toHaveLength(1);
  });

  test('none elsewhere, and none where it is not to block', async () => {
    expect(await against({ runs: ['failover/other'], firing: ['other-down'] })).toEqual([]);
    const { blockWhen } = topology.drills.weekly!;
    const drill = { blockWhen: { ...blockWhen, incident: false } };
    expect(await against({ runs: ['failover/checkout'], firing: ['down'], drill })).toEqual([]);
  });
});

test('a last drill that has failed, unless a person asks', async () => {
  const past: PastDrill[] = [{ ...PASSED, result: 'failed' }, PASSED];
  expect(await against({ past })).toEqual([
    'the last drill (2026-11-23T03:59Z) has failed: mend it, then rampart drills run weekly',
  ]);
  expect(await against({ past, byPerson: true })).toEqual([]);
  // One that was refused says nothing about the service.
  expect(await against({ past: [{ ...PASSED, result: 'other' }, PASSED] })).toEqual([]);
});

test('its blackout, and the maintenance of its service', async () => {
  expect(await against({ now: Date.parse('2026-12-21T04:00:00Z') })).toEqual([
    'its blackout lasts until 2026-12-22T00:00Z',
  ]);
  const sunday = Date.parse('2026-11-22T03:00:00Z');
  expect(await against({ now: sunday })).toEqual(['a maintenance window of checkout is on until 2026-11-22T04:00Z']);
  const { blockWhen } = topology.drills.weekly!;
  expect(await against({ now: sunday, drill: { blockWhen: { ...blockWhen, maintenance: false } } })).toEqual([]);
});

test('what Temporal does not say is thrown, and never taken for calm', async () => {
  const away = () => Promise.reject(new Error('no answer'));
  const deps: DrillDeps = { openRun: away, firing: away, alarm: away, filedPass: away, pastDrills: async () => [] };
  await expect(survey(topology, topology.drills.weekly!, deps, { byPerson: false, now: MONDAY })).rejects.toThrow(
    'no answer',
  );
});

describe('a command of a chaos drill', () => {
  const chaos = (...argv: string[]) => ({
    break: argv,
    restore: ['/bin/true'],
    timeoutMs: 5_000,
    detectWithinMs: 1,
    recoverWithinMs: 1,
  });
  const signal = new AbortController().signal;
  const play = (...argv: string[]) =>
    runChaos({ ...topology.drills.weekly!, chaos: chaos(...argv) }, 'break', { signal });

  test('runs without a shell, and knows what it is for', async () => {
    expect(
      (await play('/bin/sh', '-c', 'test "$RAMPART_DRILL $RAMPART_SERVICE $RAMPART_TO" = "weekly checkout eu-central"'))
        .ms,
    ).toBeGreaterThanOrEqual(0);
    await expect(play('/bin/echo', '$(false)')).resolves.toBeDefined();
  });

  test('that fails says how, and what it said', async () => {
    await expect(play('/bin/sh', '-c', 'echo no such region >&2; exit 3')).rejects.toThrow(
      '/bin/sh ended with exit code 3: no such region',
    );
    await expect(play('/nowhere/break-it')).rejects.toThrow(/\/nowhere\/break-it could not be started: .*ENOENT/);
  });
});
