/** A fake cluster with five good endpoints, five that refuse the credentials, and a component of two regions on it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { arcRoutingControl } from '../../../drivers/arc-routing-control/driver.ts';
import type { Weights } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import { FakeArc } from '../../fakes/aws/arc.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

process.env.AWS_ACCESS_KEY_ID = '123456789012';
process.env.AWS_SECRET_ACCESS_KEY = 'not-a-secret';

export const AT = ['us-east-1', 'eu-west-1', 'us-west-2', 'ap-northeast-1', 'ap-southeast-2'] as const;
export const REGIONS = ['eu-west', 'eu-central'] as const;

export interface ArcWorld extends RouterWorld {
  arc: FakeArc;
  fake: FakeAws;
  /** ARN of a region's routing control. */
  control: Record<string, string>;
  with(config: Record<string, unknown>, names?: Record<string, string>): Component;
}

export async function makeArcWorld(regions: readonly string[] = REGIONS): Promise<ArcWorld> {
  const stateDir = mkdtempSync(join(tmpdir(), 'rampart-arc-'));
  const arc = new FakeArc();
  const fake = await FakeAws.start([arc.service()], 10);
  const control = Object.fromEntries(
    regions.map((region, index) => [region, arc.add(region, `shop-${region}`, index === 0 ? 'On' : 'Off')]),
  );
  const deaf = Object.fromEntries(
    regions.map((region, index) => [
      region,
      arc.add(`deaf-${region}`, `shop-${region}`, index === 0 ? 'On' : 'Off', { deaf: true }),
    ]),
  );
  const refusing = AT.map((_, index) => index + 5);
  for (const endpoint of refusing) fake.fault({ endpoint, fault: 'denied' });
  const endpoints = (url: (index: number) => string) => AT.map((region, index) => ({ region, endpoint: url(index) }));

  const component = (changes: Record<string, unknown> = {}, arns = control, name = 'edge'): Component => {
    const config = arcRoutingControl.config.parse({
      endpoints: endpoints((index) => fake.urls[index]!),
      answerTimeout: '600ms',
      deadline: '2s',
      ruleWait: '0ms',
      ...changes,
    }) as Component['config'];
    return {
      name,
      type: 'arc-routing-control',
      role: 'router',
      queue: 'rampart',
      config,
      sides: Object.fromEntries(
        regions.map((region) => {
          const node = { routingControl: arns[region]!, control: `shop-${region}` };
          return [region, { region, nodes: [{ name: region, queue: `rampart.${region}`, config: node }] }];
        }),
      ),
      capabilities: arcRoutingControl.capabilities(config),
    };
  };
  // The first call of a process loads the SDK and looks for credentials; no time-out of a test is meant for that.
  await arcRoutingControl.open(component({ answerTimeout: '30s', confirm: 5 }), driverContext({ stateDir })).observe();
  let thaw: Array<() => void> = [];
  return {
    driver: arcRoutingControl,
    component: component(),
    stateDir,
    secrets: {},
    arc,
    fake,
    control,
    with: (config, arns = control) => component(config, arns),
    unreachable: () => component({ endpoints: endpoints(() => 'http://127.0.0.1:1') }),
    wrongCredentials: () => ({
      component: component({ endpoints: endpoints((index) => fake.urls[index + 5]!) }),
      secrets: {},
    }),
    deaf: () => component({ deadline: '200ms' }, deaf, 'deaf'),
    freeze: () => {
      thaw = AT.map((_, endpoint) => fake.fault({ endpoint, fault: 'hang' }));
    },
    thaw: () => {
      for (const end of thaw.splice(0)) end();
    },
    async changeByHand(weights) {
      arc.set(
        Object.fromEntries(
          Object.entries(weights).map(([region, weight]) => [control[region]!, weight > 0 ? 'On' : 'Off']),
        ),
      );
    },
    async measure(): Promise<Weights> {
      const on = regions.filter((region) => arc.control(control[region]!).state === 'On');
      return Object.fromEntries(regions.map((region) => [region, on.includes(region) ? 100 / on.length : 0]));
    },
    async close() {
      await fake.stop();
      rmSync(stateDir, { recursive: true });
    },
  };
}
