/** A promotion that was asked for shows only when what the server had received is applied: who claims meanwhile waits. */
import { afterAll, expect, test, vi } from 'vitest';
import { nodesAt, openCluster } from '../../../drivers/postgres/config.ts';
import { withRecord } from '../../../drivers/postgres/record.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 60_000 });

let pair: Pair;
afterAll(() => pair?.close());

/** What a run leaves beside the target right before it asks the server. */
async function noted(epoch: number, runId: string): Promise<void> {
  const cluster = openCluster(pair.component, driverContext({ place: { region: B, place: null } }));
  const promote = { epoch, runId, seq: 9, at: Date.now(), timeline: 1 };
  await withRecord(cluster, nodesAt(cluster, { region: B })[0]!, ({ save }) => save({ promote }));
}

test('the next run finds the side writable, and the fence of the old one stays', async () => {
  pair = await startPair();
  const lost = await pair.newRun();
  await lost.at(A).fence({ region: A });
  await noted(lost.epoch, lost.id);
  let asked: Promise<unknown> | null = null;
  const heartbeat = (): void => {
    asked ??= pair.sql(B, 'SELECT pg_promote(false)');
  };
  const next = new Run(pair.world, lost.epoch + 1);
  await next.at(B, { heartbeat }).claim({ region: B }, next.journal());
  await asked;
  expect(await next.observe(B)).toMatchObject({ state: 'writable', timeline: 2 });
  await next.at(A).claim({ region: A }, next.journal());
  await expect(next.at(A).unfence({ region: A }, { to: B, deadline: null })).rejects.toMatchObject({
    type: 'Conflict',
  });
});
