/** The guard's judgement: from looks to findings. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeObservation, NodeState } from '../../drivers/ports.ts';
import { changes, EMPTY_MEMORY, isHealthNews, judgeHealth } from '../../plan/health/judge.ts';
import type { Health, Look, Memory } from '../../plan/health/model.ts';
import { A, B, checkout, components, NOW, nodeSeen, observations, replicaOf } from './world.ts';

const DB_A = `orders-db-${A}`;
const DB_B = `orders-db-${B}`;
const DAY = 86_400_000;
const GUARDED = {
  ...checkout,
  returningPrimary: 'fence' as const,
  guard: { enabled: true, intervalMs: 2_000, proofAgeMs: 90 * DAY },
};

function lookAt(
  orders: NodeObservation[],
  more: Partial<Look> & { writer?: string; edge?: Record<string, number> } = {},
): Look {
  const { writer = A, edge = { [writer]: 100 }, ...rest } = more;
  const seen = observations(orders, { writer, edge: { [A]: 0, [B]: 0, ...edge } });
  const lastProof = { runId: 'r', type: 'failover', at: NOW - DAY };
  return {
    service: GUARDED,
    components: components(),
    stores: seen.stores,
    routers: seen.routers,
    run: null,
    lastProof,
    topologyError: null,
    ...rest,
  };
}

const well = () => [nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A)];
const returned = () => [nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })];

/** Looks every two seconds for so long at a world that stays as it is; readings stay fresh. */
function watch(look: Look, forMs: number, memory: Memory = EMPTY_MEMORY): { health: Health; memory: Memory } {
  let judged = judgeHealth(look, memory, NOW);
  for (let at = NOW + 2_000; at <= NOW + forMs; at += 2_000) {
    const fresh = (nodes: NodeObservation[]) => nodes.map((node) => ({ ...node, observedAt: at - 100 }));
    const stores = Object.fromEntries(Object.entries(look.stores).map(([name, nodes]) => [name, fresh(nodes)]));
    const routers = Object.fromEntries(
      Object.entries(look.routers).map(([name, router]) => [name, { ...router, observedAt: at - 100 }]),
    );
    judged = judgeHealth({ ...look, stores, routers }, judged.memory, at);
  }
  return judged;
}
const codes = (look: Look, forMs = 0) =>
  watch(look, forMs).health.findings.map(({ code, severity }) => `${severity} ${code}`);
const MINUTES = 600_000;

