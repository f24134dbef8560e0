/** What goes wrong at every step, and where the run is afterwards. */
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, describe, expect, it } from 'vitest';
import { checkout } from '../../plan/world.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B, type Script } from './world/world.ts';

const PREFLIGHT = ['ping:rampart', `ping:rampart.${A}`, `ping:rampart.${B}`, 'preflight:orders-db', `check:ready@${B}`];
const PREPARE = [
  ...['save:writer', 'save:edge', `save:shop@${A}`, `save:shop@${B}`, `readClaim:orders-db@${A}`],
  ...[`claim:orders-db@${A}`, `claim:orders-db@${B}`, 'prepare:writer', `scale:shop@${B}`, 'converge:orders-db'],
];
const CUT = [`fence:orders-db@${A}`, 'catchUp:orders-db', `prove:orders-db@${A}`];
const AFTER = ['verify:orders-db', 'route:writer', `verify-check:ready@${B}`, `drain:shop@${A}`, 'settle:writer'];
const RAMP = ['weight:edge@10', 'observed:edge@25', 'bake@50'];
const LAST = ['writable:orders-db', `close:orders-db@${B}`];

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};
const busy: Script = () => {
  throw ApplicationFailure.retryable('the system is busy', 'ProviderUnavailable');
};
const lostAnswer: Script = async (act) => {
  await act();
  return 'never';
};
const hung: Script = () => 'never';

const runs: EngineRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.dispose())));

async function start(options: RunOptions = {}): Promise<EngineRun> {
  const run = await startRun(options);
  runs.push(run);
  return run;
}

async function approved(step: string, script: Script, times: number, options: RunOptions = {}): Promise<EngineRun> {
  const run = await start({ ...options, before: (model) => model.on(step, script, times) });
  if (!PREFLIGHT.includes(step)) await run.approve();
  return run;
}

function expectBack(run: EngineRun): void {
  expect(run.model.database().writable).toEqual([A]);
  expect(run.model.openJournals).toEqual([]);
}

describe('a step that fails for good before the point of no return', () => {
  it.each(PREFLIGHT)('%s: the run ends, nothing was changed', async (step) => {
    const run = await approved(step, refuse, 99);
    const record = await run.end();
    expect(['refused', 'rolledBack']).toContain(record.outcome);
    expect(run.model.log).toEqual([]);
    expect(record.text).toContain('the system said no');
  });

  it.each([...PREPARE, ...CUT])('%s: everything goes back, newest first', async (step) => {
    const run = await approved(step, refuse, 99);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'RolledBack' } });
    expect(record.text).toContain('the system said no');
    expect(run.undone).toEqual(record.undos.map(({ stepId }) => stepId).reverse());
    expectBack(run);
  });

  it.each([...PREPARE, ...CUT])('%s hangs for ever: the same', async (step) => {
    const run = await approved(step, hung, 99);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expectBack(run);
  });

  it.each([`fence:orders-db@${A}`, `claim:orders-db@${A}`, 'prepare:edge'])(
    '%s acts and never answers: what it did is undone',
    async (step) => {
      const run = await approved(step, lostAnswer, 99);
      const record = await run.end();
      expect(record.outcome).toBe('rolledBack');
      expectBack(run);
    },
  );

  it('with the policy to hold: people may write again, then it waits, and goes on when told', async () => {
    const service = { onFailure: { planned: 'hold', unplanned: 'hold' } as const };
    const run = await approved('catchUp:orders-db', refuse, 1, { world: { service } });
    const holding = await run.holding();
    expect(holding.choices).toEqual(['retry', 'abort', 'escalate']);
    expect(run.model.database().writable).toEqual([A]);
    expect(run.undone).toEqual([`fence:orders-db@${A}`]);
    await run.harness.advance(3 * 3_600_000);
    await run.send('retry');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
  });

  it('with the policy to hold, in prepare: abort then puts everything back', async () => {
    const service = { onFailure: { planned: 'hold', unplanned: 'hold' } as const };
    const run = await approved('converge:orders-db', refuse, 1, { world: { service } });
    await run.holding();
    await run.send('abort');
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expectBack(run);
  });
});

