/**
 * A source that was lost at its fence and answers again before the promotion: people approved a weak fence of a side
 * that could not be reached; one that can be reached is fenced and proven first (I1).
 */
import { afterEach, describe, expect, it } from 'vitest';
import { RampartError } from '../../../drivers/errors.ts';
import { type EngineRun, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B, failure, type Script } from './world/world.ts';

const CLAIM = `claim:orders-db@${A}`;
const FENCE = `fence:orders-db@${A}`;
const PROVE = `prove:orders-db@${A}`;
const PROMOTE = 'promote:orders-db';
const HOUR = { maxLoss: { seconds: 3_600 } };

let run: EngineRun;
afterEach(() => run?.dispose());

const refuse: Script = async () => {
  throw failure(new RampartError('InvalidInput', 'pg_ctl is not there'));
};

function lose(): void {
  run.model.lose(A);
  run.harness.removeWorkers(`rampart.${A}`);
}

/** The host is there again, with its workers; the database as it was. */
function comeBack(): void {
  const server = run.model.database().server(A);
  // What it wrote while nobody could reach it is nobody's: it had no clients.
  Object.assign(server, { reachable: true, since: run.model.now });
  run.model.traffic.workload('shop', A).reachable = true;
  run.harness.addWorkers(`rampart.${A}`);
}

/** An unplanned run whose source dies; it stands at the gate that asks for a weak fence. */
async function atTheGate(options: RunOptions = {}): Promise<void> {
  run = await startRun({ request: UNPLANNED, ...options, before: undefined });
  await run.harness.settle();
  lose();
  options.before?.(run.model, run.harness);
  await run.approve(HOUR);
  expect((await run.gate('promote')).needsOverride).toContain('weakFence');
}

/** Approves by name. From here on the old primary counts again: two writable sides are a broken rule. */
async function approveWeak(): Promise<void> {
  await run.approve();
  run.invariants.weakFenceAccepted = false;
}

const times = (step: string): number => run.model.attempts.filter((id) => id === step).length;
const gates = async (): Promise<string[]> => (await run.record()).decisions.map(({ gate }) => gate);

describe('a source that answers again when its weak fence has been approved', () => {
  it('is claimed, fenced and proven before the promotion, and nobody is asked again', async () => {
    await atTheGate();
    comeBack();
    await approveWeak();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.database().server(A)).toMatchObject({ role: 'stopped', signal: true });
    expect(await gates()).toEqual(['cutover.1', 'promote.1']);
    const order = [CLAIM, FENCE, PROVE, PROMOTE].map((step) => run.model.attempts.lastIndexOf(step));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBeGreaterThan(-1);
    // The final position is read at last: the loss is no open window any more.
    expect(record.loss?.kind).toBe('none');
    expect(record.log.map(({ text }) => text).join('\n')).toContain(`orders-db in ${A} answers again`);
    // What was owed because it could not be reached is not owed any more.
    expect(record.debt.map(({ code }) => code)).toEqual(['ping', 'replicaMissing']);
  });

  it('with its database down: the worker beside it keeps it from starting writable', async () => {
    await atTheGate({ before: (model) => Object.assign(model.database(), { stalled: true }) });
    Object.assign(run.model.database().server(A), { role: 'stopped', signal: false });
    comeBack();
    await approveWeak();
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.database().server(A)).toMatchObject({ role: 'stopped', signal: true });
    expect(await gates()).toEqual(['cutover.1', 'promote.1']);
  });

  it('also where the weak fence was accepted with the request', async () => {
    run = await startRun({ request: { ...UNPLANNED, override: ['weakFence', 'healthySource'] } });
    await run.harness.settle();
    lose();
    run.model.on('catchUp:orders-db', async (act) => {
      const receipt = await act();
      comeBack();
      return receipt;
    });
    await run.approve(HOUR);
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
    expect(times(FENCE)).toBeGreaterThan(0);
  });

  it('also when the Temporal server was away between the approval and the promotion', async () => {
    await atTheGate();
    await approveWeak();
    await run.harness.advance(500);
    expect(times(PROMOTE)).toBe(0);
    run.harness.stopServer();
    await run.harness.advance(20_000);
    comeBack();
    await run.harness.advance(25_000);
    run.harness.resumeServer();
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.database().server(A)).toMatchObject({ role: 'stopped', signal: true });
  });

  it('asks for the loss alone when that grew past what was approved', async () => {
    await atTheGate({ before: (model) => Object.assign(model.database(), { stalled: true }) });
    // Two hours in which it may have acknowledged writes that the target does not have.
    await run.harness.advance(2 * 3_600_000);
    comeBack();
    await approveWeak();
    const gate = await run.gate('promote');
    expect(gate).toMatchObject({ id: 'promote.2', needsOverride: ['lossAccepted'] });
    expect(times(PROMOTE)).toBe(0);
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
  });
});

describe('a source that stays away', () => {
  it('is looked at once, and the approval stands', async () => {
    await atTheGate();
    const looks = () =>
      run.workflow.trace.filter((e) => e.event === 'activityTaskScheduled' && e.name === 'observeStore').length;
    const before = looks();
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
    expect(looks()).toBeGreaterThan(before);
    expect(await gates()).toEqual(['cutover.1', 'promote.1']);
    expect(times(FENCE)).toBe(0);
  });

  it('is not waited for: the promotion is scheduled within seconds of the approval', async () => {
    await atTheGate();
    run.model.on('observeStore', () => 'never', 99);
    const approvedAt = run.harness.now;
    await run.approve();
    await run.until(PROMOTE);
    expect(run.harness.now - approvedAt).toBeLessThanOrEqual(8_000);
  });

  it('after it answered for a moment: the approval stands', async () => {
    await atTheGate();
    comeBack();
    run.model.on('readClaim', async () => {
      lose();
      return 'never';
    });
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
    expect(await gates()).toEqual(['cutover.1', 'promote.1']);
  });
});

describe('a source that answers, accepts writes and cannot be fenced', () => {
  it('is asked about again, in words, and only a second approval lets the promotion go on', async () => {
    await atTheGate();
    comeBack();
    run.model.on(FENCE, refuse, 99);
    await run.approve();
    const gate = await run.gate('promote');
    expect(gate).toMatchObject({ id: 'promote.2', needsOverride: ['weakFence'] });
    expect(gate.reason).toContain(`orders-db in ${A} answers again and accepts writes`);
    expect(times(PROMOTE)).toBe(0);
    await run.approve();
    await run.until(PROMOTE);
    expect((await run.holding()).reason).toContain('accepts writes as well');
    // The second approval was given for a source that accepts writes; even so it is tried once more.
    expect(times(FENCE)).toBeGreaterThan(1);
  });

  it('can be left alone: rejected, everything goes back', async () => {
    await atTheGate();
    comeBack();
    run.model.on(FENCE, refuse, 99);
    await run.approve();
    const gate = await run.gate('promote');
    await run.send('reject', { gate: gate.id, by: 'bob' });
    await run.workflow.runUntilClosed();
    expect(run.model.database().writable).toEqual([A]);
    expect(run.model.openJournals).toEqual([]);
  });

  it('past the point of no return: asked about again, never promoted beside it', async () => {
    await atTheGate();
    run.model.on(
      PROMOTE,
      async () => {
        throw failure(new RampartError('ProviderUnavailable', 'the target is busy'));
      },
      5,
    );
    await run.approve();
    await run.holding();
    comeBack();
    await run.send('retry');
    const gate = await run.gate('promote');
    expect(gate.reason).toContain('answers again and accepts writes');
    expect(run.model.database().writable).toEqual([A]);
  });
});
