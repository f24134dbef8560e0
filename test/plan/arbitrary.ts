/** Random services in random states: several stores, routers, nodes and regions, for the property tests. */
import fc from 'fast-check';
import type { NodeObservation, NodeState, RouterObservation } from '../../drivers/ports.ts';
import { type CompileInput, type Observations, STAGES } from '../../plan/model.ts';
import type { Component, OwnStep, Service } from '../../topology/model.ts';
import { approvals, checkout, component, NOW, nodeSeen, position, samplesOf } from './world.ts';

const REGIONS = ['r1', 'r2', 'r3', 'r4'];
const STATES: NodeState[] = ['writable', 'replica', 'fenced', 'stopped', 'unreachable', 'unknown'];

/** A move that was cut short: the side it left does not accept writes any more, the store may be promoted already. */
interface Cut {
  to: string;
  left: NodeState;
  promoted: boolean;
}

/** Mostly a plausible world (one writable side, replicas that follow), with some nodes in any state at all. */
function nodeStates(store: Component, active: string | null, cut: Cut | null): fc.Arbitrary<NodeObservation[]> {
  const nodes = Object.values(store.sides).flatMap((side) => side.nodes.map((node) => ({ node, region: side.region })));
  const first = (wanted: string | null) => nodes.find(({ region }) => region === wanted)?.node.name ?? null;
  const primary = first(active);
  const writer = cut === null ? primary : cut.promoted ? first(cut.to) : null;
  return fc.tuple(
    ...nodes.map(({ node, region }) =>
      fc
        .record({
          odd: fc.option(fc.constantFrom(...STATES), { freq: 5 }),
          order: fc.integer({ min: 0, max: 5 }),
          timeline: fc.integer({ min: 1, max: 3 }),
          streaming: fc.boolean(),
          lag: fc.option(fc.integer({ min: 0, max: 200 })),
          age: fc.constantFrom(0, 500, 120_000),
          open: fc.boolean(),
        })
        .map(({ odd, order, timeline, streaming, lag, age, open }) => {
          const left = cut !== null && region === active ? cut.left : 'replica';
          const state = odd ?? (node.name === writer ? 'writable' : left);
          const dark = state === 'unreachable' || state === 'unknown';
          const plain = odd === null;
          return nodeSeen(node.name, region, state, {
            timeline: dark ? null : plain ? 1 : timeline,
            position: dark ? null : position(1000 + (plain ? 5 : order), plain ? 1 : timeline),
            observedAt: NOW - (plain ? 0 : age),
            upstream:
              state === 'replica'
                ? { address: 'x:1', node: primary, streaming: plain ? primary !== null : streaming }
                : null,
            lag:
              state !== 'replica'
                ? null
                : plain
                  ? { bytes: 0, seconds: 0, measuredAt: NOW, freshnessMs: 0, fresh: true }
                  : lag === null
                    ? null
                    : { bytes: lag * 1000, seconds: lag, measuredAt: NOW, freshnessMs: age, fresh: age < 60_000 },
            journal:
              open && !plain
                ? {
                    runId: 'r',
                    workflowId: 'failover/checkout',
                    epoch: 1,
                    service: 'checkout',
                    component: store.name,
                    saved: {},
                    fencedAt: null,
                    freezeBudgetMs: 1,
                    lastTouched: 0,
                    open: true,
                  }
                : null,
          });
        }),
    ),
  );
}

function weights(regions: readonly string[], active: string | null): fc.Arbitrary<RouterObservation> {
  const split = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: regions.length, maxLength: regions.length });
  return fc
    .record({
      split: fc.option(split, { freq: 1 }),
      reachable: fc.boolean(),
      applied: fc.boolean(),
      odd: fc.integer({ min: 0, max: 4 }),
    })
    .map(({ split, reachable, applied, odd }) => {
      const total = split?.reduce((a, b) => a + b, 0) ?? 0;
      let rest = 100;
      const shares = regions.map((region, i) => {
        if (split === null || total === 0) return [region, region === (active ?? regions[0]) ? 100 : 0] as const;
        const share = i === regions.length - 1 ? rest : Math.floor((split[i]! * 100) / total);
        rest -= share;
        return [region, share] as const;
      });
      const readable = odd > 0 || reachable;
      return {
        reachable: readable,
        weights: readable ? Object.fromEntries(shares) : null,
        applied: odd > 0 || applied,
        observedAt: NOW,
        detail: '',
        claim: null,
      };
    });
}

const ownStep = (i: number): fc.Arbitrary<OwnStep> =>
  fc
    .record({
      stage: fc.constantFrom(...STAGES),
      kind: fc.constantFrom('command' as const, 'http' as const, 'activity' as const, 'workflow' as const),
      at: fc.constantFrom('from' as const, 'to' as const, 'run' as const),
      effect: fc.constantFrom('none' as const, 'reversible' as const, 'irreversible' as const),
      undo: fc.boolean(),
    })
    .map(({ undo, kind, ...rest }) => ({
      name: `own-${i}`,
      summary: `Own step ${i}`,
      kind,
      ...(kind === 'activity' || kind === 'workflow' ? { taskQueue: 'team' } : {}),
      config: {},
      ...(undo ? { undo: { kind: 'http' as const, config: {} } } : {}),
      ...rest,
      deadlineMs: 1_000,
      onFailure: 'rollback' as const,
      actions: [],
    }));

