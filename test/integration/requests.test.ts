/** What people send wrong: requests, messages, decisions. Each gets a sentence that says what would be right. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WorkflowExecutionAlreadyStartedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { readChain } from '../../clients/reports/file.ts';
import { folderStorage } from '../../clients/reports/folder.ts';
import type { ComparisonRecord } from '../../evidence/comparison-record.ts';
import type { HaltRecord } from '../../evidence/halt-record.ts';
import type { DrillRecord } from '../../evidence/record.ts';
import { nextRuns } from '../../topology/drills.ts';
import { rampart } from '../clients/terminal.ts';
import { expectPlanned } from './expectations.ts';
import { LOCK, openTestWorld, PERSON, type TestRun, type TestWorld, until } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('requests', { load: 30, bake: '500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);
afterEach((context) => world.tidy(context.task.result?.state === 'fail'));

const GO = { service: 'checkout', to: 'eu-central' };

/** The sentence an update is refused with. */
async function refusal(run: TestRun, verb: string, input: unknown): Promise<string> {
  try {
    await run.send(verb, input);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) return error.cause?.message ?? error.message;
    throw error;
  }
  throw new Error(`${verb} ${JSON.stringify(input)} was accepted`);
}

function policy(gate: string, rules: object): void {
  world.editTopology((t) => t.setIn(['services', 'checkout', 'approvals', gate], t.createNode(rules)));
}

async function atGate(input: object = GO): Promise<TestRun> {
  const run = await world.start('failover', input);
  await run.until('the gate', (s) => s.gate !== null);
  return run;
}

async function expectUntouched(): Promise<void> {
  expect(await world.sides()).toEqual({ active: 'eu-west', other: 'eu-central' });
}

test.each([
  ['nothing', undefined, /the input must be one JSON object, for example \{"service":"checkout","to":"eu-central"\}/],
  ['a text', 'please', /must be one JSON object/],
  [
    'an unknown service',
    { service: 'chekout', to: 'eu-central' },
    /unknown service "chekout", did you mean "checkout"\?/,
  ],
  [
    'an unknown region',
    { service: 'checkout', to: 'eu-centrl' },
    /unknown region for "to" "eu-centrl", did you mean "eu-central"\?/,
  ],
  ['an unknown field', { ...GO, too: 1 }, /unknown field "too", did you mean "to"\?/],
  ['a field of the wrong kind', { ...GO, mode: 'fast' }, /"mode".*planned.*unplanned/],
  ['no target', { service: 'checkout' }, /"to" must name the region to go to: eu-west or eu-central/],
  ['from and to the same', { ...GO, from: 'eu-central' }, /"from" and "to" are both eu-central/],
  ['a digest of another plan', { ...GO, digest: 'f'.repeat(64) }, /the plan compiled now has digest/],
  [
    'a source that is not active',
    { service: 'checkout', from: 'eu-central', to: 'eu-west' },
    /Nothing to do|observation shows/,
  ],
])('a request with %s ends at once and says what would be right', async (_, input, sentence) => {
  const ended = await (await world.start('failover', input)).ended();
  expect(ended.text).toMatch(sentence);
  expect(['InvalidInput', 'Refused', 'completed']).toContain(ended.status);
  await expectUntouched();
});

test('another workflow ID than the lock is refused with the lock and a link that starts it', async () => {
  const ended = await (await world.start('failover', GO, 'my-own-id')).ended();
  expect(ended.status).toBe('InvalidInput');
  expect(ended.text).toContain(`the workflow ID must be "${LOCK}", not "my-own-id"`);
  expect(ended.text).toMatch(/start-workflow\?taskQueue=rampart&workflowType=failover&workflowId=failover%2Fcheckout/);
});

test('target already primary: nothing to do, and said so', async () => {
  const ended = await (await world.start('failover', { service: 'checkout', to: 'eu-west' })).ended();
  expect([ended.status, ended.record.outcome]).toEqual(['completed', 'nothingToDo']);
  expect(ended.text).toMatch(/^Nothing to do: eu-west is active/);
});