describe('a look at a service', () => {
  it('finds nothing where all is well', () => {
    const { health } = watch(lookAt(well()), MINUTES);
    expect(health).toMatchObject({ verdict: 'well', findings: [], returned: null });
    expect(health.active['orders-db']).toEqual({ region: A, node: DB_A, timeline: 1 });
    expect(health.lag['orders-db']![DB_B]).toMatchObject({ bytes: 0 });
  });

  const slot = { name: 'old', logical: false, active: false, holder: null, heldBytes: 4096, lost: false };
  const journal = {
    runId: 'run-1', workflowId: 'failover/checkout', epoch: 3, service: 'checkout', component: 'orders-db',
    saved: {}, fencedAt: null, freezeBudgetMs: 30_000, lastTouched: NOW - 60_000, open: true,
  }; // biome-ignore format: a record
  const lag = (seconds: number | null, fresh = true) => ({
    bytes: null,
    seconds,
    measuredAt: NOW,
    freshnessMs: 50,
    fresh,
  });
  const unfollowed = { upstream: { address: 'x:1', node: DB_A, streaming: false } };
  const cases: Array<[string, Look, number, string[]]> = [
    ['two writable sides, at once', lookAt(returned(), { writer: B }), 0, ['critical twoWritable']],
    ['no writable side, not before the freeze budget is over', lookAt([nodeSeen(DB_A, A, 'unreachable'), replicaOf(DB_B, B, DB_A)]), 28_000, []],
    ['no writable side past the freeze budget', lookAt([nodeSeen(DB_A, A, 'unreachable'), replicaOf(DB_B, B, DB_A)]), 30_000, ['critical noneWritable']],
    ['a store that is fenced without a run', lookAt([nodeSeen(DB_A, A, 'fenced'), replicaOf(DB_B, B, DB_A)]), 12_000, ['critical fenceForgotten']],
    ['a writer endpoint that points elsewhere', lookAt(well(), { writer: B, edge: { [A]: 100 } }), 12_000, ['critical writerAstray']],
    ['an edge that sends traffic nowhere', lookAt(well(), { edge: { [A]: 0 } }), 0, ['critical noWeights']],
    ['traffic elsewhere, where the app may write across', lookAt(well(), { edge: { [A]: 70, [B]: 30 } }), 12_000, ['info trafficElsewhere']],
    ['traffic elsewhere, where the app writes where it stands', lookAt(well(), { edge: { [A]: 70, [B]: 30 }, service: { ...GUARDED, writes: 'local' } }), 12_000, ['warning trafficElsewhere']],
    ['a replica that does not stream', lookAt([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A, unfollowed)]), 30_000, ['warning protectionDebt']],
    ['a side that is gone', lookAt([nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'unreachable')]), 30_000, ['warning protectionDebt']],
    ['a node that gives no clear answer', lookAt([nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'unknown', { detail: 'password' })]), 30_000, ['warning nodeUnreadable']],
    ['a replica far behind', lookAt([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A, { lag: lag(61) })]), 30_000, ['warning lagAboveObjective']],
    ['a replica just within its objective', lookAt([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A, { lag: lag(60) })]), MINUTES, []],
    ['a lag that is not known', lookAt([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A, { lag: lag(null, false) })]), 30_000, ['warning lagUnknown']],
    ['an open journal without a run', lookAt([nodeSeen(DB_A, A, 'writable', { journal }), replicaOf(DB_B, B, DB_A)]), 12_000, ['warning openJournal']],
    ['a slot that nobody uses', lookAt([nodeSeen(DB_A, A, 'writable', { slots: [slot] }), replicaOf(DB_B, B, DB_A)]), MINUTES, ['warning orphanSlot']],
    ['a slot that its replica uses', lookAt([nodeSeen(DB_A, A, 'writable', { slots: [{ ...slot, active: true, holder: DB_B }] }), replicaOf(DB_B, B, DB_A)]), MINUTES, []],
    ['a slot for a node that is away', lookAt([nodeSeen(DB_A, A, 'writable', { slots: [{ ...slot, holder: DB_B }] }), nodeSeen(DB_B, B, 'unreachable')]), MINUTES, ['warning protectionDebt']],
    ['a slot left on a replica by what is the primary now', lookAt([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A, { slots: [{ ...slot, holder: DB_A }] })]), MINUTES, ['warning orphanSlot']],
    ['an idle logical slot, not before an hour', lookAt([nodeSeen(DB_A, A, 'writable', { slots: [{ ...slot, logical: true }] }), replicaOf(DB_B, B, DB_A)]), MINUTES, []],
    ['synchronous replication set aside', lookAt([nodeSeen(DB_A, A, 'writable', { suspended: ['synchronous_standby_names'] }), replicaOf(DB_B, B, DB_A)]), 30_000, ['warning syncSuspended']],
    ['a slot whose log is gone', lookAt([nodeSeen(DB_A, A, 'writable', { slots: [{ ...slot, holder: DB_B, lost: true }] }), replicaOf(DB_B, B, DB_A)]), 30_000, ['warning slotLost']],
    ['a router that does not answer', lookAt(well(), { routers: {} }), 12_000, ['warning routerUnreadable', 'warning routerUnreadable']],
    ['a service that never moved', lookAt(well(), { lastProof: null }), 0, ['info neverProven']],
    ['a proof that is old', lookAt(well(), { lastProof: { runId: 'r', type: 'failover', at: NOW - 91 * DAY } }), 0, ['warning proofOld']],
    ['a topology that cannot be read anew', lookAt(well(), { topologyError: 'rampart.yaml:3:1' }), 0, ['warning topologyUnreadable']],
  ]; // biome-ignore format: one case a line
  it.each(cases)('finds %s', (_, look, forMs, wanted) => {
    expect(codes(look, forMs)).toEqual(wanted);
  });

  it('says of a store what the watchdog alarms: of no one region, so that a pager has both as one alert', () => {
    const split = watch(lookAt(returned()), 0).health.findings;
    const dark = watch(lookAt([nodeSeen(DB_A, A, 'fenced'), replicaOf(DB_B, B, DB_A)]), 40_000).health.findings;
    const store = [...split, ...dark].filter(
      ({ severity, component }) => severity === 'critical' && component === 'orders-db',
    );
    expect(store.map(({ code, region }) => [code, region])).toEqual([
      ['twoWritable', null],
      ['fenceForgotten', null],
      ['noneWritable', null],
    ]);
  });

  it('counts anew when something was gone in between', () => {
    const bad = lookAt([nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'unreachable')]);
    const half = watch(bad, 20_000);
    const good = judgeHealth(lookAt(well()), half.memory, NOW);
    expect(watch(bad, 20_000, good.memory).health.findings).toEqual([]);
  });

  it('does not blame a run for what it does on purpose, but says what no run may do', () => {
    const run = { workflowId: 'failover/checkout', runId: 'x', type: 'failover', startedAt: NOW };
    expect(codes(lookAt([nodeSeen(DB_A, A, 'fenced'), replicaOf(DB_B, B, DB_A)], { run }), 20_000)).toEqual([]);
    expect(codes(lookAt([nodeSeen(DB_A, A, 'fenced'), replicaOf(DB_B, B, DB_A)], { run }), 40_000)).toEqual([
      'critical noneWritable',
    ]);
    expect(codes(lookAt(returned(), { run, writer: B }))).toEqual(['critical twoWritable']);
  });

  it('knows which side is old, what speaks against fencing it, and what to do', () => {
    const sure = watch(lookAt(returned(), { writer: B }), 0).health;
    expect(sure.returned).toMatchObject({ from: A, to: B, doubts: [] });
    expect(sure.findings[0]?.remedy).toMatch(/refence fences eu-west; when it has, rampart reprotect checkout/);
    const told = watch(
      lookAt(returned(), { writer: B, service: { ...GUARDED, returningPrimary: 'notify' } }),
      0,
    ).health;
    expect(told.findings[0]?.remedy).toMatch(/^rampart refence checkout fences eu-west/);
    const astray = watch(lookAt(returned(), { writer: A }), 0).health;
    expect(astray.returned?.doubts).toEqual(['writer sends 100 % to eu-west']);
    expect(astray.findings[0]?.remedy).toMatch(/not certain which side is old/);
  });
});