describe('a step that fails after the point of no return', () => {
  it.each([...AFTER, ...LAST])('%s: the run holds, and goes on when told', async (step) => {
    const run = await approved(step, refuse, 1);
    const holding = await run.holding();
    expect(holding.reason).toContain('the system said no');
    expect(run.model.database().writable).toEqual([B]);
    await run.send('retry');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.undone).toEqual([]);
  });

  it.each(RAMP)('%s: the traffic steps back, the run holds, and goes on when told', async (step) => {
    const run = await approved(step, refuse, 1);
    await run.holding();
    const lastGood = { 'weight:edge@10': 0, 'observed:edge@25': 10, 'bake@50': 25 }[step] as number;
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 100 - lastGood, [B]: lastGood });
    // What kept the checks from being measured is no verdict of theirs.
    const [ended] = (await run.record()).ramp.filter(({ steppedBack }) => steppedBack);
    expect(ended?.bake).toBe(step.startsWith('weight:') ? undefined : 'inconclusive');
    await run.send('retry');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    // What the second try came to is no verdict on the first.
    expect(record.ramp.filter(({ steppedBack }) => steppedBack).map(({ bake }) => bake)).toEqual(
      step.startsWith('weight:') ? [] : ['inconclusive'],
    );
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 0, [B]: 100 });
  });

  it('a rejoin that fails is protection debt, and the run completes', async () => {
    const run = await approved(`rejoin:orders-db@${A}`, refuse, 99);
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.debt).toMatchObject([{ component: 'orders-db', region: A }]);
    expect(record.text).toContain('1 protection debt');
  });

  it('an app that turns bad in the last bake takes the traffic back', async () => {
    const run = await start();
    await run.approve();
    await run.until('bake@100');
    run.model.traffic.checks.ready = { [A]: 'pass', [B]: 'fail' };
    const holding = await run.holding();
    expect(holding.reason).toContain('ready failed');
    expect((await run.record()).ramp.at(-1)?.bake).toBe('failed');
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 50, [B]: 50 });
    run.model.traffic.checks.ready = { [A]: 'pass', [B]: 'pass' };
    await run.send('retry');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.ramp.some(({ steppedBack }) => steppedBack)).toBe(true);
  });

  it.each([
    { what: 'shortly before its end', awayMs: 9.4 * 60_000, reason: null },
    {
      what: 'until long after it',
      awayMs: 40 * 60_000,
      reason: 'not measured for the whole time: the worker was lost',
    },
  ])('control workers that are lost in a bake and away $what', async ({ awayMs, reason }) => {
    const run = await start({ world: { service: { ramp: { ...checkout.ramp, bakeMs: 10 * 60_000 } } } });
    await run.approve();
    await run.until('bake@50');
    await run.harness.advance(30_000);
    run.harness.removeWorkers('rampart');
    await run.harness.advance(awayMs);
    run.harness.addWorkers('rampart');
    if (reason === null) {
      const record = await run.end();
      expect(record.outcome).toBe('completed');
      expect(record.ramp.map(({ bake }) => bake)).toEqual(['passed', 'passed', 'passed', 'passed']);
      return;
    }
    expect((await run.holding()).reason).toContain(reason);
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 75, [B]: 25 });
    expect((await run.record()).ramp.at(-1)).toMatchObject({ percent: 50, bake: 'inconclusive', steppedBack: true });
  });

  it('does not move traffic back to a place that is not well', async () => {
    const run = await start();
    await run.approve();
    await run.until('bake@50');
    run.model.traffic.workload('shop', A).ready = false;
    run.model.traffic.checks.ready = { [A]: 'fail', [B]: 'fail' };
    await run.holding();
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 50, [B]: 50 });
    expect((await run.record()).debt.map(({ code }) => code)).toContain('trafficNotMovedBack');
  });
});

describe('trouble that Temporal rides out', () => {
  const steps = [...PREPARE, ...CUT, 'promote:orders-db', ...AFTER, ...RAMP, ...LAST];

  it.each(steps)('%s is busy twice', async (step) => {
    const run = await approved(step, busy, 2);
    expect((await run.end()).outcome).toBe('completed');
    expect(run.undone).toEqual([]);
  });

  it.each(steps)('the worker dies in the middle of %s', async (step) => {
    const run = await start();
    await run.approve();
    await run.until(step);
    for (const queue of ['rampart', `rampart.${A}`, `rampart.${B}`]) run.harness.crashWorkers(queue);
    expect((await run.end()).outcome).toBe('completed');
  });

  it.each(steps)('the answer of %s is lost', async (step) => {
    const run = await approved(step, lostAnswer, 1);
    expect((await run.end()).outcome).toBe('completed');
    const changes = run.model.log.map(({ what }) => what);
    expect(new Set(changes).size, 'nothing happened twice').toBe(changes.length);
  });
});

describe('a check at the target', () => {
  it('that fails before the gate refuses a planned run', async () => {
    const run = await start({
      before: (model) => {
        model.traffic.checks.ready = { [A]: 'pass', [B]: 'fail' };
      },
    });
    const record = await run.end();
    expect(['refused', 'rolledBack']).toContain(record.outcome);
    expect(run.model.log).toEqual([]);
  });
});

describe('undos', () => {
  it('go on when their system is busy, for as long as it takes', async () => {
    const run = await start();
    await run.approve();
    run.model.on(`undo:fence:orders-db@${A}`, busy, 40);
    run.model.on('catchUp:orders-db', refuse, 99);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expectBack(run);
  });

  it('that fail for good are told, and the others still run', async () => {
    const run = await start();
    await run.approve();
    run.model.on('undo:prepare:edge', refuse, 99);
    run.model.on('catchUp:orders-db', refuse, 99);
    const record = await run.end();
    expect(record.outcome).toBe('needsHuman');
    expect(record.text).toMatch(/1 undo\(s\) could not be finished: .*the system said no/);
    expect(record.debt.map(({ code }) => code)).toEqual(['undoFailed']);
    expect(run.model.traffic.routers).toMatchObject({ writer: { ttl: 30 }, edge: { ttl: 1 } });
    expectBack(run);
  });

  it('wait for a worker, say so, and are done when it comes', async () => {
    const run = await start();
    await run.approve();
    run.model.on('catchUp:orders-db', async () => {
      run.harness.removeWorkers(`rampart.${A}`);
      throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
    });
    await run.until(`catchUp:orders-db`);
    await run.harness.advance(10 * 60_000);
    expect((await run.status()).phase).toBe('compensating');
    expect((await run.record()).debt).toMatchObject([{ code: 'undoWaiting', region: A }]);
    run.harness.addWorkers(`rampart.${A}`);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.debt).toEqual([]);
    expectBack(run);
  });
});
