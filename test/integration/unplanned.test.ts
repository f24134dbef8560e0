/** The active database dies with replication behind: the loss is stated first, covers what is missing, and is mended. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { LeftBehind, LossStatement } from '../../drivers/ports.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import { expectPlanned, fullOnly } from './expectations.ts';
import { openTestWorld, type TestWorld, until } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('unplanned', { load: 60 });
}, 300_000);
afterAll(() => world?.close(), 60_000);

/** Whether an order, requested and acknowledged at these moments, lies in the stated window. */
function covers(loss: LossStatement, { sentAt, at }: { sentAt: number; at: number }): boolean {
  const from = Date.parse(loss.fromTime!);
  const to = loss.toTime === null ? Number.POSITIVE_INFINITY : Date.parse(loss.toTime);
  return at >= from && sentAt <= to;
}

// The demo, in every CI, loses writes as well and holds them against the statement.
fullOnly(
  'the gate states the loss, the loss is what is missing, reprotect pays the debt, and failback works',
  async () => {
    const { regions } = world.report;
    const load = await world.lab.load();
    await until('orders before the fault', async () => ((await load.report()).acknowledged > 60 ? true : undefined));
    await world.lab.stallReplication();
    const stalledAt = Date.now();
    await until('orders that only eu-west has', async () =>
      (await load.report(stalledAt)).acknowledged > 60 ? true : undefined,
    );
    await world.lab.kill({ what: 'database', where: 'eu-west' });
    const killedAt = Date.now();

    // A planned run refuses, and says what would be right.
    const planned = await (await world.start('failover', { service: 'checkout', to: 'eu-central' })).ended();
    expect([planned.status, planned.record.outcome]).toEqual(['Refused', 'refused']);
    expect(planned.text).toMatch(/A planned run needs a healthy source.*--mode unplanned/s);

    const run = await world.start('failover', { service: 'checkout', to: 'eu-central', mode: 'unplanned', by: 'bo' });
    const shown = await run.until('the gate', (s) => s.gate !== null);
    const gate = shown.gate!;
    expect([gate.name, gate.facts.classified.state]).toEqual(['cutover', 'sourceLost']);
    expect(gate.loss).toMatchObject({ kind: 'bounded' });
    expect(Date.parse(gate.loss.fromTime!)).toBeLessThanOrEqual(stalledAt + 1_000);
    expect(gate.loss.seconds).toBeGreaterThan(0.5);
    expect(gate.loss.atLeastBytes).toBeGreaterThan(0);
    expect(shown.pointOfNoReturn.crossedAt).toBeNull();
    expect(
      (await withClient(regions['eu-central']!.database, (c) => c.query('SELECT pg_is_in_recovery() AS r'))).rows,
    ).toEqual([{ r: true }]);

    await run.approve('cutover');
    const ended = await run.ended();
    expect(ended.status, ended.text).toBe('completed');
    const { record } = ended;
    expect(await world.sides()).toMatchObject({ active: 'eu-central' });
    expect(record.debt.map(({ code, region }) => [code, region])).toContainEqual(['replicaMissing', 'eu-west']);

    const orders = await world.verifyOrders();
    expect(orders.lost.length).toBeGreaterThan(0);
    expect(orders.duplicated).toBe(0);
    expect(orders.lost.filter((order) => !covers(gate.loss, order))).toEqual([]);
    expect(orders.lost.filter((order) => !covers(record.loss!, order))).toEqual([]);
    // Nothing that was acknowledged after the old side had gone may be missing, whatever the window says.
    expect(orders.lost.filter(({ sentAt }) => sentAt > killedAt)).toEqual([]);

    // A failback needs a replica to go to.
    const early = await (await world.start('failback', { service: 'checkout' })).ended();
    expect([early.status, early.text]).toEqual(['Refused', expect.stringContaining('rampart reprotect checkout')]);

    await world.lab.heal();
    const repair = await world.start('reprotect', { service: 'checkout' });
    const asked = await repair.until('the gate of the repair', (s) => s.gate !== null);
    expect(asked.gate!.name).toBe('rebuild');
    expect(asked.gate!.reason).toMatch(/transactions did not arrive .*public\.orders/);
    await repair.approve('rebuild');
    const repaired = await repair.ended();
    expect(repaired.status, repaired.text).toBe('completed');
    expect(repaired.record.debt).toEqual([]);
    // Everything that is missing is in the list; beyond it only what was committed and never acknowledged.
    const listing = repaired.record.steps.find((s) => s.verb === 'leftBehind' && s.region === 'eu-west')!;
    const [left] = listing.facts.leftBehind as unknown as LeftBehind[];
    expect(left).toMatchObject({ kind: 'listed', complete: true });
    const inserted = left!.tables.find(({ table }) => table === 'public.orders')!.inserted;
    expect(inserted).toBeGreaterThanOrEqual(orders.lost.length);
    expect(inserted).toBeLessThanOrEqual(orders.lost.length + 20);
    for (const at of [left!.firstCommit!, left!.lastCommit!]) {
      expect(at >= record.loss!.fromTime! && at <= (record.loss!.toTime ?? at), `${at} in the window`).toBe(true);
    }
    const kept = repaired.record.steps.flatMap((s) => (s.facts.kept as string[] | undefined) ?? []);
    expect(kept).toHaveLength(1);
    expect(kept.filter((dir) => !existsSync(dir))).toEqual([]);
    await world.untilProtected();

    const back = await world.start('failback', { service: 'checkout' });
    await back.approve('cutover');
    const since = record.endedAt!;
    expectPlanned(await back.ended(), 'eu-central', 'eu-west');
    await world.untilProtected();
    const after = await world.verifyOrders(since);
    expect(after.acknowledged).toBeGreaterThan(100);
    expect([after.lost, after.duplicated]).toEqual([[], 0]);
  },
  360_000,
);
