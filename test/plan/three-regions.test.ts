/** Which side a run leaves where more than one could be meant: three regions, several stores, the active one not home. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeObservation, NodeState } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { CompileInput, Request } from '../../plan/model.ts';
import { A, B, component, components, input, NOW, nodeSeen, observations, replicaOf, samplesOf } from './world.ts';

const C = 'eu-north';
const REGIONS = [A, B, C];

type Sides = Record<string, { state: NodeState } & Partial<NodeObservation>>;

const gone = { state: 'unreachable' as const };
const fenced = { state: 'fenced' as const };
const writable = { state: 'writable' as const };
const promoted = { state: 'writable' as const, timeline: 2 };

/** A replica that names the node of its store in that region as its upstream. */
const behind = (region: string, rest: Partial<NodeObservation> = {}) => ({
  state: 'replica' as const,
  upstream: { address: 'x:1', node: region, streaming: false },
  ...rest,
});
const lost = { state: 'replica' as const, upstream: null };

/** Home is A; the service is active in C, and its traffic is there. */
function world(stores: Record<string, Sides>, request: Partial<Request> = {}): CompileInput {
  const base = input(observations([]), { to: B, mode: 'unplanned', ...request }, { standby: [B, C] });
  const names = Object.keys(stores);
  const three = ['writer', 'edge', 'shop', 'ready'].map((name) => {
    const { role, capabilities } = components()[name]!;
    return component(name, role, REGIONS, capabilities);
  });
  const seen = Object.fromEntries(
    Object.entries(stores).map(([name, sides]) => [
      name,
      Object.entries(sides).map(([region, { state, upstream, ...rest }]) => {
        const named = upstream?.node === undefined ? upstream : { ...upstream!, node: `${name}-${upstream!.node}` };
        const make = state === 'replica' && named ? replicaOf(`${name}-${region}`, region, '') : undefined;
        return nodeSeen(`${name}-${region}`, region, state, { ...make, ...rest, upstream: named ?? null });
      }),
    ]),
  );
  const weights = { [A]: 0, [B]: 0, [C]: 100 };
  const router = { ...base.observations.routers.writer!, weights };
  const [shop] = base.observations.workloads.shop!;
  const pass = base.observations.checks.ready![A]!;
  return {
    ...base,
    service: { ...base.service, components: [...names, 'writer', 'edge', 'shop'] },
    components: Object.fromEntries(
      [...names.map((name) => component(name, 'store', REGIONS, { cutover: 'staged' })), ...three].map((one) => [
        one.name,
        one,
      ]),
    ),
    observations: {
      ...base.observations,
      stores: seen,
      routers: { writer: router, edge: router },
      workloads: { shop: REGIONS.map((region) => ({ ...shop!, region })) },
      checks: { ready: Object.fromEntries(REGIONS.map((region) => [region, pass])) },
      places: Object.fromEntries(
        ['rampart', ...REGIONS.map((region) => `rampart.${region}`)].map((queue) => [queue, { build: '1', at: NOW }]),
      ),
    },
  };
}

const plan = (stores: Record<string, Sides>, request: Partial<Request> = {}) => compilePlan(world(stores, request));
const stepsOf = (made: ReturnType<typeof plan>) => made.stages.flatMap((stage) => stage.steps);
const at = (made: ReturnType<typeof plan>, verb: string) =>
  stepsOf(made)
    .filter((step) => step.verb === verb)
    .map((step) => step.id);

