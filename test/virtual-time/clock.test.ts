import fc from 'fast-check';
import { expect, it } from 'vitest';
import { VirtualClock } from './clock.ts';

it('does things in the order of their time, then of their planning', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ ms: fc.nat(20), calledOff: fc.boolean() })), (plans) => {
      const clock = new VirtualClock(1_000);
      const done: Array<[at: number, index: number]> = [];
      const planned = plans.map(({ ms }, index) => clock.after(ms, () => done.push([clock.now, index])));
      for (const [index, { calledOff }] of plans.entries()) if (calledOff) clock.cancel(planned[index]);
      for (let next = clock.next; next !== undefined; next = clock.next) {
        clock.now = next;
        clock.fireDue();
      }
      const expected = plans
        .map(({ ms, calledOff }, index) => ({ at: 1_000 + ms, index, calledOff }))
        .filter(({ calledOff }) => !calledOff)
        .sort((a, b) => a.at - b.at || a.index - b.index)
        .map(({ at, index }): [number, number] => [at, index]);
      expect(done).toEqual(expected);
    }),
  );
});