test('decisions count once, for the open gate, by who may; malformed signals wedge nothing', async () => {
  policy('cutover', {
    required: 2,
    approvers: ['ana@example.com', 'bo@example.com', 'cy@example.com'],
    fourEyes: true,
  });
  const run = await atGate({ ...GO, by: 'bo@example.com' });
  // A second start meets the lock.
  await expect(world.start('failover', GO)).rejects.toBeInstanceOf(WorkflowExecutionAlreadyStartedError);

  expect(await refusal(run, 'decide', { gate: 'cutover.2', decision: 'approve', by: PERSON })).toBe(
    'the open gate is cutover.1, not cutover.2',
  );
  expect(await refusal(run, 'decide', { decision: 'maybe', by: PERSON })).toMatch(
    /"decision" must be "approve" or "reject". Example/,
  );
  expect(await refusal(run, 'approve', { by: 'zoe@example.com' })).toMatch(
    /zoe@example.com is not among the approvers of gate cutover/,
  );
  expect(await refusal(run, 'approve', { by: 'bo@example.com' })).toMatch(/with four eyes somebody else must approve/);
  expect(await refusal(run, 'approve', {})).toMatch(/"by" must say who you are/);
  expect(await refusal(run, 'approve', 'yes')).toMatch(/takes one JSON object/);
  expect(await refusal(run, 'skip', { by: PERSON, step: 'fence:orders-db@eu-west', reason: 'hurry' })).toMatch(
    /can never be skipped/,
  );
  expect(await refusal(run, 'retry', { by: PERSON })).toMatch(/nothing has failed/);
  expect(await refusal(run, 'resume', { by: PERSON })).toMatch(/not paused/);
  expect(await refusal(run, 'escalate', { by: PERSON, to: 'mars' })).toMatch(/unknown region mars/);
  await expect(run.send('explode', {})).rejects.toThrow();

  for (const input of [
    undefined,
    null,
    7,
    'yes',
    [],
    [1, 2],
    {},
    { by: 3 },
    { by: PERSON, gate: {} },
    { by: PERSON, extra: 1 },
  ])
    await run.handle.signal('approve', ...(input === undefined ? [] : [input]));
  await run.handle.signal('explode', { by: PERSON });
  const noted = await run.until('the malformed signals are noted', (s) =>
    s.log.some((l) => /there is no message "explode"; there are decide, approve/.test(l.text)),
  );
  expect(noted.gate).toMatchObject({ id: 'cutover.1', approvedBy: [], required: 2 });

  expect(await run.send('approve', { by: PERSON })).toMatchObject({
    applied: true,
    text: expect.stringContaining('1 more needed'),
  });
  expect(await refusal(run, 'approve', { by: PERSON })).toMatch(/has already approved gate cutover.1/);
  // The same decision as a signal is noted, not counted.
  await run.handle.signal('approve', { by: PERSON });
  expect(
    (await run.until('the note', (s) => s.log.some((l) => /approve not applied: .*already approved/.test(l.text))))
      .gate!.approvedBy,
  ).toEqual([PERSON]);
  expect((await run.send('reject', { by: 'cy@example.com', comment: 'not today' })).applied).toBe(true);
  const ended = await run.ended();
  expect([ended.status, ended.record.outcome]).toEqual(['Refused', 'refused']);
  expect(ended.text).toMatch(/cutover.1 was rejected by cy@example.com: not today/);
  expect(ended.record.steps.filter((s) => s.stage !== 'preflight')).toEqual([]);
  await expectUntouched();
}, 240_000);

test('a gate that nobody decides expires; a decision after that is refused', async () => {
  policy('cutover', { timeout: '1s', onTimeout: 'reject' });
  const run = await world.start('failover', GO);
  const ended = await run.ended();
  expect([ended.status, ended.text]).toEqual(['Refused', expect.stringMatching(/nobody decided within 1 s/)]);
  await expect(run.send('approve', { by: PERSON })).rejects.toThrow();
  await expectUntouched();
});

test('withdraw ends a run that has done nothing, and another may take its place', async () => {
  const first = await atGate();
  expect((await first.send('withdraw', { by: PERSON, reason: 'replaced' })).applied).toBe(true);
  expect((await first.ended()).status).toBe('Cancelled');
  const second = await atGate();
  await second.send('abort', { by: PERSON, reason: 'a test' });
  expect((await second.ended()).status).toBe('Cancelled');
  const third = await atGate();
  await third.handle.cancel();
  expect((await third.ended()).status).toBe('Cancelled');
  await expectUntouched();
}, 240_000);

