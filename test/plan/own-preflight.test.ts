/** Routers and workloads whose drivers have findings of their own, or wait for something by design. */
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { CompileInput } from '../../plan/model.ts';
import { limitOf, TIMEOUT_MS } from '../../plan/timeouts.ts';
import { B, input, WORLDS } from './world.ts';

const MISSING: Finding = {
  code: 'recordMissing',
  severity: 'blocker',
  component: 'edge',
  region: B,
  message: 'edge has no record for eu-central.',
  remedy: 'Create it.',
};

/** The edge says that it has a preflight, and waits five minutes for an old TTL and one for a change. */
function world(change: Partial<CompileInput['request']> = {}, name: keyof typeof WORLDS = 'steady(A)'): CompileInput {
  const base = input(WORLDS[name]!(), change);
  const edge = base.components.edge!;
  edge.capabilities = { ...edge.capabilities, preflight: true, prepareMs: 300_000, applyMs: 60_000 };
  return base;
}

const steps = (of: CompileInput) => compilePlan(of).stages.flatMap((stage) => stage.steps);

describe('a router with a preflight of its own', () => {
  it('is asked before anything changes; one without is not', () => {
    const asked = steps(world()).filter(({ verb }) => verb === 'preflightStore');
    expect(asked.map(({ id }) => id)).toEqual(['preflight:orders-db', 'preflight:edge']);
    expect(steps(input(WORLDS['steady(A)']!())).map(({ id }) => id)).not.toContain('preflight:edge');
  });

  it('stops a planned run with its blockers, and only warns on a way begun earlier', () => {
    const seen = world();
    seen.observations.preflight = { edge: [MISSING] };
    expect(compilePlan(seen).facts.blockers.map(({ code }) => code)).toEqual(['recordMissing']);
    const later = world({}, 'promoted(B)');
    later.observations.preflight = { edge: [MISSING] };
    const { facts } = compilePlan(later);
    expect(facts.blockers.map(({ code }) => code)).not.toContain('recordMissing');
    expect(facts.warnings.map(({ code }) => code)).toContain('recordMissing');
  });

  it('is not asked, and says nothing, where no traffic moves', () => {
    const seen = world({ action: 'reprotect' }, 'unsettled(B)');
    seen.observations.preflight = { edge: [MISSING] };
    expect(steps(seen).map(({ id }) => id)).not.toContain('preflight:edge');
    expect(JSON.stringify(compilePlan(seen).facts)).not.toContain('recordMissing');
  });

  it('is not asked before a fence either, where an earlier run left its settings to be put back', () => {
    const seen = world({ action: 'refence', to: undefined } as never, 'unsettled(B)');
    const [a, b] = seen.observations.stores['orders-db']!;
    const journal = {
      ...{ runId: 'lost', epoch: 3, action: 'failover', openedAt: seen.now, touchedAt: seen.now },
      ...{ fencedAt: null, open: true, saved: { 'save:edge': { ttl: 60 } } },
    };
    seen.observations.stores['orders-db'] = [
      { ...a!, state: 'writable', timeline: 1 },
      { ...b!, journal: { ...journal, region: B } as never },
    ];
    const ids = steps(seen).map(({ id }) => id);
    expect(ids).toContain('settle:edge');
    expect(ids).not.toContain('preflight:edge');
  });

  it('does not stop the rescue of an unplanned run', () => {
    const step = steps(world({ mode: 'unplanned' }, 'sourceLost(A)')).find(({ id }) => id === 'preflight:edge');
    expect(step?.onFailure).toBe('continue');
  });
});

describe('a router that waits by design', () => {
  it('has the time for it', () => {
    const { capabilities } = world().components.edge!;
    const limits = Object.fromEntries(steps(world()).map(({ id, timeoutMs }) => [id, timeoutMs]));
    expect(limits['prepare:edge']).toBe(TIMEOUT_MS.prepareRouter + 360_000);
    expect(limits['weight:edge@10']).toBe(TIMEOUT_MS.setWeights + 60_000);
    expect(limits['prepare:writer']).toBe(TIMEOUT_MS.prepareRouter);
    expect(limitOf('restoreRouter', capabilities)).toBe(TIMEOUT_MS.restoreRouter + 60_000);
    expect(limitOf('restoreRouter', undefined)).toBe(TIMEOUT_MS.restoreRouter);
    for (const verb of ['scaleWorkload', 'quiesceWorkload', 'drainWorkload', 'restoreWorkload'] as const)
      expect(limitOf(verb, { role: 'workload', applyMs: 60_000 })).toBe(TIMEOUT_MS[verb] + 60_000);
  });

  it('is not waited for by an unplanned run', () => {
    const prepare = (of: CompileInput, id: string) => steps(of).find((step) => step.id === id);
    expect(prepare(world(), 'prepare:edge')?.input).toEqual({});
    const unplanned = world({ mode: 'unplanned' }, 'sourceLost(A)');
    expect(prepare(unplanned, 'prepare:edge')?.input).toEqual({ wait: false });
    expect(prepare(unplanned, 'prepare:writer')?.input).toEqual({});
  });
});

describe('a router that can fence a region', () => {
  const fences = (
    change: Partial<CompileInput['request']>,
    name: keyof typeof WORLDS,
    edit = (_of: CompileInput) => {},
  ) => {
    const seen = world(change, name);
    seen.components.edge!.capabilities.fences = true;
    edit(seen);
    return steps(seen).filter(({ verb }) => verb === 'fenceRouter');
  };

  it('cuts off the side that an unplanned run gave up, whose failure stops nothing', () => {
    expect(fences({ mode: 'unplanned' }, 'sourceLost(A)')).toMatchObject([
      { id: 'fence:edge@eu-west', region: 'eu-west', place: 'rampart', onFailure: 'continue' },
    ]);
  });

  it('cuts off nobody in a planned run, in a ramp, or where no data is left behind', () => {
    expect(fences({}, 'steady(A)')).toEqual([]);
    expect(fences({ action: 'trafficRamp', mode: 'unplanned' }, 'steady(A)')).toEqual([]);
    const stateless = (of: CompileInput) => {
      of.service.components = of.service.components.filter((name) => of.components[name]!.role !== 'store');
    };
    expect(fences({ mode: 'unplanned' }, 'sourceLost(A)', stateless)).toEqual([]);
  });
});
