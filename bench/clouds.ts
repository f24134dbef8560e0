/**
 * 100 components of AWS observed at once, and one change of weights: the clients and drivers that workers use, on a
 * stateful fake with AWS's wire protocols that takes its time for each answer.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Driver, DriverContext, PortOf } from '../drivers/ports.ts';
import { drivers } from '../drivers/registry.ts';
import { FakeAutoScaling } from '../test/fakes/aws/auto-scaling.ts';
import { FakeEcs } from '../test/fakes/aws/ecs.ts';
import { FakeRoute53 } from '../test/fakes/aws/route53.ts';
import { FakeAws } from '../test/fakes/aws/server.ts';
import type { Component } from '../topology/model.ts';
import type { BenchOptions, Result } from './statistics.ts';

const SIDES = { 'eu-west': 'eu-west-1', 'eu-central': 'eu-central-1' } as const;
type Side = keyof typeof SIDES;
const EACH = { ecs: 40, asg: 40, route53: 20 } as const;
type Type = keyof typeof EACH;
const ALL = Object.values(EACH).reduce((sum, n) => sum + n, 0);
/** Of every answer, and of those about one ECS service, in milliseconds. */
const ANSWER_MS = 50;
const SLOW_MS = 2_000;
const SLOW = 'app-0';
/** Until every budget of requests is full again: the burst over the pace of the smallest, in milliseconds. */
const REFILL_MS = 6_000;

