/**
 * The engine in virtual time against the engine on a real server, on the same model world: the same steps, undos and
 * words, and the same outcome. With RAMPART_RECORD=1 the real runs are kept as golden histories for the replay test.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RealEngine, startRealEngine } from './real.ts';
import { PLANNED, startRun } from './run.ts';
import { ENGINE_SCENARIOS, type EngineScenario, QUICK_RAMP, summaryOf } from './scenarios.ts';

const RECORD = fileURLToPath(new URL('../../replay/record.mjs', import.meta.url));

async function runVirtually(scenario: EngineScenario): Promise<object> {
  const run = await startRun({
    workflowId: `failover/${scenario.name}`,
    request: scenario.request ?? PLANNED,
    world: { service: { ramp: QUICK_RAMP, group: scenario.name }, pace: 0.5 },
    before: (model, harness) => {
      scenario.before?.(model);
      for (const region of scenario.withoutWorkers ?? []) harness.removeWorkers(`rampart.${region}`);
    },
  });
  try {
    await scenario.script(run);
    const record = await run.end();
    return summaryOf(record, run.model, run.workflow.outcome?.status ?? 'open');
  } finally {
    await run.dispose();
  }
}

describe('the engine in virtual time against a real server', () => {
  let engine: RealEngine;
  const real = new Map<string, object>();

  beforeAll(async () => {
    engine = await startRealEngine();
    const left = ENGINE_SCENARIOS.filter(({ withoutWorkers }) => !withoutWorkers);
    const lane = async (): Promise<void> => {
      for (let scenario = left.shift(); scenario; scenario = left.shift()) {
        real.set(scenario.name, await engine.run(scenario));
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    for (const scenario of ENGINE_SCENARIOS.filter(({ withoutWorkers }) => withoutWorkers)) {
      await Promise.all((scenario.withoutWorkers ?? []).map((region) => engine.removeWorkers(region)));
      real.set(scenario.name, await engine.run(scenario));
    }
    if (process.env.RAMPART_RECORD) {
      const runs = ENGINE_SCENARIOS.filter(({ golden }) => golden).map(({ name }) => `failover/${name}=${name}`);
      execFileSync(process.execPath, [RECORD, ...runs], { env: { ...process.env, TEMPORAL_ADDRESS: engine.address } });
    }
  }, 180_000);

  afterAll(() => engine?.stop(), 30_000);

  it.each(ENGINE_SCENARIOS)('$name', async (scenario) => {
    expect(await runVirtually(scenario)).toEqual(real.get(scenario.name));
  });
});