describe('a set that is promoted in part: what the rest was fenced at is left, not the home', () => {
  const db1: Sides = { [A]: behind(C), [B]: promoted, [C]: gone };

  test('the side that is cut off, told by what the replica at the target follows', () => {
    const made = plan({ db1, db2: { [A]: behind(C), [B]: behind(C), [C]: gone } });
    expect(made).toMatchObject({ from: C, to: B, fromSource: 'primary_conninfo', pastPointOfNoReturn: true });
    expect(made.facts.classified).toMatchObject({ state: 'partlyPromoted', region: B });
    expect(at(made, 'fence')).toEqual([`fence:db1@${C}`, `fence:db2@${C}`]);
    expect(made.facts.fence.db2).toContain(`${C} does not answer`);
    expect(stepsOf(made).find((step) => step.id === 'weight:edge@100')?.input.weights).toEqual({
      [A]: 0,
      [B]: 100,
      [C]: 0,
    });
    expect(at(made, 'drainWorkload')).toEqual([`drain:shop@${C}`]);
  });

  test('the side that is fenced already', () => {
    const cut = { db1: { ...db1, [C]: fenced }, db2: { [A]: behind(C), [B]: behind(C), [C]: fenced } };
    for (const mode of ['planned', 'unplanned'] as const) {
      const made = plan(cut, { mode });
      expect(made).toMatchObject({ from: C, fromSource: 'observed', facts: { blockers: [] } });
      expect(at(made, 'fence')).toEqual([`fence:db2@${C}`]);
    }
  });

  test('the only side that is not in recovery', () => {
    const made = plan({ db1, db2: { [A]: lost, [B]: lost, [C]: gone } });
    expect(made).toMatchObject({ from: C, fromSource: 'observed' });
  });

  test('one that the request names wrongly is not taken', () => {
    const made = plan({ db1, db2: { [A]: behind(C), [B]: behind(C), [C]: gone } }, { from: A });
    expect(made.from).toBe(C);
    expect(made.facts.blockers.map((one) => one.code)).toContain('fromDiffers');
  });

  test('nothing is guessed where nothing tells it', () => {
    const made = plan({ db1: { ...db1, [A]: gone }, db2: { [A]: gone, [B]: lost, [C]: gone } });
    expect(made.from).toBeNull();
    expect(made.facts.blockers.map((one) => one.code)).toContain('sourceNotKnown');
    expect(made.stages).toEqual([]);
  });
});

test('whatever was active and wherever it was to go: who finishes the move leaves the side that the first run left', () => {
  const cut = fc
    .record({
      ways: fc.shuffledSubarray(REGIONS, { minLength: 3 }),
      source: fc.constantFrom(fenced, gone, { state: 'stopped' as const }, { state: 'unknown' as const }),
      done: fc.array(fc.boolean(), { minLength: 1, maxLength: 3 }),
      mode: fc.constantFrom('planned' as const, 'unplanned' as const),
    })
    .map(({ ways: [from, to, other], source, done, mode }) => ({
      from: from!,
      to: to!,
      other: other!,
      source,
      done,
      mode,
    }));
  fc.assert(
    fc.property(cut, ({ from, to, other, source, done, mode }) => {
      const sides = (moved: boolean): Sides => ({
        [from]: source,
        [to]: moved ? promoted : behind(from),
        [other]: behind(from),
      });
      const made = plan(Object.fromEntries(done.map((moved, i) => [`db${i}`, sides(moved)])), { to, mode });
      if (done.every(Boolean)) return;
      expect(made.from).toBe(from);
      const rest = done.flatMap((moved, i) => (moved ? [] : [`fence:db${i}@${from}`]));
      expect(at(made, 'fence')).toEqual(expect.arrayContaining(rest));
      const touched = stepsOf(made).filter((step) =>
        ['fence', 'prove', 'quiesceWorkload', 'drainWorkload'].includes(step.verb),
      );
      expect(touched.filter((step) => step.region !== from)).toEqual([]);
    }),
  );
});

describe('everything is promoted and the rest of the way is left', () => {
  const db1 = { [A]: behind(C), [B]: promoted, [C]: fenced };
  const routed = (writer: object, edge: object) => {
    const base = world({ db1 });
    const { writer: seen } = base.observations.routers;
    const routers = { writer: { ...seen!, weights: { ...writer } }, edge: { ...seen!, weights: { ...edge } } };
    return compilePlan({ ...base, observations: { ...base.observations, routers } });
  };

  test('what was fenced is left, not a replica that lost its primary', () => {
    const made = routed({ [A]: 0, [B]: 0, [C]: 100 }, { [A]: 0, [B]: 100, [C]: 0 });
    expect(made).toMatchObject({ from: C, to: B, resumeAt: 'verify' });
    expect(at(made, 'drainWorkload')).toEqual([`drain:shop@${C}`]);
    expect(routed({ [A]: 0, [B]: 100, [C]: 0 }, { [A]: 0, [B]: 100, [C]: 0 })).toMatchObject({ from: C });
  });

  test('a region that always had a share of the traffic keeps it', () => {
    const made = routed({ [A]: 0, [B]: 100, [C]: 0 }, { [A]: 10, [B]: 0, [C]: 90 });
    expect(made).toMatchObject({ from: C, facts: { classified: { state: 'midRamp' } } });
    const weights = stepsOf(made).findLast((step) => step.id.startsWith('weight:edge'))?.input.weights;
    expect(weights).toEqual({ [A]: 10, [B]: 90, [C]: 0 });
  });
});

