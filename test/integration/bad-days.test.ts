/** States of the world that a run must refuse, name, or survive. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { freePort } from '../../lab/ports.ts';
import { createPrimary, withClient } from '../../lab/postgres/pair.ts';
import { stopPostgres } from '../../lab/postgres/server.ts';
import { nodesDirectory } from '../../lab/world/spec.ts';
import { expectPlanned, fullOnly } from './expectations.ts';
import { holdStage } from './hold.ts';
import { openTestWorld, PERSON, type TestWorld, until } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('bad', { load: 40, bake: '500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);
afterEach((context) => world.tidy(context.task.result?.state === 'fail'));

const database = (region: string): string => world.report.regions[region]!.database;
const ask = <T>(region: string, text: string): Promise<T[]> =>
  withClient(database(region), async (client) => (await client.query(text)).rows as T[]);

/** A planned failover to the other side, which must be refused before anything is done. @returns the sentence */
async function refused(): Promise<string> {
  const { active, other } = await world.sides();
  const run = await world.start('failover', { service: 'checkout', to: other });
  const { gate } = await run.until('an answer', (s) => s.outcome !== null || s.gate !== null);
  expect(gate?.facts, 'a gate opened instead').toBeUndefined();
  const ended = await run.ended();
  expect([ended.status, ended.record.outcome]).toEqual(['Refused', 'refused']);
  expect(ended.record.steps).toEqual([]);
  expect((await world.sides()).active).toBe(active);
  return ended.text;
}

async function repair(): Promise<void> {
  const run = await world.start('reprotect', { service: 'checkout' });
  await run.approveAll();
  const ended = await run.ended();
  expect(ended.status, ended.text).toBe('completed');
  await world.untilProtected();
}

describe('a planned run is refused or asks, and says why and what to do', () => {
  test('no worker in the target region', async () => {
    const { other } = await world.sides();
    await world.lab.kill({ what: 'worker', where: other });
    expect(await refused()).toMatch(
      new RegExp(`No worker answers on the task queue rampart.${other}.*rampart worker --region ${other}`, 's'),
    );
    await world.lab.start({ what: 'worker', where: other });
    await world.untilWorkers();
  }, 240_000);

  test('the replica is paused', async () => {
    const { other } = await world.sides();
    await ask(other, 'SELECT pg_wal_replay_pause()');
    expect(await refused()).toMatch(/paused/i);
    await ask(other, 'SELECT pg_wal_replay_resume()');
    await world.untilProtected();
  }, 240_000);

  test('replication lags by more than the limit', async () => {
    world.editTopology((t) => {
      t.setIn(['tiers', 'critical', 'rpo'], '1s');
      t.setIn(['services', 'checkout', 'cutoverLag'], t.createNode({ time: '1s' }));
    });
    await world.lab.stallReplication();
    const { other } = await world.sides();
    await until('a lag of two seconds', async () => {
      const [row] = await ask<{ late: boolean }>(
        other,
        "SELECT now() - pg_last_xact_replay_timestamp() > interval '2 seconds' AS late",
      );
      return row?.late ? true : undefined;
    });
    // Waiting longer is a risk that people may take, so this one is asked, and needs a word for it.
    const run = await world.start('failover', { service: 'checkout', to: other });
    const { gate } = await run.until('the gate', (s) => s.gate !== null);
    expect(gate!.needsOverride).toEqual(['lagAboveObjective']);
    expect(gate!.facts.blockers[0]!.message).toMatch(/lags by \S+ s, objective 1 s/);
    await expect(run.send('approve', { by: PERSON })).rejects.toThrow();
    await run.send('reject', { by: PERSON });
    expect((await run.ended()).status).toBe('Refused');
    await world.lab.heal();
    await world.untilProtected();
  }, 240_000);

  test("the router's API is dead", async () => {
    const port = await freePort();
    world.editTopology((t) => t.setIn(['components', 'edge', 'api'], `http://127.0.0.1:${port}`));
    expect(await refused()).toMatch(/edge cannot be read.*Bring its API back/s);
  }, 240_000);

  test('a check answers nothing', async () => {
    const { other } = await world.sides();
    const port = await freePort();
    world.editTopology((t) => t.setIn(['components', 'app-ready', 'sides', other, 'url'], `http://127.0.0.1:${port}/`));
    expect(await refused()).toMatch(/Check app-ready in \S+ gives no answer.*Unknown is not good/s);
  }, 240_000);

  test('the password is wrong; it is not in the sentence', async () => {
    const file = join(world.lab.dir, 'state/wrong.password');
    writeFileSync(file, 'open-sesame');
    world.editTopology((t) => t.setIn(['components', 'orders-db', 'password'], `\${file:${file}}`));
    const { active, other } = await world.sides();
    const run = await world.start('failover', { service: 'checkout', to: other });
    // Nothing can be read, so there is no plan to refuse: the run waits for people, or ends.
    const seen = await run.until('an answer', (s) => s.outcome !== null || s.holding !== null || s.gate !== null);
    const text = JSON.stringify(seen);
    expect(text).toMatch(/password authentication failed/);
    expect(text).not.toContain('open-sesame');
    if (seen.outcome === null) await run.send('abort', { by: PERSON, reason: 'wrong password' });
    expect(['Refused', 'Cancelled', 'NeedsHuman']).toContain((await run.ended()).status);
    expect((await world.sides()).active).toBe(active);
  }, 240_000);

  test('the system identifier is another one', async () => {
    const { other } = await world.sides();
    const { bin } = await installPart('postgres');
    const dir = join(nodesDirectory(world.lab.name), 'alien');
    const alien = await createPrimary({ dir, port: await freePort(), bin });
    try {
      world.editTopology((t) => {
        t.setIn(['components', 'orders-db', 'sides', other, 'port'], alien.port);
        t.setIn(['components', 'orders-db', 'sides', other, 'dataDir'], alien.data);
      });
      expect(await refused()).toMatch(/are not one system/);
    } finally {
      await stopPostgres(alien.data, 'immediate');
    }
  }, 240_000);
});

