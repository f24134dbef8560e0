/** Edges whose weights are not shares: switches that only know on and off, and dials. */
import { describe, expect, it } from 'vitest';
import type { Capabilities } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { CompileInput } from '../../plan/model.ts';
import { A, B, input, WORLDS } from './world.ts';

function world(edge: Partial<Capabilities>, change: Partial<CompileInput['request']> = {}): CompileInput {
  const base = input(WORLDS['steady(A)']!(), change);
  const component = base.components.edge!;
  component.capabilities = { ...component.capabilities, ...edge };
  return base;
}

const ramp = (of: CompileInput) =>
  compilePlan(of)
    .stages.flatMap((stage) => stage.steps)
    .filter(({ verb }) => verb === 'setWeights' || verb === 'verifyWeights')
    .filter(({ component }) => component === 'edge');

describe('an edge of switches', () => {
  const onOff: Partial<Capabilities> = { kind: 'onOff', resolutionPercent: 100, verify: 'readback' };

  it('moves in one step, and the plan says so', () => {
    expect(ramp(world(onOff)).map(({ input: { weights } }) => weights)).toEqual([
      { [A]: 0, [B]: 100 },
      { [A]: 0, [B]: 100 },
    ]);
    const { warnings } = compilePlan(world(onOff)).facts;
    expect(warnings.find(({ code }) => code === 'rampBecomesJump')?.message).toContain('cannot split traffic');
  });

  it('does not move a part of the traffic: neither none of it nor all of it is what was asked for', () => {
    const blockers = (percent: number) =>
      compilePlan(world(onOff, { action: 'trafficRamp', percent })).facts.blockers.map(({ message }) => message);
    expect(blockers(50)).toContain('edge sends all of its traffic to one region: it cannot move 50 % of it.');
    expect(blockers(100).join()).not.toContain('cannot move');
  });
});

it('a dial is not called a share, neither in the step nor in its undo', () => {
  const [first, seen] = ramp(world({ nominal: 'traffic dial', verify: 'readback' }));
  expect(first!.summary).toBe(`Turn the traffic dial of ${B} at edge to 10 %`);
  expect(first!.undo?.summary).toBe(`Turn the traffic dial of ${B} at edge to 0 % as before`);
  expect(seen!.summary).toBe('Read back the traffic dials of edge');
  expect(ramp(world({}))[0]!.summary).toBe(`Send 10 % of edge to ${B}`);
});