test('abort in the ramp leaves the data, cancel before the promotion puts everything back', async () => {
  // Before: the step of a team's own in prepare waits, so that the cancel meets a run that has begun to act.
  world.editTopology((t) =>
    t.setIn(
      ['services', 'checkout', 'steps'],
      t.createNode([
        {
          name: 'wait',
          stage: 'prepare',
          summary: 'Wait until somebody cancels',
          kind: 'command',
          effect: 'none',
          deadline: '30s',
          command: ['/bin/sleep', '30'],
        },
      ]),
    ),
  );
  const before = await atGate();
  await before.approve('cutover');
  await before.until('the step waits', (s) => s.steps.some((x) => x.id === 'own:wait' && x.state === 'running'));
  expect(await refusal(before, 'withdraw', { by: PERSON })).toMatch(/too late to withdraw.*use abort/);
  await before.handle.cancel();
  const cancelled = await before.ended();
  expect(['Cancelled', 'RolledBack']).toContain(cancelled.status);
  await expectUntouched();
  world.resetTopology();

  const after = await atGate();
  await after.approve('cutover');
  await after.until('the ramp has begun', (s) => s.trafficPercent !== null && s.trafficPercent >= 10);
  expect((await after.send('abort', { by: PERSON, reason: 'a test' })).text).toMatch(
    /the promotion stands; to go back use failback/,
  );
  const ended = await after.ended();
  expect(ended.status).toBe('NeedsHuman');
  expect(ended.text).toMatch(
    /The promotion in eu-central stands; to go back, run `rampart start failback --service checkout`/,
  );
  expect((await world.sides()).active).toBe('eu-central');
  // The same failover again goes on where it was left.
  const again = await atGate();
  expect((await again.status()).text).toBe('');
  await again.approve('cutover');
  const resumed = await again.ended();
  expect(resumed.status, resumed.text).toBe('completed');
  await world.untilProtected();
  const back = await world.start('failback', { service: 'checkout' });
  await back.approve('cutover');
  expectPlanned(await back.ended(), 'eu-central', 'eu-west');
  const orders = await world.verifyOrders();
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
}, 360_000);

/** As a person types it, against the world's server and topology. */
const cli = (...args: string[]) =>
  rampart(args, {
    env: {
      TEMPORAL_ADDRESS: world.report.temporal.address,
      TEMPORAL_NAMESPACE: world.report.temporal.namespace,
      RAMPART_CONFIG: world.report.config,
      RAMPART_BY: PERSON,
      RAMPART_STATE_DIR: world.lab.dir,
    },
  });

interface Listed {
  drill: string;
  drift: string;
  paused: boolean;
  next: number[];
  last: { verdict: string; text: string } | null;
}

async function listed(): Promise<{ code: number; drills: Record<string, Listed> }> {
  const ran = await cli('drills', 'list', '--json');
  const { drills } = ran.json<{ drills: Listed[] }>();
  return { code: ran.code, drills: Object.fromEntries(drills.map((one) => [one.drill, one])) };
}

/** Fires a schedule, as its time does. @returns what it left */
async function fire(name: string): Promise<DrillRecord> {
  const handle = world.client.schedule.getHandle(`rampart-drill/${name}`);
  const before = (await handle.describe()).info.numActionsTaken;
  await handle.trigger();
  const action = await until('the schedule has started it', async () => {
    const { recentActions, numActionsTaken } = (await handle.describe()).info;
    return numActionsTaken > before ? recentActions.at(-1) : undefined;
  });
  const { workflowId, firstExecutionRunId } = action.action.workflow;
  expect(workflowId).toMatch(new RegExp(`^scheduled-drill/${name}-\\d{4}-`));
  return (await world.client.workflow.getHandle(workflowId, firstExecutionRunId).result()) as DrillRecord;
}

const drillBegun = () =>
  until('the drill has begun', async () => {
    const { type, status } = await world.client.workflow.getHandle(LOCK).describe();
    return type === 'drill' && status.name === 'RUNNING' ? true : undefined;
  });

