/** Whether a run has stopped writes, told from what it says of itself. */
import { describe, expect, it } from 'vitest';
import { isInsideCut } from '../../plan/inside-cut.ts';
import type { StageName } from '../../plan/model.ts';

const standing = (phase: string, states: Partial<Record<StageName, string>>) => ({
  phase,
  stages: Object.entries(states).map(([name, state]) => ({ name: name as StageName, state: state! })),
});

describe('inside the cut', () => {
  it.each([
    ['works at its fence', 'fence', { prepare: 'done', fence: 'running', promote: 'planned' }, true],
    ['holds with the fence done', 'holding', { fence: 'done', 'catch-up': 'failed', promote: 'planned' }, true],
    ['holds past its promotion', 'holding', { fence: 'done', promote: 'done', route: 'failed' }, true],
    ['waits at the gate of its promotion', 'gate', { fence: 'done', promote: 'running' }, true],
    ['holds, having let writes go on again', 'holding', { fence: 'planned', 'catch-up': 'failed' }, false],
    ['waits at its first gate', 'gate', { prepare: 'running', fence: 'planned' }, false],
    ['ramps', 'ramp', { fence: 'done', route: 'done', ramp: 'running' }, false],
  ] as const)('a run that %s', (_, phase, stages, inside) => {
    expect(isInsideCut(standing(phase, stages))).toBe(inside);
  });
});
