/** A target that streams through another replica. On real servers. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { LAB_DATABASE } from '../../../lab/postgres/pair.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';
import { slotOf } from './template.ts';

vi.setConfig({ testTimeout: 60_000 });

const MIDDLE = 'eu-west-2';
const WAIT = { timeout: 15_000, interval: 20 };
const WIDE = { ms: 1e9, bytes: 1e9 };
let pair: Pair;
let run: Run;

/** Has a replica stream from another node than the primary. */
async function repoint(node: string, upstream: string): Promise<void> {
  const [row] = await pair.sql(node, "SELECT current_setting('primary_conninfo') AS conninfo");
  const conninfo = String(row!.conninfo).replace(/port=\d+/, `port=${pair.links[upstream]!.port}`);
  await pair.sql(node, `ALTER SYSTEM SET primary_conninfo = '${conninfo.replaceAll("'", "''")}'`);
  await pair.sql(upstream, `SELECT pg_create_physical_replication_slot('${slotOf(node)}')`);
  await pair.sql(node, 'SELECT pg_reload_conf()');
  await vi.waitFor(
    async () => expect(await see(node)).toMatchObject({ upstream: { node: upstream, streaming: true } }),
    WAIT,
  );
}

const see = async (name: string) => {
  const region = name === MIDDLE ? A : name;
  return (await run.at(region).observe({ region })).find(({ node }) => node === name)!;
};

beforeAll(async () => {
  pair = await startPair({ replicas: { [MIDDLE]: A } });
  run = await pair.newRun();
  await repoint(B, MIDDLE);
});
afterAll(() => pair?.close());

test('it is as far behind as the one between: plan, preflight and the wait before the freeze say so', async () => {
  await expect.poll(async () => (await see(B)).lag, WAIT).toMatchObject({ bytes: 0, fresh: true });
  pair.links[A]!.set({ mode: 'stall' });
  await pair.sql(A, 'INSERT INTO orders SELECT FROM generate_series(1, 20000)', LAB_DATABASE);
  const behind = expect.toSatisfy((bytes: number) => bytes > 1_000_000);
  expect((await see(B)).lag).toMatchObject({ bytes: behind, fresh: true });
  const found = await run.at(null).preflight('planned', A, B);
  expect(found).toContainEqual(
    expect.objectContaining({ code: 'postgres.lag', message: expect.stringMatching(/is \d{7,} bytes/) }),
  );
  expect((await run.at(null).converge(A, B, WIDE)).facts).toMatchObject({ lagBytes: behind });
  pair.links[A]!.set({ mode: 'open' });
  await expect.poll(async () => (await see(B)).lag, WAIT).toMatchObject({ bytes: 0, fresh: true });
  expect((await run.at(null).converge(A, B, WIDE)).facts).toMatchObject({ lagBytes: 0 });
});

test('where the primary cannot be asked, the replica between says nothing of the lag', async () => {
  const component = pair.changed({ port: pair.links[A]!.port }, A);
  pair.links[A]!.set({ mode: 'refuse' });
  const [seen] = await run.at(null, {}, component).observe({ region: B });
  expect(seen).toMatchObject({ upstream: { node: MIDDLE, streaming: true }, lag: { bytes: null, fresh: false } });
  pair.links[A]!.set({ mode: 'open' });
});

test('replicas that follow each other in a ring follow nobody', async () => {
  await repoint(MIDDLE, B);
  expect(await see(B)).toMatchObject({ state: 'replica', lag: null });
});