test('drills on a schedule: synced, fired, there and back on one approval, skipped when they are gone, failed when slow', async () => {
  const before = await world.sides();
  const full = { service: 'checkout', to: before.other, dwell: '1500ms', interval: '200ms', approvals: 'auto' };
  const drills = {
    nightly: {
      ...full,
      cron: '0 3 1 1 *',
      assertions: [{ name: 'dwell', expr: 'run.dwell >= duration("1s")' }],
    },
    // Both fields of the day: read by Temporal as the topology reads them.
    tuesdays: {
      service: 'checkout',
      kind: 'checks',
      cron: ['30 2 1-7 1,4,7,10 2', '0 4 * * 0'],
      timeZone: 'Europe/Berlin',
    },
    gone: { service: 'checkout', kind: 'checks', cron: '0 5 * * 7' },
  };
  world.editTopology((t) => {
    t.set('drills', t.createNode(drills));
    t.setIn(['services', 'checkout', 'ramp', 'steps'], t.createNode([100]));
  });
  const dry = await cli('drills', 'sync', '--dry-run');
  expect([dry.code, dry.out.match(/would create/g)]).toEqual([0, Array(3).fill('would create')]);
  expect((await listed()).drills.nightly!.drift).toBe('missing');
  await cli('drills', 'sync');
  const again = await cli('drills', 'sync');
  expect(again.out).not.toMatch(/create|update|delete/);
  const { code, drills: synced } = await listed();
  expect(code).toBe(0);
  for (const [name, { cron, timeZone = 'UTC' }] of Object.entries<{ cron: string | string[]; timeZone?: string }>(
    drills,
  )) {
    const { next } = synced[name]!;
    expect(next.length).toBeGreaterThan(2);
    expect(next, name).toEqual(nextRuns([cron].flat(), timeZone, new Date(), next.length).map(Number));
  }

  // Somebody changes it in the Web UI.
  await world.client.schedule.getHandle('rampart-drill/tuesdays').update((present) => ({
    ...present,
    spec: { cronExpressions: ['0 3 * * *'] },
  }));
  expect((await cli('drills', 'pause', 'tuesdays', '--reason', 'holidays')).code).toBe(0);
  expect(await listed()).toMatchObject({ code: 1, drills: { tuesdays: { drift: 'edited', paused: true } } });
  await cli('drills', 'sync');
  expect(await listed()).toMatchObject({ code: 0, drills: { tuesdays: { drift: 'same', paused: true } } });

  // It asks, although nobody is to be asked: the service has no passed drill yet.
  const due = fire('nightly');
  await drillBegun();
  await world.run().approve('cutover');
  const record = await due;
  expect(record.reasons).toEqual([]);
  expect(record).toMatchObject({ verdict: 'passed', from: before.active, to: before.other, workflowId: LOCK });
  expect(record.legs.map(({ action, outcome, debt }) => [action, outcome, debt])).toEqual([
    ['failover', 'completed', []],
    ['failback', 'completed', []],
  ]);
  expect(record.dwell!.checks!.every(({ outcome }) => outcome === 'pass')).toBe(true);
  expect(record.assertions).toMatchObject([{ name: 'dwell', met: true }]);
  expect(await world.sides()).toEqual(before);
  expect((await listed()).drills.nightly!.last!.verdict).toBe('passed');

  // A schedule whose drill is deleted, and not synced.
  world.editTopology((t) => t.deleteIn(['drills', 'gone']));
  expect(await fire('gone')).toMatchObject({
    verdict: 'skipped',
    reasons: [expect.stringMatching(/no longer in the topology/)],
  });
  expect(await listed()).toMatchObject({
    code: 1,
    drills: { gone: { drift: 'deleted', last: { verdict: 'skipped' } } },
  });
  await cli('drills', 'sync');
  expect((await listed()).drills.gone).toBeUndefined();
  const { runs } = (await cli('history', 'checkout', '--json')).json<{
    runs: Array<{ action: string; outcome: string }>;
  }>();
  expect(runs.filter(({ action }) => action === 'drill').map(({ outcome }) => outcome)).toEqual([
    'skipped',
    'completed',
  ]);

  // By hand, and the other side becomes slow.
  world.editTopology((t) => t.setIn(['drills', 'nightly', 'dwell'], '60s'));
  const junit = join(world.lab.dir, 'drill.xml');
  const failing = cli('drills', 'run', 'nightly', '--junit', junit, '--reason', 'after a change');
  await drillBegun();
  await world.run().until('the other side', ({ text }) => text.startsWith('On the other side'));
  await world.lab.delay(before.other, 400);
  await world.run().until('the way back', ({ text }) => !text.startsWith('On the other side'));
  await world.lab.heal();
  const failed = await failing;
  expect([failed.code, failed.out]).toEqual([1, expect.stringContaining('check app-ready failed 3 times in a row')]);
  expect(readFileSync(junit, 'utf8')).toMatch(/<failure message="[^"]*app-ready failed 3 times in a row/);
  expect(await world.sides()).toEqual(before);
  await cli('drills', 'sync');
  expect(await fire('nightly')).toMatchObject({
    verdict: 'skipped',
    reasons: [expect.stringMatching(/the last drill .* has failed/)],
  });
  const orders = await world.verifyOrders();
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
}, 240_000);

