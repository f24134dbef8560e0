/** What the check must make of a CloudWatch, the fake or an emulator. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cloudwatch } from '../../../drivers/cloudwatch/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import { alarmCheck, makeCheckWorld, metricCheck, publish, REGION, setAlarm } from './world.ts';

export function describeCloudwatch(name: string, start: () => Promise<{ url: string; stop(): Promise<void> }>): void {
  let url: string;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    ({ url, stop } = await start());
  }, 120_000);
  afterAll(() => stop?.());

  describeCheck(`cloudwatch on ${name}`, () => makeCheckWorld(url, async () => undefined));

  describe(`cloudwatch on ${name}`, { timeout: 60_000 }, () => {
    const run = (component: Component) => cloudwatch.open(component, driverContext()).run(REGION);

    test('judges the newest whole period, not the one that runs', async () => {
      await publish(url, [
        { name: 'Requests', value: 5, ageMs: 190_000 },
        { name: 'Requests', value: 1, ageMs: 130_000 },
        { name: 'Requests', value: 9, ageMs: 0 },
      ]);
      const result = await run(metricCheck(url, {}, { name: 'Requests' }));
      expect(result).toMatchObject({ outcome: 'pass', observed: expect.stringContaining('Requests = 1 (Sum, period') });
    });

    test('data that is too old is unknown, and told from data that never was', async () => {
      await publish(url, [{ name: 'Old', value: 0, ageMs: 9 * 60_000 }]);
      expect(await run(metricCheck(url, {}, { name: 'Old' }))).toMatchObject({ outcome: 'unknown', observed: 'stale' });
      expect(await run(metricCheck(url, {}, { name: 'Never' }))).toMatchObject({
        outcome: 'unknown',
        observed: 'no data',
      });
      const zero = await run(metricCheck(url, {}, { name: 'Never', noData: 'zero' }));
      expect(zero).toMatchObject({ outcome: 'pass', detail: expect.stringContaining('taken as 0') });
    });

    test('the state of an alarm: OK passes, ALARM fails, INSUFFICIENT_DATA and no alarm are unknown', async () => {
      const client = await publish(url, [{ value: 0, ageMs: 0 }]);
      const outcomes: Record<string, string> = {};
      for (const state of ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const) {
        await setAlarm(client, `${name}-${state}`, state);
        const { outcome, observed } = await run(alarmCheck(url, `${name}-${state}`));
        outcomes[observed] = outcome;
      }
      expect(outcomes).toEqual({ OK: 'pass', ALARM: 'fail', INSUFFICIENT_DATA: 'unknown' });
      expect(await run(alarmCheck(url, 'nobody-made-it'))).toMatchObject({ outcome: 'unknown', observed: 'no alarm' });
    });
  });
}
