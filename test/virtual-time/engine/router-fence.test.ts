/** A router that could answer with the region that was given up, when the other is unwell, is kept from it. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { type EngineRun, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B, type ModelWorld } from './world/world.ts';

let run: EngineRun;
afterEach(() => run?.dispose());

const FENCE = `fence:edge@${A}`;

async function start(change: (model: ModelWorld) => void, options: RunOptions = {}): Promise<void> {
  run = await startRun({
    ...options,
    before: (model, harness) => {
      model.topology.components.edge!.capabilities.fences = true;
      change(model);
      options.before?.(model, harness);
    },
  });
}

async function unplanned(change: (model: ModelWorld) => void = () => {}): Promise<void> {
  await start(change, {
    request: UNPLANNED,
    before: (model, harness) => {
      model.lose(A);
      harness.removeWorkers(`rampart.${A}`);
    },
  });
  await run.gate('cutover');
  await run.approve();
  await run.gate('promote');
  await run.approve();
}

describe('after an unplanned failover', () => {
  it('the region that was given up is cut off, then the settings of the router go back', async () => {
    await unplanned();
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.traffic.routers.edge).toMatchObject({ weights: { [A]: 0, [B]: 100 }, fenced: [A], ttl: 60 });
    const order = [`weight:edge@100`, FENCE, 'settle:edge'].map((id) => run.model.attempts.indexOf(id));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it('a router with nothing to fence by leaves the run complete, and people are told', async () => {
    const why = 'the records of eu-west have no health check, so they cannot be fenced';
    await unplanned((model) =>
      model.on(
        FENCE,
        () => {
          throw ApplicationFailure.nonRetryable(why, 'PreconditionFailed');
        },
        99,
      ),
    );
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(JSON.stringify(record.debt)).toContain(why);
    expect(run.model.traffic.routers.edge).toMatchObject({ fenced: [], ttl: 60 });
  });
});

it('a planned failover cuts nobody off', async () => {
  await start(() => {});
  await run.approve();
  expect((await run.end()).outcome).toBe('completed');
  expect(run.model.attempts).not.toContain(FENCE);
});
