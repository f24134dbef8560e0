/** What a plan says and does about the side that is given up. */
import { describe, expect, test } from 'vitest';
import type { NodeObservation, SampleReading } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import { A, B, checkout, input, NOW, nodeSeen, replicaOf, WORLDS, withSessions } from './world.ts';

const ramp = { ...checkout.ramp, unplanned: 'ramp' as const };

describe('the ramp away from a lost region', () => {
  const percents = (reachable: boolean) => {
    const seen = WORLDS['sourceLost(A)']!();
    const shop = seen.workloads.shop!.map((one) => (one.region === A ? { ...one, reachable, ready: null } : one));
    const plan = compilePlan(input({ ...seen, workloads: { shop } }, { mode: 'unplanned' }, { ramp }));
    const steps = plan.stages.flatMap((stage) => stage.steps).filter((step) => step.verb === 'setWeights');
    return steps.filter((step) => step.component === 'edge').map((step) => step.input.percent);
  };

  test('goes by steps while the region still answers requests', () => {
    expect(percents(true)).toEqual(ramp.steps);
  });

  test('is one step when it answers nobody: what a ramp leaves there is lost', () => {
    expect(percents(false)).toEqual([100]);
  });
});

describe('the loss where two sides accept writes', () => {
  const sample = (region: string, state: SampleReading['state'], order: number, age: number): SampleReading => ({
    node: `orders-db-${region}`,
    region,
    state,
    position: {
      text: `0/${order.toString(16)}`,
      timeline: state === 'writable' && region === B ? 2 : 1,
      order: `${order}`,
    },
    at: NOW - age,
  });
  const lossOf = (samples: SampleReading[]) => {
    const seen = WORLDS.twoWritable!();
    return compilePlan(input({ ...seen, samples: { 'orders-db': samples } }, { mode: 'unplanned' })).facts.loss;
  };

  test('begins where the target was last seen as a replica, however far its own writes have come', () => {
    const loss = lossOf([
      sample(A, 'writable', 100, 5_000),
      sample(B, 'replica', 110, 4_500),
      sample(A, 'writable', 200, 4_000),
      sample(B, 'writable', 900, 3_000),
      sample(A, 'writable', 300, 2_000),
    ]);
    expect(loss).toMatchObject({ kind: 'bounded', fromTime: new Date(NOW - 5_000).toISOString(), toTime: null });
    expect(loss.atLeastBytes).toBe(190);
  });

  test('names what a store of a provider would lose as well, which is switched in the same plan', () => {
    const base = input({ ...WORLDS.twoWritable!(), samples: {} }, { mode: 'unplanned' });
    const sessions = [
      nodeSeen(`sessions-db-${A}`, A, 'writable'),
      replicaOf(`sessions-db-${B}`, B, `sessions-db-${A}`),
    ];
    const plan = compilePlan(withSessions(base, sessions, 'atomic'));
    expect(plan.stages.flatMap(({ steps }) => steps.map(({ id }) => id))).toContain('switchover:sessions-db');
    expect(plan.facts.lossByProvider).toMatchObject({ 'sessions-db': { kind: expect.any(String) } });
    expect(plan.facts.loss.note).toContain('sessions-db');
  });

  test('names what a store would lose as well that is promoted in the same plan, and keeps the two apart', () => {
    const base = input({ ...WORLDS.twoWritable!(), samples: {} }, { mode: 'unplanned' });
    const sessions = [
      nodeSeen(`sessions-db-${A}`, A, 'writable'),
      replicaOf(`sessions-db-${B}`, B, `sessions-db-${A}`),
    ];
    const plan = compilePlan(withSessions(base, sessions));
    expect(plan.stages.flatMap(({ steps }) => steps.map(({ id }) => id))).toContain('promote:sessions-db');
    expect(plan.facts.loss.note).toContain('orders-db:');
    expect(plan.facts.loss.note).toContain('sessions-db:');
    expect(plan.facts.lossByProvider).toBeUndefined();
    expect(Object.keys(plan.facts.lossLeftBehind ?? {})).toEqual(['orders-db']);
  });

  test('has an unknown beginning without such a sample', () => {
    expect(lossOf([sample(A, 'writable', 300, 2_000)])).toMatchObject({
      kind: 'unknown',
      fromTime: null,
      toTime: null,
    });
  });
});

