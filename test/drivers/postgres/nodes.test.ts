/** More than a pair: siblings, other regions, replicas that are further than the target. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { killPostgres, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';
import { slotOf } from './template.ts';

vi.setConfig({ testTimeout: 120_000 });

const SIBLING = 'eu-central-2';
const NORTH = 'eu-north';
const WAIT = { timeout: 15_000, interval: 20 };
let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ replicas: { [SIBLING]: B, [NORTH]: NORTH } });
});
afterAll(() => pair?.close());

const slots = async (node: string) =>
  (await pair.sql(node, 'SELECT slot_name, active FROM pg_replication_slots ORDER BY 1')).map(
    ({ slot_name, active }) => `${slot_name}${active ? '' : ' (idle)'}`,
  );

test('a planned move: the siblings and the third region follow, and no slot is left behind', async () => {
  const run = await pair.newRun();
  await run.at(NORTH).claim({ region: NORTH }, run.journal());
  await pair.write(A);
  await run.move(A, B);
  await pair.write(B);
  for (const region of [B, NORTH, A]) await run.at(region).rejoin({ region }, B);
  expect(await slots(B)).toEqual([A, SIBLING, NORTH].map(slotOf).sort());
  for (const node of [A, SIBLING, NORTH]) {
    expect(await slots(node)).toEqual([]);
    await expect.poll(() => pair.rows(node), WAIT).toBe(2);
  }
  const side = await run.at(B).observe({ region: B });
  expect(side).toMatchObject([
    { node: B, state: 'writable' },
    { node: SIBLING, state: 'replica', upstream: { node: B, streaming: true }, timeline: 2, lag: { fresh: true } },
  ]);
  expect(side[0]!.replicas.map(({ node }) => node).sort()).toEqual([A, SIBLING, NORTH].sort());
  for (const region of [B, NORTH, A]) expect((await run.at(region).rejoin({ region }, B)).already).toBe(true);
  // Back again, from a side with two nodes: its replica needs no fence, the proof is the primary's.
  const back = await pair.newRun();
  await back.at(NORTH).claim({ region: NORTH }, back.journal());
  await back.move(B, A);
  expect(await back.at(B).prove({ region: B })).toMatchObject({ fence: { cannotWrite: 'stopped' } });
  for (const region of [B, NORTH]) await back.at(region).rejoin({ region }, A);
  expect(await slots(A)).toEqual([B, SIBLING, NORTH].map(slotOf).sort());
  for (const node of [B, SIBLING, NORTH]) expect(await slots(node)).toEqual([]);
});

test('the primary dies: the furthest node of the side is taken, a better one elsewhere is shown', async () => {
  const run = await pair.newRun();
  await run.at(NORTH).claim({ region: NORTH }, run.journal());
  await stopPostgres(pair.nodes[B]!.data);
  await pair.write(A);
  await expect.poll(() => pair.rows(SIBLING), WAIT).toBe(3);
  await stopPostgres(pair.nodes[SIBLING]!.data);
  await pair.write(A);
  await expect.poll(() => pair.rows(NORTH), WAIT).toBe(4);
  await killPostgres(pair.nodes[A]!.data);
  for (const node of [B, SIBLING]) await startPostgres({ data: pair.nodes[node]!.data, bin: pair.nodes[node]!.bin });

  const found = await run.at(null).preflight('unplanned', A, B);
  expect(found).toContainEqual(
    expect.objectContaining({
      code: 'postgres.betterReplica',
      severity: 'warning',
      message: expect.stringContaining(NORTH),
    }),
  );
  expect(found.filter(({ severity }) => severity === 'blocker')).toEqual([]);
  const proof = await run.at(A).fence({ region: A });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, []);
  expect(catchUp).toMatchObject({ node: SIBLING, complete: false, loss: { kind: 'unknown' } });
  const promoted = await run.at(B).promote({ region: B }, A, proof, { timeline: 3 });
  expect(promoted.promote.node).toBe(SIBLING);
  expect(await pair.rows(SIBLING)).toBe(3);
  // What is behind the new primary follows; what is further has to be repaired first.
  expect((await run.at(B).rejoin({ region: B }, B)).facts).not.toHaveProperty('needs');
  expect((await run.at(NORTH).rejoin({ region: NORTH }, B)).facts).toMatchObject({
    needs: 'rebuild',
    diverged: [NORTH],
  });
  await run.at(NORTH).rebuild({ region: NORTH }, B);
  await expect.poll(() => pair.rows(NORTH), WAIT).toBe(3);
  expect((await run.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  await run.at(A).rebuild({ region: A }, B);
  await expect.poll(() => pair.rows(A), WAIT).toBe(3);
  expect(await slots(SIBLING)).toEqual([A, B, NORTH].map(slotOf).sort());
});
