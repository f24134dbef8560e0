/** Bad input and bad days: each gives the finding that names it, with a remedy. */
import { describe, expect, it } from 'vitest';
import type { NodeObservation } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { CompileInput, Observations } from '../../plan/model.ts';
import type { OwnStep } from '../../topology/model.ts';
import { A, B, component, input, NOW, nodeSeen, replicaOf, WORLDS } from './world.ts';

const DB_B = `orders-db-${B}`;
const steady = (change: (seen: Observations) => Partial<Observations> = () => ({})) => {
  const seen = WORLDS['steady(A)']!();
  return input({ ...seen, ...change(seen) });
};
const target = (rest: Partial<NodeObservation>) =>
  steady((seen) => ({
    stores: { 'orders-db': [seen.stores['orders-db']![0]!, replicaOf(DB_B, B, `orders-db-${A}`, rest)] },
  }));
const lag = (rest: object) => ({ bytes: 0, seconds: 0, measuredAt: NOW, freshnessMs: 0, fresh: true, ...rest });
const router = (rest: object) =>
  steady((seen) => ({ routers: { ...seen.routers, edge: { ...seen.routers.edge!, ...rest } } }));
const shop = (rest: object) =>
  steady((seen) => ({
    workloads: { shop: seen.workloads.shop!.map((one) => (one.region === B ? { ...one, ...rest } : one)) },
  }));
const ready = (rest: object) =>
  steady((seen) => ({ checks: { ready: { ...seen.checks.ready, [B]: { ...seen.checks.ready![B]!, ...rest } } } }));
const place = (queue: string, build: string | null) =>
  steady((seen) => ({ places: { ...seen.places, [queue]: { build, at: NOW } } }));

/** What a planned and an unplanned run (past the healthy source) say. `!` blocks, `~` only warns; `*` can be accepted. */
const CASES: Array<[name: string, make: () => CompileInput, planned: string[], unplanned: string[]]> = [
  ['everything well', () => steady(), [], []],
  ['lag above the objective', () => target({ lag: lag({ seconds: 90 }) }), ['!lagAboveObjective*'], []],
  ['lag in bytes alone', () => target({ lag: lag({ bytes: 2 ** 30, seconds: null }) }), ['!lagAboveObjective*'], []],
  ['a stale lag', () => target({ lag: lag({ fresh: false }) }), ['!lagStale'], []],
  ['an old lag', () => target({ lag: lag({ measuredAt: NOW - 61_000 }) }), ['!lagStale'], []],
  ['no lag', () => target({ lag: null }), ['!lagUnknown'], []],
  ['a replica that does not stream', () => target({ upstream: null }), ['!notStreaming'], ['~notStreaming']],
  ['a replica on an older timeline', () => target({ timeline: 0 }), ['!oldTimeline'], ['!oldTimeline']],
  ['another system', () => target({ systemId: '99' }), ['!wrongSystemId'], ['!wrongSystemId']],
  ['an unreadable router', () => router({ reachable: false }), ['!routerUnreachable'], ['~routerUnreachable']],
  ['a router that ignores changes', () => router({ applied: false }), ['!routerNotApplied'], ['~routerNotApplied']],
  ['an app that is not ready', () => shop({ ready: false }), ['!targetNotReady*'], ['~targetNotReady*']],
  ['an app that does not tell', () => shop({ ready: null }), ['!targetNotReady*'], ['~targetNotReady*']],
  ['an app that does not answer', () => shop({ reachable: false }), ['!targetNotReady'], ['~targetNotReady']],
  ['an app scaled to zero', () => shop({ ready: false, capacity: { present: 0, wanted: 2 } }), [], []],
  ['a failing check', () => ready({ outcome: 'fail', observed: '503' }), ['!checkFailing*'], ['~checkFailing*']],
  ['a check without an answer', () => ready({ outcome: 'unknown' }), ['!checkUnknown'], ['~checkUnknown']],
  ['a check not asked lately', () => ready({ at: NOW - 61_000 }), ['!checkUnknown'], ['~checkUnknown']],
  ['no worker at the target', () => place(`rampart.${B}`, null), ['!workerAbsent'], ['!workerAbsent']],
  ['no worker at the source', () => place(`rampart.${A}`, null), ['!workerAbsent'], ['~workerAbsent']],
  ['an older build', () => place(`rampart.${A}`, '0.0.9'), ['~buildsDiffer'], ['~buildsDiffer']],
];