describe('the region to go to is the one whose primary is down', () => {
  const plan = (action: 'failover' | 'reprotect', to: string) => {
    const stores = {
      'orders-db': [nodeSeen(`orders-db-${A}`, A, 'stopped'), replicaOf(`orders-db-${B}`, B, `orders-db-${A}`)],
    };
    return compilePlan(input({ ...WORLDS['sourceLost(A)']!(), stores }, { action, to, from: undefined }));
  };

  test('it says so, and how to get out: nobody is sent in a circle', () => {
    const { blockers } = plan('failover', A).facts;
    expect(blockers.find(({ code }) => code === 'primaryDown')).toMatchObject({
      message: `orders-db in ${A} is the primary, and it is down: orders-db-${B} in ${B} replicates from it.`,
      remedy: expect.stringMatching(
        /^Start its database, .*rampart start failover --service checkout --to eu-central --mode unplanned/,
      ),
    });
    expect(blockers.map(({ remedy }) => remedy).join()).not.toContain('reprotect');
    const reprotect = plan('reprotect', A).facts.blockers.find(({ code }) => code === 'notPrimary');
    expect(reprotect?.remedy).toMatch(/^Start the database that was the primary/);
  });

  test('the other region is a rescue as ever', () => {
    expect(plan('failover', B).facts.blockers.map(({ code }) => code)).not.toContain('primaryDown');
  });
});

describe('tokens for a source that is down on a later timeline than the target', () => {
  const stores = (...seen: NodeObservation[]) => {
    const base = WORLDS['sourceLost(A)']!();
    return compilePlan(input({ ...base, stores: { 'orders-db': seen } }, { mode: 'unplanned', from: A, to: B })).facts
      .stores['orders-db'];
  };
  const left = nodeSeen(`orders-db-${B}`, B, 'replica');

  test.each(['stopped', 'fenced'] as const)('carry its own timeline while it is %s', (state) => {
    const promoted = nodeSeen(`orders-db-${A}`, A, state, { timeline: 2 });
    expect(stores(promoted, left)).toEqual({ systemId: '7571', timeline: 1, source: { region: A, timeline: 2 } });
    expect(stores(nodeSeen(`orders-db-${A}`, A, state), left)).toEqual({ systemId: '7571', timeline: 1 });
  });

  test('carry the target’s where the source does not answer, and the source’s where it accepts writes', () => {
    expect(stores(nodeSeen(`orders-db-${A}`, A, 'unreachable'), left)).toEqual({ systemId: '7571', timeline: 1 });
    const writable = nodeSeen(`orders-db-${A}`, A, 'writable', { timeline: 2 });
    expect(stores(writable, left)).toEqual({ systemId: '7571', timeline: 2 });
  });
});

test('reprotect has something to do while a setting of synchronous replication is set aside', () => {
  const plan = (suspended?: string[]) => {
    const primary = nodeSeen(`orders-db-${A}`, A, 'writable', suspended === undefined ? {} : { suspended });
    const stores = { 'orders-db': [primary, replicaOf(`orders-db-${B}`, B, `orders-db-${A}`)] };
    const base = WORLDS['steady(A)']!();
    return compilePlan(input({ ...base, stores }, { action: 'reprotect', from: B, to: A }));
  };
  const verbs = (of: ReturnType<typeof plan>) => of.stages.flatMap(({ steps }) => steps.map(({ verb }) => verb));
  expect(plan().nothingToDo).toMatch(/^Nothing to do/);
  const owing = plan(['synchronous_standby_names']);
  expect(owing.nothingToDo).toBeNull();
  expect(owing.facts.blockers).toEqual([]);
  expect(verbs(owing)).toContain('rejoin');
});