describe('nothing accepts writes any more', () => {
  test('a replica between the target and the source is not the source', () => {
    const made = plan({ db1: { [A]: behind(C), [B]: behind(A), [C]: gone } });
    expect(made).toMatchObject({ from: C, fromSource: 'primary_conninfo' });
  });

  test('a side that was fenced for a move before the last promotion is not what is left now', () => {
    const made = plan({ db1: { [A]: fenced, [B]: behind(C, { timeline: 2 }), [C]: gone } });
    expect(made).toMatchObject({ from: C, facts: { classified: { state: 'sourceLost' } } });
    expect(at(made, 'fence')).toEqual([`fence:db1@${C}`]);
  });

  test('nor where the target never followed the last active side, and only a sample knows of it', () => {
    const base = world({ db1: { [A]: fenced, [B]: behind(A), [C]: gone } });
    const samples = { db1: samplesOf(`db1-${C}`, C, NOW - 2_000, 3, 0x3054458) };
    const made = compilePlan({ ...base, observations: { ...base.observations, samples } });
    expect(made).toMatchObject({ from: C, fromSource: 'sample' });
    expect(made.facts.asks?.some((text) => text.includes(`That ${C} was the source`))).toBe(true);
  });

  test('back to the fenced old source: the dead target is the side to fence', () => {
    const made = plan({ db1: { [A]: behind(C), [B]: gone, [C]: fenced } }, { to: C });
    expect(made).toMatchObject({ from: B, to: C, facts: { classified: { state: 'sourceLost' }, blockers: [] } });
  });
});

describe('one plan leaves one side: a store that may be written elsewhere stops it', () => {
  const codes = (stores: Record<string, Sides>, request: Partial<Request> = {}) =>
    plan(stores, request).facts.blockers.map((one) => [one.code, one.override]);

  test('promoted in part, and asked to go on to a third region', () => {
    const stores = {
      db1: { [A]: behind(C), [B]: promoted, [C]: gone },
      db2: { [A]: behind(C), [B]: behind(C), [C]: gone },
    };
    expect(codes(stores, { to: A })).toContainEqual(['otherSource', 'sourceUnclear']);
    expect(codes(stores, { to: A, mode: 'planned' })).toContainEqual(['otherSource', undefined]);
  });

  test('active in three regions', () => {
    const stores = {
      db1: { [A]: writable, [B]: behind(A), [C]: behind(A) },
      db2: { [A]: behind(B), [B]: writable, [C]: behind(B) },
      db3: { [A]: behind(C), [B]: behind(C), [C]: writable },
    };
    expect(codes(stores)).toContainEqual(['otherSource', undefined]);
  });

  test('active in two, and asked to leave one that has nothing', () => {
    const stores = {
      db1: { [A]: behind(B), [B]: writable, [C]: behind(B) },
      db2: { [A]: behind(C), [B]: behind(C), [C]: writable },
    };
    const made = plan(stores, { from: A });
    expect(made.from).toBe(C);
    expect(made.facts.blockers.map((one) => one.code)).toContain('fromDiffers');
  });

  test('one store is writable at two places, and neither is where it is to go', () => {
    const accepted = { override: ['lowerTimeline'] };
    expect(codes({ db1: { [A]: writable, [B]: behind(C), [C]: promoted } }, accepted)).toContainEqual([
      'otherSource',
      undefined,
    ]);
    expect(codes({ db1: { [A]: writable, [B]: writable, [C]: promoted } }, accepted)).toContainEqual([
      'otherSource',
      undefined,
    ]);
  });
});
