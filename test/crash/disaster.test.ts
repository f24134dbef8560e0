/**
 * Rampart's own disaster: its server lost with all data, a second orchestrator at work, nothing left but the page of
 * manual commands; and a reality that contradicts every safe reading.
 */
import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import { startPostgres, stopPostgres } from '../../lab/postgres/server.ts';
import type { RunStatus } from '../../workflows/contract.ts';
import { fullOnly } from '../integration/expectations.ts';
import { LOCK, PERSON, runOf } from '../integration/world.ts';
import { boundariesOf, type Cell, cellId, type Fault } from './boundaries.ts';
import { runCell } from './cell.ts';
import { type Ground, openGround } from './ground.ts';
import { untilMark } from './watch.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround('disaster');
}, 300_000);
afterAll(() => ground?.close(), 60_000);

type Place = [step: string, moment: Cell['boundary']['moment']];

async function cell([step, moment]: Place, fault: Fault): Promise<void> {
  const { other } = await ground.hands.world.sides();
  const plan = await ground.plan('failover', { service: 'checkout', to: other });
  const boundary = boundariesOf(plan).find((one) => one.step === step && one.moment === moment)!;
  const { result } = await runCell(ground, {
    id: cellId('failover', boundary, fault),
    action: 'failover',
    boundary,
    fault,
  });
  expect([result.verdict, result.violations], JSON.stringify(result)).toEqual(['green', []]);
}

test(
  'the server is lost with its data after the fence: the same request again goes on from what is there',
  () => cell(['fence:orders-db@source', 'closed'], 'lose-temporal'),
  180_000,
);

test(
  'nothing of Rampart is left after the fence: the page, followed as it is printed, leads out',
  () => cell(['catchUp:orders-db', 'scheduled'], 'escape-by-hand'),
  180_000,
);

/** One boundary of every stage. */
const STAGES: Place[] = [
  ['claim:orders-db@target', 'closed'],
  ['fence:orders-db@source', 'scheduled'],
  ['fence:orders-db@source', 'closed'],
  ['catchUp:orders-db', 'scheduled'],
  ['promote:orders-db', 'scheduled'],
  ['promote:orders-db', 'closed'],
  ['verify:orders-db', 'scheduled'],
  ['route:writer', 'closed'],
  ['weight:edge@50', 'closed'],
  ['drain:app@source', 'scheduled'],
  ['rejoin:orders-db@source', 'scheduled'],
  ['close:orders-db@target', 'scheduled'],
];
const DISASTERS: Fault[] = ['lose-temporal', 'second-orchestrator', 'escape-by-hand'];

fullOnly.each(STAGES.flatMap((place) => DISASTERS.map((fault) => ({ place, fault }))))(
  '$place: $fault',
  ({ place, fault }) => cell(place, fault),
  240_000,
);

test('both sides have writes of their own and neither accepts any: nothing is promoted before somebody decides', async () => {
  const { hands } = ground;
  const { world, client } = hands;
  const { active: from, other: to } = await world.sides();
  const { bin } = await installPart('postgres');
  const data = (region: string): string => world.report.regions[region]!.dataDir;
  const ask = (region: string, text: string) =>
    withClient(world.report.regions[region]!.database, (c) => c.query(text));
  const order = "INSERT INTO orders (id, amount, region) VALUES (gen_random_uuid(), 1, 'nowhere')";

  // The run is lost right after its fence.
  const handle = await client.workflow.start('failover', {
    taskQueue: 'rampart',
    workflowId: LOCK,
    args: [{ service: 'checkout', to }],
  });
  const ref = { workflowId: LOCK, runId: handle.firstExecutionRunId };
  await runOf(handle).approve('cutover');
  const fenced = (mark: { kind: string; step: string }): boolean =>
    mark.kind === 'closed' && mark.step.startsWith('fence:');
  expect(await untilMark(client, ref, fenced, AbortSignal.timeout(60_000))).not.toBeNull();
  await hands.loseTemporal();

  // Two people who do not know of each other: one promotes the new side, the other brings the old one back.
  await ask(to, 'SELECT pg_promote(true, 60)');
  await ask(to, order);
  await stopPostgres(data(from));
  rmSync(join(data(from), 'standby.signal'), { force: true });
  await startPostgres({ data: data(from), bin });
  await ask(from, order);
  // Then both see what they have done, and make their side read-only.
  for (const region of [from, to]) {
    await stopPostgres(data(region));
    touchSignal(data(region));
    await startPostgres({ data: data(region), bin });
  }
  const before = await hands.roles();
  expect(Object.values(before)).toEqual(['replica', 'replica']);

  const second = await client.workflow.start('failover', {
    taskQueue: 'rampart',
    workflowId: LOCK,
    args: [{ service: 'checkout', to }],
  });
  const run = runOf(second);
  const asks = (s: RunStatus): boolean => s.outcome !== null || s.gate !== null || s.holding !== null;
  const { gate } = await run.until('it asks', asks, 60_000);
  expect(gate?.facts.classified).toMatchObject({ state: 'noneWritable', text: expect.stringMatching(/have parted/) });
  expect(gate!.loss.kind).not.toBe('none');
  expect(await hands.roles()).toEqual(before);

  // Even a word given too easily does not let a planned run promote: it asks again, and says what would be lost.
  await run.send('decide', { gate: gate!.id, decision: 'approve', by: PERSON, override: gate!.needsOverride });
  const again = await run.until('it asks again', (s) => s.outcome !== null || s.gate?.name === 'promote', 60_000);
  expect(again.gate?.reason).toMatch(/the loss is (bounded|unknown).*more than was approved/);
  await run.send('decide', { gate: again.gate!.id, decision: 'reject', by: PERSON });
  // Going back changes nothing either: the source must not go on beside a side that was promoted, and people are told.
  expect((await run.ended()).status).toBe('NeedsHuman');
  expect(await hands.roles()).toEqual(before);
}, 240_000);

function touchSignal(data: string): void {
  const { uid, gid } = statSync(data);
  writeFileSync(join(data, 'standby.signal'), '');
  chownSync(join(data, 'standby.signal'), uid, gid);
}