function found(base: CompileInput, mode: 'planned' | 'unplanned'): string[] {
  const override = mode === 'unplanned' ? ['healthySource'] : [];
  const { facts } = compilePlan({ ...base, request: { ...base.request, mode, override } });
  const usual = ['healthySource', 'rampBecomesJump', 'sourceDeduced'];
  return [...facts.blockers, ...facts.warnings]
    .filter((one) => !usual.includes(one.code))
    .map((one) => `${one.severity === 'blocker' ? '!' : '~'}${one.code}${one.override === undefined ? '' : '*'}`);
}

describe('findings', () => {
  for (const [name, make, planned, unplanned] of CASES) {
    it(name, () => {
      expect(found(make(), 'planned')).toEqual(planned);
      expect(found(make(), 'unplanned')).toEqual(unplanned);
    });
  }

  it('names the worker to start', () => {
    const remedy = compilePlan(place(`rampart.${B}`, null)).facts.blockers[0]?.remedy;
    expect(remedy).toBe('Start one: rampart worker --region eu-central');
  });

  it('shows observed against threshold', () => {
    const { blockers } = compilePlan(ready({ outcome: 'fail', observed: '503' })).facts;
    expect(blockers[0]?.message).toBe('Check ready fails in eu-central: observed 503, threshold 200.');
  });

  it('turns an accepted blocker into a warning that a person is asked about', () => {
    const base = target({ lag: lag({ seconds: 90 }) });
    const { facts } = compilePlan({ ...base, request: { ...base.request, override: ['lagAboveObjective'] } });
    expect(facts.blockers).toEqual([]);
    expect(facts.warnings.map((one) => one.code)).toContain('lagAboveObjective');
    expect(facts.asks?.[0]).toContain('Accepted (lagAboveObjective)');
  });

  it('passes on what the store itself found', () => {
    const own = {
      code: 'replayPaused',
      severity: 'blocker' as const,
      component: 'orders-db',
      region: B,
      message: 'm',
      remedy: 'r',
    };
    expect(compilePlan(steady(() => ({ preflight: { 'orders-db': [own] } }))).facts.blockers).toEqual([own]);
  });

  it('warns when the plan waits longer than its own objective', () => {
    const base = steady();
    const slow = { ...base.service, ramp: { ...base.service.ramp, bakeMs: 600_000 } };
    expect(compilePlan({ ...base, service: slow }).facts.warnings.map((one) => one.code)).toEqual(['rtoExceeded']);
  });

  it('names every node of the source side that cannot be fenced', () => {
    const base = steady();
    const store = component('orders-db', 'store', [A, B], { cutover: 'staged' }, 2);
    const [primary, sibling] = store.sides[A]!.nodes;
    const nodes = [
      nodeSeen(primary!.name, A, 'writable'),
      nodeSeen(sibling!.name, A, 'unreachable'),
      ...store.sides[B]!.nodes.map((node) => replicaOf(node.name, B, primary!.name)),
    ];
    const plan = compilePlan({
      ...base,
      components: { ...base.components, 'orders-db': store },
      observations: { ...base.observations, stores: { 'orders-db': nodes } },
    });
    expect(plan.facts.blockers.map((one) => one.code)).toEqual(['sourceNode']);
    expect(plan.facts.blockers[0]?.message).toContain(sibling!.name);
  });
});

