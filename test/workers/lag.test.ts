import { expect, it } from 'vitest';
import type { NodeObservation, SampleReading } from '../../drivers/ports.ts';
import { lagOf } from '../../workers/lag.ts';

const NOW = 1_000_000;
const at = (order: number, timeline = 1) => ({ text: String(order), order: String(order), timeline });

function node(
  state: NodeObservation['state'],
  order: number | null,
  more: Partial<NodeObservation> = {},
): NodeObservation {
  return {
    node: state,
    region: state === 'writable' ? 'eu-west' : 'eu-central',
    state,
    via: 'network',
    observedAt: NOW,
    systemId: '7',
    timeline: 1,
    position: order === null ? null : at(order),
    received: null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: null,
    sync: null,
    claim: null,
    journal: null,
    detail: '',
    ...more,
  };
}
const reading = (order: number, ago: number): SampleReading => ({
  node: 'writable',
  region: 'eu-west',
  state: 'writable',
  position: at(order),
  at: NOW - ago,
});

it('is 0 on an idle, caught-up replica, however old the last change is', () => {
  const replica = node('replica', 100);
  expect(lagOf(replica, [node('writable', 100), replica], [reading(100, 600_000)], NOW)).toEqual({
    bytes: 0,
    seconds: 0,
  });
});

it('is the age of the newest reading that the replica has applied', () => {
  const replica = node('replica', 250);
  const readings = [reading(100, 3_000), reading(200, 2_000), reading(300, 1_000)];
  expect(lagOf(replica, [node('writable', 400), replica], readings, NOW)).toEqual({ bytes: 150, seconds: 2 });
  expect(lagOf(replica, [node('writable', 400), replica], [reading(300, 1_000)], NOW)).toEqual({
    bytes: 150,
    seconds: null,
  });
});

it('is nothing when it cannot be told', () => {
  const replica = node('replica', 100);
  const readings = [reading(50, 1_000)];
  const unknown = (nodes: NodeObservation[]) => expect(lagOf(replica, nodes, readings, NOW)).toBeNull();
  unknown([replica]);
  unknown([node('writable', 200), node('writable', 210), replica]);
  unknown([node('writable', null), replica]);
  unknown([node('writable', 200, { systemId: '8' }), replica]);
  unknown([node('writable', 200, { position: at(200, 2) }), replica]);
  unknown([node('writable', 200, { observedAt: NOW - 60_000 }), replica]);
  expect(lagOf(node('unreachable', null), [node('writable', 200)], readings, NOW)).toBeNull();
});