/** The declared part, with the region that the world is built around. */
const topology = fc
  .record({
    regions: fc.integer({ min: 2, max: 4 }).map((n) => REGIONS.slice(0, n)),
    stores: fc.array(fc.record({ nodes: fc.integer({ min: 1, max: 3 }), atomic: fc.integer({ min: 0, max: 3 }) }), {
      maxLength: 3,
    }),
    endpoints: fc.integer({ min: 0, max: 2 }),
    edges: fc.array(fc.constantFrom('weighted' as const, 'weighted' as const, 'onOff' as const), { maxLength: 2 }),
    workloads: fc.integer({ min: 0, max: 2 }),
    writes: fc.constantFrom('global' as const, 'local' as const),
    ramp: fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 4 }),
    unplanned: fc.constantFrom('ramp' as const, 'jump' as const),
    required: fc.integer({ min: 0, max: 2 }),
    own: fc.integer({ min: 0, max: 3 }),
    cut: fc.option(
      fc.record({
        to: fc.nat({ max: 3 }),
        left: fc.constantFrom<NodeState>('fenced', 'unreachable', 'stopped'),
        promoted: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      }),
      { freq: 1 },
    ),
    active: fc.option(fc.nat({ max: 3 }), { freq: 6 }),
  })
  .chain((shape) =>
    fc.tuple(...Array.from({ length: shape.own }, (_, i) => ownStep(i))).map((steps) => ({ ...shape, steps })),
  );

export const inputs: fc.Arbitrary<CompileInput> = topology.chain((shape) => {
  const { regions } = shape;
  const active = shape.active === null ? null : regions[shape.active % regions.length]!;
  const cutOf = (i: number): Cut | null => {
    const { cut } = shape;
    const to = regions[(cut?.to ?? 0) % regions.length]!;
    return cut === null || active === null || to === active ? null : { ...cut, to, promoted: cut.promoted[i]! };
  };
  // Whoever sends the same request again wants to go where the first one went.
  const begun = cutOf(0)?.to;
  const stores = shape.stores.map(({ nodes, atomic }, i) =>
    component(`store-${i}`, 'store', regions, { cutover: atomic === 0 ? 'atomic' : 'staged' }, nodes),
  );
  const endpoints = Array.from({ length: shape.endpoints }, (_, i) =>
    component(`endpoint-${i}`, 'router', regions, { kind: 'endpoint' }),
  );
  const edges = shape.edges.map((kind, i) => component(`edge-${i}`, 'router', regions, { kind }));
  const workloads = Array.from({ length: shape.workloads }, (_, i) => component(`app-${i}`, 'workload', regions));
  const check = component('ready', 'check', regions);
  const all = [...stores, ...endpoints, ...edges, ...workloads, check];
  const routers = [...endpoints, ...edges];
  const service: Service = {
    ...checkout,
    home: regions[0]!,
    standby: regions.slice(1),
    components: all.filter((one) => one !== check).map((one) => one.name),
    checks: ['ready'],
    ramp: { ...checkout.ramp, steps: [...shape.ramp.sort((a, b) => a - b), 100], unplanned: shape.unplanned },
    approvals: approvals(shape.required),
    writes: shape.writes,
    steps: shape.steps,
  };
  return fc
    .record({
      stores: fc.tuple(...stores.map((store, i) => nodeStates(store, active, cutOf(i)))),
      routers: fc.tuple(...routers.map(() => weights(regions, active))),
      well: fc.integer({ min: 0, max: 5 }),
      samples: fc.boolean(),
      absent: fc.integer({ min: 0, max: 5 }),
      action: fc.constantFrom(
        'failover' as const,
        'failover' as const,
        'failback' as const,
        'trafficRamp' as const,
        'reprotect' as const,
      ),
      mode: fc.constantFrom('planned' as const, 'unplanned' as const, undefined),
      from: fc.option(fc.constantFrom(...regions), { nil: undefined, freq: 4 }),
      to: begun ? fc.constant(begun) : fc.option(fc.constantFrom(...regions, 'nowhere'), { nil: undefined, freq: 1 }),
      percent: fc.option(fc.integer({ min: 0, max: 101 }), { nil: undefined, freq: 4 }),
      override: fc.subarray(['healthySource', 'lagAboveObjective', 'sourceUnclear', 'lowerTimeline', 'targetCheck']),
    })
    .map((drawn): CompileInput => {
      const observations: Observations = {
        stores: Object.fromEntries(stores.map((store, i) => [store.name, drawn.stores[i]!])),
        routers: Object.fromEntries(routers.map((router, i) => [router.name, drawn.routers[i]!])),
        workloads: Object.fromEntries(
          workloads.map((workload) => [
            workload.name,
            regions.map((region) => ({
              region,
              reachable: drawn.well !== 0,
              state: 'active' as const,
              ready: drawn.well !== 1,
              inflight: null,
              capacity: null,
              observedAt: NOW,
              detail: '',
            })),
          ]),
        ),
        checks: {
          ready: Object.fromEntries(
            regions.map((region) => [
              region,
              {
                outcome: (['fail', 'unknown', 'pass', 'pass', 'pass', 'pass'] as const)[drawn.well]!,
                observed: '200',
                threshold: '200',
                at: NOW,
                detail: '',
              },
            ]),
          ),
        },
        places: { rampart: { build: drawn.absent === 0 ? null : 'b1', at: NOW } },
        preflight: {},
        samples: Object.fromEntries(
          stores.map((store) => [
            store.name,
            drawn.samples ? samplesOf(`${store.name}-${active ?? 'r1'}`, active ?? 'r1', NOW, 3, 1005) : [],
          ]),
        ),
      };
      return {
        request: {
          action: drawn.action,
          service: 'checkout',
          mode: drawn.mode,
          from: drawn.from,
          to: drawn.to,
          percent: drawn.percent,
          override: drawn.override,
        },
        topologyDigest: 'a'.repeat(64),
        service,
        components: Object.fromEntries(all.map((one) => [one.name, one])),
        observations,
        now: NOW,
      };
    });
});
