/** A set of stores that is promoted in part, with several nodes on a side: one of them being down stops nobody. */
import { describe, expect, test } from 'vitest';
import type { NodeObservation } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { Request } from '../../plan/model.ts';
import { A, B, component, input, nodeSeen, replicaOf, WORLDS } from './world.ts';

const N1 = `db2-${B}`;
const N2 = `db2-${B}-2`;

/** `db1` is promoted in B, `db2` nowhere; its source in A is fenced. */
function planned(db2AtB: NodeObservation[], request: Partial<Request> = {}) {
  const base = input(WORLDS['promoted(B)']!(), { to: B, mode: 'unplanned', ...request });
  const { journal } = base.observations.stores['orders-db']![0]!;
  const stores = ['db1', 'db2'].map((name) => component(name, 'store', [A, B], { cutover: 'staged' }, 2));
  const { 'orders-db': _orders, ...others } = base.components;
  const source = (name: string) => [
    nodeSeen(`${name}-${A}`, A, 'fenced', { journal }),
    nodeSeen(`${name}-${A}-2`, A, 'replica'),
  ];
  const db1AtB = [
    nodeSeen(`db1-${B}`, B, 'writable', { timeline: 2 }),
    replicaOf(`db1-${B}-2`, B, `db1-${B}`, { timeline: 2 }),
  ];
  return compilePlan({
    ...base,
    service: { ...base.service, components: ['db1', 'db2', 'writer', 'edge', 'shop'] },
    components: { ...others, ...Object.fromEntries(stores.map((store) => [store.name, store])) },
    observations: {
      ...base.observations,
      stores: { db1: [...source('db1'), ...db1AtB], db2: [...source('db2'), ...db2AtB] },
    },
  });
}

const replica = (node: string) =>
  replicaOf(node, B, `db2-${A}`, { upstream: { address: 'x:1', node: `db2-${A}`, streaming: false } });

describe('the node that was to be promoted died', () => {
  const dead = [nodeSeen(N1, B, 'unreachable'), replica(N2)];

  test.each(['planned', 'unplanned'] as const)('the rest is promoted at its sibling, %s', (mode) => {
    const plan = planned(dead, { mode });
    expect(plan).toMatchObject({ from: A, fromSource: 'observed', to: B, resumeAt: 'promote' });
    expect(plan.facts).toMatchObject({ classified: { state: 'partlyPromoted', region: B }, blockers: [] });
    const promotions = plan.stages.flatMap(({ steps }) => steps).filter(({ verb }) => verb === 'promote');
    expect(promotions).toMatchObject([{ id: 'promote:db2', region: B, nodes: [N2] }]);
  });

  test('a person hears that it may have been promoted before it fell silent', () => {
    const { warnings, asks } = planned(dead).facts;
    const message = warnings.find(({ code }) => code === 'siblingSilent')?.message;
    expect(message).toContain(`${N1} in ${B} does not answer`);
    expect(asks).toContain(message);
    const both = planned([replica(N1), replica(N2)]).facts;
    expect(both.warnings.map(({ code }) => code)).not.toContain('siblingSilent');
  });
});

describe('no node of the rest is left at the target', () => {
  test('that is what is missing: nobody is sent away from what is promoted already', () => {
    const { classified, blockers } = planned([nodeSeen(N1, B, 'unreachable'), nodeSeen(N2, B, 'unreachable')]).facts;
    expect(classified.state).toBe('unknown');
    expect(classified.missing.join()).toContain(N1);
    expect(blockers.map(({ code }) => code)).toEqual(['unknownState']);
  });

  test('one that is only stopped is to be started', () => {
    const { blockers } = planned([nodeSeen(N1, B, 'stopped'), nodeSeen(N2, B, 'stopped')]).facts;
    expect(blockers.map(({ code }) => code)).toEqual(['notReplica']);
  });
});
