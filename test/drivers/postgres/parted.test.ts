/** A target that has stayed on the timeline which its source has left, with rows of its own there. On real servers. */
import { afterEach, expect, test, vi } from 'vitest';
import type { LeftBehind, SampleReading } from '../../../drivers/ports.ts';
import { LAB_DATABASE } from '../../../lab/postgres/pair.ts';
import { killPostgres, startPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 90_000 });

let pair: Pair;
afterEach(() => pair?.close());

test('the side that was left behind is taken back to: its greater position says nothing of what it lacks', async () => {
  pair = await startPair();
  const first = await pair.newRun();
  pair.links[A]!.set({ mode: 'stall' });
  await pair.sql(A, 'INSERT INTO orders SELECT FROM generate_series(1, 20000)', LAB_DATABASE);
  await killPostgres(pair.nodes[A]!.data);
  const given = await first.at(A).fence({ region: A });
  // It dies soon after its promotion: no checkpoint of the new timeline has ended by then.
  const [busy] = await pair.sql(B, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
  process.kill(Number(busy!.pid), 'SIGSTOP');
  await first.at(B).promote({ region: B }, A, given, { timeline: 1 });
  await pair.write(B);
  const [seen] = await first.at(null).sample({ region: B });
  const samples: SampleReading[] = [{ ...seen!, at: seen!.observedAt }];
  await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
  await killPostgres(pair.nodes[B]!.data);

  const run = await pair.newRun();
  expect(await run.observe(B)).toMatchObject({ state: 'stopped', timeline: 2 });
  // The token of the target's timeline was refused, by every new plan alike.
  const wrong = run.at(B, { token: run.token({ expectedTimeline: 1 }) });
  await expect(wrong.fence({ region: B })).rejects.toMatchObject({ type: 'Conflict' });
  const proof = await run.at(B, { token: run.token({ expectedTimeline: 2 }) }).fence({ region: B });
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: null });

  const { catchUp } = await run.at(A).awaitCatchUp(proof, { region: A }, samples);
  expect(BigInt(catchUp.applied!.order)).toBeGreaterThan(BigInt(samples[0]!.position!.order));
  expect(catchUp).toMatchObject({ complete: false, applied: { timeline: 1 } });
  expect(catchUp.loss).toMatchObject({ kind: 'unknown', fromTime: null, atLeastBytes: null, atMostBytes: null });

  pair.links[A]!.set({ mode: 'open' });
  // Neither knew of the other's promotion: both took the next number, and only where they began tells them apart.
  const { promote } = await run.at(A).promote({ region: A }, B, proof, { timeline: 1 });
  expect(promote.timeline).toBe(2);
  const [left] = (await run.at(B).leftBehind!({ region: B }, A)).facts.leftBehind as unknown as LeftBehind[];
  expect(left).toMatchObject({ kind: 'unreadable', note: expect.stringMatching(/another timeline 2 than that of/) });
  const rejoined = await run.at(B).rejoin({ region: B }, A);
  expect(rejoined.facts).toMatchObject({ needs: 'rebuild', diverged: [B] });
  await run.at(B).rebuild({ region: B }, A);
  await expect.poll(() => pair.rows(B), { timeout: 15_000, interval: 20 }).toBe(20_000);
});
