/** A planned move that lost its target: the fenced old primary itself is what the rescue goes to. */
import { afterEach, expect, test, vi } from 'vitest';
import { killPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

let pair: Pair;
afterEach(() => pair?.close());

test('fenced source, dead target: the source is started read-only, has everything, and is promoted', async () => {
  pair = await startPair();
  const planned = await pair.newRun();
  for (let i = 0; i < 5; i++) await pair.write(A);
  await planned.at(A).fence({ region: A });
  await killPostgres(pair.nodes[B]!.data);

  const rescue = await pair.newRun();
  const proof = await rescue.at(B).fence({ region: B });
  expect(proof.fence.cannotWrite).toBe('stopped');
  const { catchUp } = await rescue.at(A).awaitCatchUp(proof, { region: A }, []);
  expect(catchUp.applied).not.toBeNull();
  expect(['replica', 'fenced']).toContain((await rescue.observe(A)).state);
  await rescue.at(A).promote({ region: A }, B, proof, { timeline: null });
  await rescue.at(A).verifyWritable({ region: A }, B);
  expect(await pair.rows(A)).toBe(5);
  await pair.write(A);
});

test('a new claim of the same run keeps the originals of its first one', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await run.at(A).journal({ region: A }, { saved: { 'save:edge': { ttl: 300 } } });
  const again = await pair.newRun();
  expect((await again.observe(A)).journal?.saved).toMatchObject({ 'save:edge': { ttl: 300 } });
});

test('an unfence asked for again waits until the server is writable, and forgets since when it was fenced', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await run.at(A).fence({ region: A });
  expect((await run.observe(A)).journal?.fencedAt).not.toBeNull();
  const guard = { to: B, deadline: null };
  expect((await run.at(A).unfence({ region: A }, guard)).already).toBe(false);
  expect((await run.at(A).unfence({ region: A }, guard)).already).toBe(true);
  expect(await run.observe(A)).toMatchObject({ state: 'writable', journal: { fencedAt: null } });
  await pair.write(A);
});
