/** Which side a refence fences, and everything that keeps it from fencing the wrong one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeState } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { Observations, Plan } from '../../plan/model.ts';
import { A, B, input, nodeSeen, observations, replicaOf, WORLDS, withSessions } from './world.ts';

const DB_A = `orders-db-${A}`;
const DB_B = `orders-db-${B}`;
/** The old primary is back on its old timeline; clients are sent to B. */
const returned = (a: Parameters<typeof nodeSeen>[3] = {}, b: Parameters<typeof nodeSeen>[3] = {}): Observations =>
  observations([nodeSeen(DB_A, A, 'writable', a), nodeSeen(DB_B, B, 'writable', { timeline: 2, ...b })], {
    writer: B,
    edge: { [A]: 0, [B]: 100 },
  });
const compile = (seen: Observations, request = {}, service = {}): Plan =>
  compilePlan(input(seen, { action: 'refence', to: undefined, ...request } as never, service));
const codes = (plan: Plan) => plan.facts.blockers.map((one) => one.code);
const verbs = (plan: Plan) => plan.stages.map((stage) => [stage.name, stage.steps.map((step) => step.id)]);

describe('a returned old primary', () => {
  it('is claimed, fenced and looked at; nothing else is done, and nothing is undone', () => {
    const plan = compile(returned());
    expect(codes(plan)).toEqual([]);
    expect([plan.from, plan.to, plan.pointOfNoReturn, plan.resumeAt]).toEqual([A, B, null, null]);
    expect(verbs(plan)).toEqual([
      ['preflight', [`ping:rampart.${A}`, `ping:rampart.${B}`, 'ping:rampart']],
      [
        'prepare',
        [A, B].map((region) => `readClaim:orders-db@${region}`).concat([A, B].map((r) => `claim:orders-db@${r}`)),
      ],
      ['fence', [`fence:orders-db@${A}`]],
      ['verify', ['observe:orders-db', `leftBehind:orders-db@${A}`]],
      ['settle', [A, B].map((region) => `close:orders-db@${region}`)],
    ]);
    expect(plan.stages.flatMap((s) => s.steps).find((s) => s.verb === 'fence')?.undo).toBeUndefined();
    // The token names the timeline of the side that is fenced: the driver refuses any other.
    expect(plan.facts.stores['orders-db']).toEqual({ systemId: '7571', timeline: 1 });
    expect(plan.policy.onFailure).toBe('rollback');
    expect(plan.stages.find((s) => s.gate)?.gate).toMatchObject({ policy: { required: 0 } });
    expect(plan.facts.asks).toEqual([]);
    expect(plan.facts.loss.kind).toBe('none');
    expect(plan.facts.warnings.map((w) => w.code)).toContain('strayWrites');
  });

  it('is fenced also where it is stopped and would start writable', () => {
    const seen = observations([nodeSeen(DB_A, A, 'stopped'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })], {
      writer: B,
    });
    const plan = compile(seen);
    expect(codes(plan)).toEqual([]);
    expect(plan.from).toBe(A);
    expect(plan.facts.stores['orders-db']?.timeline).toBe(1);
    expect(plan.stages.flatMap((s) => s.steps.map((x) => x.id))).toContain(`fence:orders-db@${A}`);
  });

  it('fences only the stores that came back', () => {
    const base = withSessions(input(returned(), { action: 'refence', to: undefined } as never), [
      nodeSeen(`sessions-db-${A}`, A, 'fenced'),
      nodeSeen(`sessions-db-${B}`, B, 'writable', { timeline: 2 }),
    ]);
    const plan = compilePlan(base);
    expect(codes(plan)).toEqual([]);
    const fences = plan.stages.flatMap((s) => s.steps).filter((s) => s.verb === 'fence');
    expect(fences.map((s) => s.id)).toEqual([`fence:orders-db@${A}`]);
  });

  it.each([
    ['fenced', nodeSeen(DB_A, A, 'fenced')],
    ['replica', replicaOf(DB_A, A, DB_B)],
  ])('leaves nothing to do when it is %s', (_, node) => {
    const plan = compile(observations([node, nodeSeen(DB_B, B, 'writable', { timeline: 2 })], { writer: B }));
    expect(plan.nothingToDo).toMatch(/nothing in eu-west accepts writes/);
    expect(plan.stages).toEqual([]);
  });
});