describe('requests', () => {
  const codes = (request: Partial<CompileInput['request']>, service = {}) =>
    compilePlan(input(WORLDS['steady(A)']!(), request, service)).facts.blockers.map((one) => one.code);

  it('are refused with what would be right', () => {
    expect(codes({ to: 'mars' })).toContain('unknownRegion');
    expect(codes({ from: B })).toContain('sameRegion');
    expect(codes({ from: 'mars' })).toContain('unknownRegion');
    expect(codes({ ramp: [50, 10] })).toEqual(['badRamp']);
    expect(codes({ percent: 50 })).toEqual(['badRamp']);
    expect(codes({ to: undefined }, { standby: [B, 'eu-north'] })).toContain('toMissing');
  });

  it('leave the observed source, whatever they say', () => {
    const base = input(WORLDS['steady(A)']!(), { to: 'eu-north', from: B }, { standby: [B, 'eu-north'] });
    const store = component('orders-db', 'store', [A, B, 'eu-north'], { cutover: 'staged' });
    const seen = [
      ...base.observations.stores['orders-db']!,
      replicaOf('orders-db-eu-north', 'eu-north', `orders-db-${A}`),
    ];
    const plan = compilePlan({
      ...base,
      components: { ...base.components, 'orders-db': store },
      observations: { ...base.observations, stores: { 'orders-db': seen } },
    });
    expect(plan.from).toBe(A);
    expect(plan.facts.blockers.map((one) => one.code)).toContain('fromDiffers');
  });

  it('go to the only other region when they name none', () => {
    expect(compilePlan(input(WORLDS['steady(A)']!(), { to: undefined })).to).toBe(B);
  });

  it('are told when an override is none', () => {
    const plan = compilePlan(input(WORLDS['steady(A)']!(), { override: ['healthySorce'] }));
    expect(plan.facts.warnings.map((one) => one.code)).toEqual(['unknownOverride']);
  });
});

describe('own steps', () => {
  const own = (rest: Partial<OwnStep>): OwnStep => ({
    name: 'warm',
    stage: 'prepare',
    summary: 'Warm the cache',
    kind: 'command',
    at: 'to',
    config: { command: ['warm', '{{to}}'], env: {} },
    effect: 'reversible',
    undo: { kind: 'http', config: { url: 'http://cache/cold' } },
    deadlineMs: 9_000,
    onFailure: 'continue',
    actions: [],
    ...rest,
  });
  const planOf = (...steps: OwnStep[]) => compilePlan(input(WORLDS['steady(A)']!(), {}, { steps }));
  const stepOf = (...steps: OwnStep[]) => {
    const plan = planOf(...steps);
    return plan.stages.flatMap((stage) => stage.steps).find((step) => step.id === 'own:warm');
  };

  it('run at their side, with their undo, after every claim', () => {
    const step = stepOf(own({}));
    expect(step).toMatchObject({
      verb: 'ownCommand',
      region: B,
      place: `rampart.${B}`,
      input: { command: ['warm', '{{to}}'] },
      timeoutMs: 9_000,
      onFailure: 'continue',
      undo: { verb: 'ownHttp', place: `rampart.${B}`, input: { url: 'http://cache/cold' } },
    });
    expect(step?.after).toEqual([`claim:orders-db@${A}`, `claim:orders-db@${B}`]);
  });

  it('run on the team queue, which nobody pings', () => {
    const plan = planOf(own({ kind: 'activity', taskQueue: 'shop-ops', config: { type: 'warmUp', input: { n: 1 } } }));
    const steps = plan.stages.flatMap((stage) => stage.steps);
    expect(steps.find((step) => step.id === 'own:warm')).toMatchObject({
      place: 'shop-ops',
      input: { activity: 'warmUp', input: { n: 1 } },
    });
    expect(steps.some((step) => step.id === 'ping:shop-ops')).toBe(false);
  });

  it('are irreversible without an undo, and never come before the gate', () => {
    expect(stepOf(own({ undo: undefined }))?.effect).toBe('irreversible');
    const early = planOf(own({ stage: 'preflight' }));
    expect(early.facts.blockers.map((one) => one.code)).toEqual(['ownStepBeforeGate']);
    expect(early.stages.flatMap((stage) => stage.steps).some((step) => step.id === 'own:warm')).toBe(false);
  });

  it('run only in the actions they name', () => {
    expect(stepOf(own({ actions: ['failback'] }))).toBeUndefined();
  });
});