test('the old primary, started by hand after the fence, is read-only; a topology edited meanwhile changes nothing', async () => {
  const { active: from, other: to } = await world.sides();
  const hold = holdStage(world, 'verify');
  const began = Date.now();
  const run = await world.start('failover', { service: 'checkout', to });
  await run.until('the gate', (s) => s.gate !== null);
  world.resetTopology();
  world.editTopology((t) => {
    t.setIn(['services', 'checkout', 'ramp', 'steps'], t.createNode([100]));
    t.setIn(['components', 'edge', 'api'], 'http://127.0.0.1:1');
    t.deleteIn(['components', 'app-ready', 'sides', to]);
  });
  await run.approve('cutover');
  await hold.reached(run);
  await world.lab.start({ what: 'database', where: from });
  expect(await ask(from, 'SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: true }]);
  await expect(ask(from, 'INSERT INTO orders (id, amount) VALUES (gen_random_uuid(), 1)')).rejects.toThrow(/read-only/);
  hold.release();
  const ended = await run.ended(240_000);
  expectPlanned(ended, from, to);
  expect(ended.record.ramp.filter((r) => r.router === 'edge').map((r) => r.percent)).toEqual([10, 25, 50, 100]);
  world.resetTopology();
  await world.untilProtected();
  const orders = await world.verifyOrders(began);
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
}, 360_000);

fullOnly(
  'the replica was restarted while the primary is down: its loss is stated all the same',
  async () => {
    const { active: from, other: to } = await world.sides();
    const began = Date.now();
    await world.lab.kill({ what: 'database', where: from });
    await world.lab.kill({ what: 'database', where: to });
    await world.lab.start({ what: 'database', where: to });
    const run = await world.start('failover', { service: 'checkout', to, mode: 'unplanned' });
    const shown = await run.until('the gate', (s) => s.gate !== null, 180_000);
    expect(shown.gate!.loss.kind).toBe('bounded');
    await run.approveAll();
    const ended = await run.ended();
    expect(ended.status, ended.text).toBe('completed');
    const { lost, duplicated } = await world.verifyOrders(began - 5_000);
    const { fromTime, toTime } = ended.record.loss!;
    const outside = lost.filter(
      ({ sentAt, at }) => at < Date.parse(fromTime ?? '') || (toTime !== null && sentAt > Date.parse(toTime)),
    );
    expect([outside, duplicated]).toEqual([[], 0]);
    await repair();
  },
  360_000,
);

fullOnly(
  'both sides accept writes: planned is refused, unplanned fences the lower timeline first',
  async () => {
    const { active: from, other: to } = await world.sides();
    const began = Date.now();
    await ask(to, 'SELECT pg_promote(true)');
    const planned = await (await world.start('failover', { service: 'checkout', to })).ended();
    expect([planned.status, planned.text]).toEqual(['Refused', expect.stringMatching(/accepts writes at 2 places/)]);
    const run = await world.start('failover', { service: 'checkout', to, mode: 'unplanned' });
    const shown = await run.until('the gate', (s) => s.gate !== null);
    expect(shown.gate!.facts.classified.state).toBe('twoWritable');
    await run.approveAll();
    const ended = await run.ended();
    expect(ended.status, ended.text).toBe('completed');
    expect((await world.sides()).active).toBe(to);
    const { lost, duplicated } = await world.verifyOrders(began);
    // What the side that is fenced has acknowledged since they parted stays behind: said before anybody approves, when
    // the window is still open, and at the end, when its fence has closed it.
    const fence = ended.record.steps.find((s) => s.verb === 'fence')!;
    const { loss } = ended.record;
    expect(shown.gate!.loss!.toTime).toBeNull();
    expect(Date.parse(loss!.toTime!)).toBeGreaterThan(fence.startedAt!);
    expect(Date.parse(loss!.toTime!)).toBeLessThanOrEqual(fence.endedAt!);
    expect(lost.length).toBeGreaterThan(0);
    for (const { kind, fromTime, toTime } of [shown.gate!.loss!, loss!]) {
      expect(['bounded', 'unknown']).toContain(kind);
      // Without a sample from before they parted, the beginning is not known, and the statement says that.
      const since = fromTime === null ? 0 : Date.parse(fromTime);
      const until = toTime === null ? Number.POSITIVE_INFINITY : Date.parse(toTime);
      expect(lost.filter(({ at, sentAt }) => at < since || sentAt > until)).toEqual([]);
    }
    expect(duplicated).toBe(0);
    expect(fence.region).toBe(from);
    await repair();
  },
  360_000,
);
