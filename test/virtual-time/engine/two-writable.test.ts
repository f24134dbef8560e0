/** Two sides of one store accept writes, and another store still moves: what is lost is stated of both. */
import { afterEach, describe, expect, it } from 'vitest';
import { type EngineRun, startRun, UNPLANNED } from './run.ts';
import { A, B, type ModelWorld } from './world/world.ts';

/** How long ago both were last seen at one place, in milliseconds; the model writes a byte in each. */
const PARTED_MS = 40_000;

let run: EngineRun;
afterEach(() => run?.dispose());

/** The first store is promoted in B; A came back on the old timeline, and the second store is still active there. */
function parted(model: ModelWorld): void {
  const orders = model.database('orders-db');
  const { position } = orders.server(B);
  const held = { text: '0/0', order: String(position - PARTED_MS), timeline: 1 };
  const seen = { position: held, at: model.now - PARTED_MS };
  orders.samples.push({ ...seen, node: `orders-db-${A}`, region: A, state: 'writable' });
  orders.samples.push({ ...seen, node: `orders-db-${B}`, region: B, state: 'replica' });
  Object.assign(orders.server(B), { role: 'primary', timeline: 2, signal: false, follows: null });
}

describe('an unplanned failover that fences the returned side of one store and moves another', () => {
  it('states what stays behind and what is not replicated, at the gate and in the record', async () => {
    run = await startRun({
      request: UNPLANNED,
      world: { stores: { 'sessions-db': 'staged' } },
      splitBrain: true,
      before: parted,
    });
    const gate = await run.gate('cutover');
    expect(gate.facts.classified.state).toBe('twoWritable');
    expect(gate.loss).toMatchObject({ kind: 'bounded', toTime: null });
    expect(gate.loss.note).toContain('orders-db:');
    expect(gate.loss.note).toContain('sessions-db:');
    while ((await run.record()).outcome === null) {
      if ((await run.status()).gate !== null) await run.approve();
      else await run.harness.advance(1_000);
    }
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database('orders-db').writable).toEqual([B]);
    expect(run.model.database('sessions-db').writable).toEqual([B]);
    // The second one lost nothing, its source was fenced and its target caught up; the first one did.
    expect(record.loss).toMatchObject({ kind: 'bounded', toTime: expect.any(String) });
    expect(record.loss?.note).toContain('orders-db:');
    const fenced = record.steps.find(({ id }) => id === `fence:orders-db@${A}`)!;
    expect(Date.parse(record.loss!.toTime!)).toBe(fenced.endedAt);
    expect(record.loss?.seconds).toBeGreaterThanOrEqual(PARTED_MS / 1000);
  });

  it('whose fence proves nothing has an open end', async () => {
    run = await startRun({
      request: UNPLANNED,
      world: { stores: { 'sessions-db': 'staged' } },
      splitBrain: true,
      before: (model, harness) => {
        parted(model);
        harness.removeWorkers(`rampart.${A}`);
      },
    });
    await run.gate('cutover');
    await run.approve();
    const gate = await run.gate('promote');
    expect(gate.loss).toMatchObject({ toTime: null });
    expect(gate.loss.note).toContain('orders-db:');
  });
});
