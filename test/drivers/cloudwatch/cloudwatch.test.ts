import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cloudwatch } from '../../../drivers/cloudwatch/driver.ts';
import { checkComponent } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import { FakeCloudwatch } from '../../fakes/aws/cloudwatch.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { describeCloudwatch } from './contract.ts';
import { alarmCheck, metricCheck, publish, REGION } from './world.ts';

describeCloudwatch('the fake', async () => {
  const fake = await FakeAws.start([new FakeCloudwatch().service()]);
  return { url: fake.url, stop: () => fake.stop() };
});

describe('cloudwatch', () => {
  const state = new FakeCloudwatch();
  let fake: FakeAws;
  beforeAll(async () => {
    fake = await FakeAws.start([state.service()]);
    await publish(fake.url, [{ value: 0, ageMs: 130_000 }]);
  });
  afterAll(() => fake.stop());
  const run = (component = metricCheck(fake.url)) => cloudwatch.open(component, driverContext()).run(REGION);

  it('data that is not complete is unknown, however good what came is', async () => {
    state.statusCode = 'PartialData';
    expect(await run()).toMatchObject({ outcome: 'unknown', detail: expect.stringContaining('PartialData') });
    state.statusCode = 'Complete';
    expect(await run()).toMatchObject({ outcome: 'pass' });
  });

  it.each(['throttled', 'denied', 'expired', 'unavailable', 'reset', 'cut'] as const)(
    '%s is unknown, and says so',
    async (fault) => {
      fake.fault({ fault, times: 1 });
      const result = await run();
      expect(result).toMatchObject({ outcome: 'unknown', observed: 'no answer' });
      expect(result.detail).toContain('GetMetricData');
      expect(result.unserved).toBeUndefined();
    },
  );

  it('an alarm that takes missing data for good says so, and one that is not wholly evaluated is unknown', async () => {
    const at = (name: string) => `eu-west-1 ${name}`;
    state.alarms.set(at('lenient'), { AlarmName: 'lenient', StateValue: 'OK', TreatMissingData: 'notBreaching' });
    state.alarms.set(at('partial'), { AlarmName: 'partial', StateValue: 'OK', EvaluationState: 'PARTIAL_DATA' });
    expect(await run(alarmCheck(fake.url, 'lenient'))).toMatchObject({
      outcome: 'pass',
      detail: expect.stringContaining('notBreaching'),
    });
    expect(await run(alarmCheck(fake.url, 'partial'))).toMatchObject({ outcome: 'unknown' });
  });

  it('a side may ask elsewhere, for other dimensions', async () => {
    const node = { region: 'eu-central-1', endpoint: fake.url, dimensions: { Region: 'other' } };
    const side = checkComponent(
      cloudwatch,
      { metric: { namespace: 'Shop', name: 'Errors', dimensions: { Region: '{{region}}' } }, expect: { max: 1 } },
      { [REGION]: [node] },
    );
    await run(side);
    expect(fake.calls.at(-1)).toMatchObject({
      region: 'eu-central-1',
      input: { MetricDataQueries: [{ MetricStat: { Metric: { Dimensions: [{ Name: 'Region', Value: 'other' }] } } }] },
    });
  });

  it('one question, and one that can fail', () => {
    const problems = (config: object, node: object = {}) =>
      cloudwatch.validate!(checkComponent(cloudwatch, config, { [REGION]: [{ region: 'eu-west-1', ...node }] })).map(
        ({ code }) => code,
      );
    const metric = { namespace: 'Shop', name: 'Errors' };
    expect(problems({})).toEqual(['check_question_missing']);
    expect(problems({ metric })).toEqual(['check_expect_missing']);
    expect(problems({ metric, expect: { max: 1 }, alarm: 'a' })).toEqual(['check_two_questions']);
    expect(problems({ metric, expect: { max: 1 } }, { alarm: 'a' })).toEqual(['check_two_questions']);
    expect([problems({ metric, expect: { max: 0 } }), problems({ alarm: 'a' }), problems({}, { alarm: 'a' })]).toEqual([
      [],
      [],
      [],
    ]);
  });
});