test('a halt: the run pauses, the replica applies no more, a new run needs the override; a person ends it', async () => {
  const { other } = await world.sides();
  const to = { service: 'checkout', to: other };
  const run = await atGate(to);
  const halted = await cli('halt', 'checkout', '--reason', 'wrong amounts', '--by', 'ann');
  expect([halted.code, halted.err]).toEqual([0, '']);
  expect(halted.out).toMatch(/checkout: halted.*by ann: wrong amounts.*told to pause.*paused 2/s);
  const record = await world.client.workflow.getHandle('halt/checkout').query<HaltRecord>('evidence');
  expect(record).toMatchObject({ state: 'open', run: { type: 'failover', gate: 'cutover.1' } });
  expect(record.replicas).toMatchObject([{ region: other, before: { state: 'applying' }, now: { state: 'paused' } }]);
  expect(record.observed!.samples['orders-db']!.length).toBeGreaterThan(0);
  expect((await run.status()).paused).toMatchObject({ by: 'halt/checkout' });
  expect((await cli('status', 'checkout')).out).toMatch(/^HALTED since .*rampart halt checkout says why/);
  expect((await cli('status', '--observe', 'no')).out).toMatch(/checkout: HALTED since .*rampart resume checkout/);
  const open = { workflowId: 'halt/checkout', startedAt: expect.any(Number) };
  const answer = async (...args: string[]): Promise<object> =>
    JSON.parse((await cli('status', ...args, '--json')).out) as object;
  expect(await answer('checkout')).toMatchObject({ action: 'failover', halted: open });
  expect(await answer('--observe', 'no')).toMatchObject({ services: [{ service: 'checkout', halted: open }] });
  await run.send('abort', { by: PERSON });
  await run.ended();
  // Data is not moved without a word about the halt, and with it only after the replica goes on.
  const second = await world.start('trafficRamp', { ...to, percent: 50 });
  const { gate } = await second.until('the gate', (s) => s.gate !== null || s.holding !== null);
  expect(gate!.needsOverride).toContain('halted');
  expect(await refusal(second, 'decide', { by: PERSON, decision: 'approve' })).toMatch(/"halted"/);
  await second.send('withdraw', { by: PERSON });
  await second.ended();
  expect((await cli('resume', 'checkout', '--by', 'ann')).err).toMatch(/--reason must say what was found/);
  const over = await cli('resume', 'checkout', '--by', 'ann', '--reason', 'a bad import');
  expect([over.code, over.out]).toEqual([0, expect.stringContaining('The halt is over.')]);
  await world.untilProtected();
  const told = await cli('halt', 'checkout');
  expect([told.code, told.out]).toEqual([
    0,
    expect.stringMatching(/no longer halted[\s\S]*a bad import[\s\S]*replay goes on/),
  ]);
}, 120_000);

test('whatever ended here is filed, and nobody asked for it; a run that was terminated as well', async () => {
  await atGate();
  const handle = world.client.workflow.getHandle(LOCK);
  const { runId } = await handle.describe();
  await handle.terminate('by hand');
  const store = folderStorage(join(world.lab.dir, 'reports'));
  const cut = await until('the report of the run that ended last', async () => {
    const { reports } = await readChain(store, 'checkout');
    return reports.find(({ manifest }) => manifest?.run.runId === runId)?.manifest?.run;
  });
  expect(cut).toMatchObject({ outcome: 'needsHuman', verdict: 'failed' });
  // Whatever ended before it was filed before it: by hand there is nothing left to do.
  const byHand = await cli('report', 'file', 'checkout', '--json');
  expect([byHand.code, byHand.json<{ filed: unknown[] }>().filed]).toEqual([0, []]);
  const verified = await cli('report', 'verify', 'checkout');
  expect([verified.code, verified.out]).toEqual([0, expect.stringContaining('as filed')]);
}, 60_000);

test('what two regions hold is compared on the word of a person, while writes go on', async () => {
  world.editTopology((t) => {
    const side = { component: 'orders-db' };
    const between = { 'eu-west': side, 'eu-central': side };
    const orders = { service: 'checkout', between, table: 'orders', key: 'id', settle: '1s' };
    t.set('divergence', t.createNode({ orders }));
  });
  const { code, out, err } = await cli('compare', 'checkout', '--json');
  expect(err).toBe('');
  const { comparisons } = JSON.parse(out) as { comparisons: ComparisonRecord[] };
  expect(comparisons).toMatchObject([
    { comparison: 'orders', complete: true, keys: [], regions: ['eu-west', 'eu-central'] },
  ]);
  expect(comparisons[0]!.rows['eu-west']).toBeGreaterThan(0);
  expect(code).toBe(0);
}, 60_000);
