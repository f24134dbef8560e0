/** The returned old primary: fenced under the lock, or refused; nothing in between. */
import { afterEach, describe, expect, it } from 'vitest';
import { RampartError } from '../../../drivers/errors.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B, failure, type ModelWorld } from './world/world.ts';

let run: EngineRun;
afterEach(() => run?.dispose());

/** After an unplanned failover to B: A has started by itself, on its old timeline. */
function returns(model: ModelWorld): void {
  Object.assign(model.database().server(B), { role: 'primary', timeline: 2, signal: false, follows: null });
  model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
  model.traffic.routers.edge!.weights = { [A]: 0, [B]: 100 };
}

async function start(options: RunOptions = {}): Promise<EngineRun> {
  run = await startRun({
    type: 'refence',
    request: { service: 'checkout', from: A, by: 'guard' },
    splitBrain: true,
    ...options,
    before: (model, harness) => {
      returns(model);
      options.before?.(model, harness);
    },
  });
  return run;
}

describe('refence', () => {
  it('fences the old side without a person, leaves the active one alone, and says what to do next', async () => {
    await start();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.text).toMatch(/eu-west of checkout is fenced; eu-central stays active. It leaves 1 protection debt/);
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.database().server(A).signal).toBe(true);
    expect(run.model.openJournals).toEqual([]);
    expect(record.debt).toMatchObject([{ code: 'replicaMissing', region: A, remedy: 'rampart reprotect checkout' }]);
    expect(run.model.log.map(({ what }) => what).filter((what) => /weights|promoted|rejoined/.test(what))).toEqual([]);
    expect(record.decisions).toEqual([]);
    // What clients wrote to it is listed once it stands still.
    const [fence, listing] = ['fence', 'leftBehind'].map((verb) =>
      run.model.attempts.indexOf(`${verb}:orders-db@${A}`),
    );
    expect(fence).toBeGreaterThan(-1);
    expect(listing).toBeGreaterThan(fence!);
    expect(record.steps.find(({ verb }) => verb === 'leftBehind')?.facts.leftBehind).toHaveLength(1);
    // What the old side acknowledged alone is named, and no statement says that nothing was lost.
    expect(record.loss).toBeNull();
    expect(record.findings.map(({ code }) => code)).toContain('strayWrites');
    expect(record.pointOfNoReturn.crossedAt).toBeNull();
  });

  it('has nothing to do the second time', async () => {
    await start({ before: (model) => Object.assign(model.database().server(A), { role: 'stopped', signal: true }) });
    expect((await run.end()).outcome).toBe('nothingToDo');
  });

  it('is refused while clients are sent to the side it would fence, and touches nothing', async () => {
    await start({
      before: (model) => {
        model.traffic.routers.writer!.weights = { [A]: 100, [B]: 0 };
      },
    });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(record.text).toMatch(/not certain that eu-west is the old side: writer sends 100 % to eu-west/);
    expect(run.model.database().writable).toEqual([A, B]);
  });

  it('gives its claims back and frees the lock when the worker beside the old side is absent', async () => {
    await start({ before: (_model, harness) => harness.removeWorkers(`rampart.${A}`) });
    const record = await run.end();
    expect(record.outcome).not.toBe('completed');
    expect(run.model.database().writable).toEqual([A, B]);
    expect(run.model.openJournals).toEqual([]);
  });

  it('does not claim that all is as before when the fence was tried and failed', async () => {
    await start({
      before: (model) => {
        model.on(
          `fence:orders-db@${A}`,
          async () => {
            throw failure(new RampartError('InvalidInput', 'pg_ctl is not there'));
          },
          99,
        );
      },
    });
    const record = await run.end();
    expect(record.outcome).toBe('needsHuman');
    expect(record.text).toMatch(/pg_ctl is not there.*was tried and is not taken back/);
    expect(run.model.openJournals).toEqual([]);
  });

  it('fences once, whatever becomes of the answer', async () => {
    await start({
      before: (model) =>
        model.on(`fence:orders-db@${A}`, async (act) => {
          await act();
          return 'never';
        }),
    });
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.log.filter(({ what }) => what.endsWith('fenced'))).toHaveLength(1);
  });

  it('gives way to a person who escalates', async () => {
    await start({
      before: (model) => model.on(`claim:orders-db@${A}`, async () => 'never', 99),
    });
    await run.until(`claim:orders-db@${A}`);
    await run.send('escalate', { by: 'ann', reason: 'eu-central is dying', to: A });
    const gate = await run.gate();
    expect(gate).toMatchObject({ name: 'cutover', needsOverride: ['lowerTimeline'] });
    expect((await run.status()).action).toBe('refence');
    expect((await run.record()).plans.at(-1)).toMatchObject({ to: A, mode: 'unplanned' });
  });
});