describe('a refence is refused, and nobody can override it,', () => {
  const cases: Array<[string, Observations, object, string, RegExp]> = [
    ['when asked to fence the higher timeline', returned(), { from: B }, 'fromDiffers', /leaves eu-central/],
    ['when both are on one timeline', returned({}, { timeline: 1 }), {}, 'notCertain', /not certain which side/],
    ['when a timeline is not known', returned({ timeline: null }), {}, 'notCertain', /timeline of .* is not known/],
    ['when they are not one database', returned({ systemId: '1' }), {}, 'notCertain', /same database/],
    [
      'when the writer endpoint still points there',
      { ...returned(), routers: WORLDS['steady(A)']!().routers },
      {},
      'notCertain',
      /sends 100 % to eu-west/,
    ],
    ['when the writer endpoint cannot be read', { ...returned(), routers: {} }, {}, 'notCertain', /cannot be read/],
    [
      'when the only writable side is meant',
      WORLDS['steady(A)']!(),
      { from: A, to: B },
      'notCertain',
      /0 writable nodes in eu-central/,
    ],
    [
      'when the side does not answer',
      observations([nodeSeen(DB_A, A, 'unreachable'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })], { writer: B }),
      {},
      'sideUnreachable',
      /cannot be reached/,
    ],
    [
      'when a node gives no clear answer',
      observations([nodeSeen(DB_A, A, 'unknown'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })], { writer: B }),
      {},
      'notCertain|nothing',
      /state of .* is not known/,
    ],
  ];
  it.each(cases)('%s', (_, seen, request, code, text) => {
    const plan = compile(seen, {
      ...request,
      override: ['healthySource', 'lowerTimeline', 'weakFence', 'sourceUnclear'],
    });
    expect(plan.nothingToDo).toBeNull();
    const found = plan.facts.blockers.find((one) => new RegExp(code).test(one.code));
    expect(found?.message ?? plan.facts.blockers.map((b) => b.message).join()).toMatch(text);
    expect(found?.override).toBeUndefined();
  });

  it('when one of the stores can only be switched by its provider', () => {
    const base = withSessions(
      input(returned(), { action: 'refence', to: undefined } as never),
      [nodeSeen(`sessions-db-${A}`, A, 'writable'), nodeSeen(`sessions-db-${B}`, B, 'writable', { timeline: 2 })],
      'atomic',
    );
    const plan = compilePlan(base);
    expect(plan.facts.blockers.map((one) => one.message).join()).toMatch(/sessions-db is switched by its provider/);
  });

  it('whatever is seen: the side that is fenced is never the one with the highest timeline, nor the one clients write to', () => {
    const state = fc.oneof(
      { weight: 4, arbitrary: fc.constant('writable' as NodeState) },
      { weight: 1, arbitrary: fc.constantFrom<NodeState>('replica', 'fenced', 'stopped', 'unreachable', 'unknown') },
    );
    const timeline = fc.constantFrom(1, 2, 3, null);
    const world = fc.record({
      a: state,
      b: state,
      ta: timeline,
      tb: timeline,
      writer: fc.constantFrom(A, B),
      from: fc.constantFrom(A, B, undefined),
      readable: fc.boolean(),
    });
    let fenced = 0;
    fc.assert(
      fc.property(world, ({ a, b, ta, tb, writer, from, readable }) => {
        const seen = observations([nodeSeen(DB_A, A, a, { timeline: ta }), nodeSeen(DB_B, B, b, { timeline: tb })], {
          writer,
        });
        if (!readable) seen.routers.writer!.reachable = false;
        const plan = compile(seen, from === undefined ? {} : { from });
        const fences = plan.stages.flatMap((s) => s.steps).filter((s) => s.verb === 'fence');
        if (plan.facts.blockers.length > 0 || fences.length === 0) return;
        fenced += 1;
        const of = (region: string | null) => (region === A ? { state: a, timeline: ta } : { state: b, timeline: tb });
        expect(fences.every((s) => s.region === plan.from)).toBe(true);
        expect(of(plan.to).state).toBe('writable');
        expect(of(plan.from).timeline!).toBeLessThan(of(plan.to).timeline!);
        expect([readable, writer]).toEqual([true, plan.to]);
      }),
      { numRuns: 3_000, seed: 4 },
    );
    expect(fenced).toBeGreaterThan(100);
  });
});