describe('news', () => {
  const health = (look: Look, forMs = 0) => watch(look, forMs).health;
  it('is what people would act on, not a reading', () => {
    const before = health(lookAt(well()));
    expect(isHealthNews(null, before)).toBe(true);
    expect(isHealthNews(before, { ...before, at: NOW + 1, lag: {} })).toBe(false);
    expect(isHealthNews(before, health(lookAt(returned(), { writer: B })))).toBe(true);
    const run = { workflowId: 'w', runId: 'x', type: 'failover', startedAt: NOW };
    expect(isHealthNews(before, { ...before, run })).toBe(true);
    expect(isHealthNews({ ...before, run }, { ...before, run: { ...run } })).toBe(false);
  });

  it('opens and clears each finding once; remarks are not sent', () => {
    const quiet = health(lookAt(well(), { lastProof: null }));
    const bad = health(lookAt(returned(), { writer: B }));
    expect(changes(null, quiet)).toEqual({ opened: [], cleared: [] });
    expect(changes(quiet, bad).opened.map(({ code }) => code)).toEqual(['twoWritable']);
    expect(changes(bad, bad)).toEqual({ opened: [], cleared: [] });
    expect(changes(bad, quiet).cleared.map(({ code }) => code)).toEqual(['twoWritable']);
  });
});

describe('whatever is seen', () => {
  const state = fc.constantFrom<NodeState>(
    'writable',
    'writable',
    'replica',
    'fenced',
    'stopped',
    'unreachable',
    'unknown',
  );
  const timeline = fc.constantFrom(1, 2, 3, null);
  const world = fc.record({
    a: state,
    b: state,
    ta: timeline,
    tb: timeline,
    writer: fc.constantFrom(A, B),
    readable: fc.boolean(),
    fresh: fc.boolean(),
  });
  const lookOf = ({
    a,
    b,
    ta,
    tb,
    writer,
    readable,
    fresh,
  }: typeof world extends fc.Arbitrary<infer T> ? T : never) => {
    const age = fresh ? {} : { observedAt: NOW - 120_000 };
    const look = lookAt(
      [nodeSeen(DB_A, A, a, { timeline: ta, ...age }), nodeSeen(DB_B, B, b, { timeline: tb, ...age })],
      { writer },
    );
    if (!readable) look.routers.writer!.reachable = false;
    return look;
  };

  it('is judged, the same way each time, and never as well when it is not known to be', () => {
    fc.assert(
      fc.property(world, (seen) => {
        const look = lookOf(seen);
        const first = watch(look, 60_000);
        expect(watch(look, 60_000)).toEqual(first);
        const { health } = first;
        const writable = [seen.a, seen.b].filter((one) => one === 'writable').length;
        if (seen.fresh && health.verdict === 'well') expect([writable, seen.readable]).toEqual([1, true]);
        if (seen.fresh) expect(health.findings.some(({ code }) => code === 'twoWritable')).toBe(writable === 2);
        for (const one of health.findings)
          expect([one.message, one.remedy].every((text) => text.length > 10)).toBe(true);
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  it('only a side on a lower timeline, from which clients are sent away, is certain to be the old one', () => {
    let certain = 0;
    fc.assert(
      fc.property(world, (seen) => {
        const { returned: old } = watch(lookOf(seen), 0).health;
        if (old === null || old.doubts.length > 0) return;
        certain += 1;
        const lineOf = (region: string) => (region === A ? seen.ta : seen.tb)!;
        expect([seen.a, seen.b, seen.fresh, seen.readable]).toEqual(['writable', 'writable', true, true]);
        expect(lineOf(old.from)).toBeLessThan(lineOf(old.to));
        expect(seen.writer).toBe(old.to);
      }),
      { numRuns: 2_000, seed: 8 },
    );
    expect(certain).toBeGreaterThan(5);
  });
});