export async function clouds({ runs, say }: BenchOptions): Promise<Result> {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: '111111111111', AWS_SECRET_ACCESS_KEY: 'bench' });
  const world = await startWorld();
  const { observe, aws } = world;
  const alone = new Map<Type, number[]>();
  const [slow, together, watched, changed]: number[][] = [[], [], [], []];
  let calls = 0;
  try {
    for (const type of Object.keys(EACH) as Type[]) await observe(type, 1);
    for (let run = 0; run <= runs; run += 1) {
      await sleep(REFILL_MS);
      for (const type of Object.keys(EACH) as Type[]) {
        const took = await timed(() => observe(type, 1));
        if (run > 0) alone.set(type, [...(alone.get(type) ?? []), took]);
      }
      const slowest = await timed(() => observe('ecs', 0));
      await sleep(REFILL_MS);
      const before = aws.calls.length;
      const all = await timed(() => world.observeAll());
      calls = aws.calls.length - before;
      await sleep(REFILL_MS);
      const rest = await timed(() => world.observeAll({ watching: true }));
      await sleep(REFILL_MS);
      const change = await timed(() => world.change(run));
      say(`run ${run}: slowest ${Math.round(slowest)} ms, all ${Math.round(all)} ms, watched ${Math.round(rest)} ms`);
      if (run === 0) continue;
      slow!.push(slowest);
      together!.push(all);
      watched!.push(rest);
      changed!.push(change);
    }
  } finally {
    await aws.stop();
  }
  const subject = 'Rampart';
  return {
    benchmark: 'clouds',
    about: `${ALL} components (${EACH.ecs} ECS services and ${EACH.asg} Auto Scaling groups in two regions each, ${EACH.route53} names of Route 53), every answer after ${ANSWER_MS} ms, those about one ECS service after ${SLOW_MS} ms; then the weights of one name.`,
    measures: [
      ...[...alone].map(([type, values]) => ({ name: `one, ${type}`, subject, unit: 'ms' as const, values })),
      { name: 'the slow one alone', subject, unit: 'ms', values: slow! },
      { name: `all ${ALL} at once, for a run`, subject, unit: 'ms', values: together!, aim: 'the slowest' },
      { name: `all ${ALL} at once, for who only watches`, subject, unit: 'ms', values: watched! },
      { name: 'requests for all', subject, unit: 'count', values: [calls] },
      {
        name: 'weights of one name, until Route 53 says INSYNC and they are read back',
        subject,
        unit: 'ms',
        values: changed!,
      },
    ],
    notes: [
      'Each API and region has a budget of requests of its own, full at the beginning: 20 a second after a burst of 100, for Route 53 4 a second after 8 (AWS allows an account five). Who only watches leaves half of the burst to runs.',
      'The fake answers in the same process and is in sync at the first question; the real propagation comes on top.',
    ],
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function startWorld() {
  const [ecs, asg, route53] = [new FakeEcs(), new FakeAutoScaling(), new FakeRoute53()];
  const records = Array.from({ length: EACH.route53 }, (_, i) =>
    Object.keys(SIDES).map((id, side) => ({
      ...{ name: `shop-${i}.example.com`, type: 'A', id, ttl: 60, values: [`192.0.2.${side + 1}`] },
      weight: side === 0 ? 100 : 0,
    })),
  ).flat();
  route53.addZone({ id: 'Z1EXAMPLE', name: 'example.com', records });
  for (const region of Object.values(SIDES)) {
    for (let i = 0; i < EACH.ecs; i += 1) ecs.add(region, 'shop', `app-${i}`, 2);
    for (let i = 0; i < EACH.asg; i += 1) asg.add(region, `group-${i}`, 1, 8, 2);
  }
  const aws = await FakeAws.start([...ecs.fakes(), asg.service(), route53.service()], 2);
  aws.fault({
    fault: 'pass',
    before: async ({ input }) => {
      await sleep(JSON.stringify(input).includes(`"${SLOW}"`) ? SLOW_MS : ANSWER_MS);
    },
  });
  // An address for each region, so that each has its own budget, as the real regions have.
  const urls = Object.fromEntries(Object.keys(SIDES).map((side, i) => [side, aws.urls[i]!])) as Record<Side, string>;
  const made = Object.fromEntries(
    (Object.keys(EACH) as Type[]).map((type) => [
      type,
      Array.from({ length: EACH[type] }, (_, i) => componentOf(type, i, urls)),
    ]),
  ) as Record<Type, Component[]>;

  async function look(component: Component, more: Partial<DriverContext> = {}): Promise<void> {
    const driver = drivers.get(component.type) as Driver;
    const port = driver.open(component, context(more));
    if (component.role === 'router') {
      const seen = await (port as PortOf['router']).observe();
      if (!seen.reachable) throw new Error(seen.detail);
      return;
    }
    const seen = await Promise.all(Object.keys(SIDES).map((side) => (port as PortOf['workload']).observe(side)));
    for (const one of seen) if (!one.reachable) throw new Error(one.detail);
  }

  return {
    aws,
    observe: (type: Type, i: number) => look(made[type][i]!),
    observeAll: (more?: Partial<DriverContext>) =>
      Promise.all(
        Object.values(made)
          .flat()
          .map((one) => look(one, more)),
      ),
    change(run: number) {
      const token = { systemId: null, expectedTimeline: null, epoch: run + 1, runId: `run-${run}`, seq: 1 };
      const port = (drivers.get('route53') as Driver<'router'>).open(made.route53[0]!, context({ token }));
      return port.setWeights(run % 2 === 0 ? { 'eu-west': 0, 'eu-central': 100 } : { 'eu-west': 100, 'eu-central': 0 });
    },
  };
}

function componentOf(type: Type, i: number, urls: Record<Side, string>): Component {
  const driver = drivers.get(type) as Driver;
  const config = driver.config.parse(
    {
      ecs: {},
      asg: {},
      route53: {
        policy: 'weighted',
        hostedZone: 'Z1EXAMPLE',
        name: `shop-${i}.example.com`,
        endpoint: urls['eu-west'],
        verify: 'readback',
      },
    }[type],
  ) as Component['config'];
  const node = (side: Side, at: number): object => {
    const place = { region: SIDES[side], endpoint: urls[side], cloudwatchEndpoint: urls[side] };
    return {
      ecs: { ...place, scalingEndpoint: urls[side], cluster: 'shop', service: `app-${i}` },
      asg: { ...place, group: `group-${i}` },
      route53: { target: `192.0.2.${at + 1}`, setIdentifier: side },
    }[type];
  };
  const sides = (Object.keys(SIDES) as Side[]).map((side, at) => {
    const parsed = driver.node.parse(node(side, at)) as Component['config'];
    return [side, { region: side, nodes: [{ name: `${side}-${i}`, queue: 'rampart', config: parsed }] }];
  });
  return {
    ...{ name: `${type}-${i}`, type, role: driver.role, queue: 'rampart', config },
    sides: Object.fromEntries(sides),
    capabilities: driver.capabilities(config),
  } as Component;
}

function context(more: Partial<DriverContext>): DriverContext {
  const silent = (): void => {};
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  return {
    ...{ signal, heartbeat: silent, now: Date.now },
    log: { debug: silent, info: silent, warn: silent, error: silent },
    secret: async (ref) => ref,
    place: { region: null, place: null },
    stateDir: '/nonexistent',
    run: { workflowId: 'bench', runId: 'bench', service: 'bench' },
    ...more,
  };
}
