/**
 * The virtual world against the real one: every scenario of the table on a Temporal dev server and on the harness,
 * and both must show the same events in the same order and the same outcome. Without this, tests in virtual time
 * would prove something about the harness only.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RealServer, startRealServer } from './samples/real.ts';
import { runThroughOutage } from './samples/real-outage.ts';
import { OUTAGES, SCENARIOS } from './samples/scenarios.ts';
import { type Observed, runVirtually } from './samples/virtual.ts';

describe('virtual time against a real server', () => {
  let server: RealServer;
  let real: Map<string, Observed>;

  beforeAll(async () => {
    server = await startRealServer(SCENARIOS);
    real = new Map();
    const left = [...SCENARIOS];
    // Several at once: they mostly wait. All at once would make a small machine late for their time-outs.
    const lane = async (): Promise<void> => {
      for (let scenario = left.shift(); scenario; scenario = left.shift()) {
        real.set(scenario.name, await server.run(scenario));
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    for (const [name, observed] of await runThroughOutage(OUTAGES)) real.set(name, observed);
  }, 120_000);

  afterAll(() => server?.stop(), 30_000);

  it.each([...SCENARIOS, ...OUTAGES])('$name', async (scenario) => {
    const virtual = await runVirtually(scenario);
    expect(virtual).toEqual(real.get(scenario.name));
  });
});
