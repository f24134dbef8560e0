/** What the token of a step carries. */
import { expect, test } from 'vitest';
import { Tokens } from '../../workflows/run/tokens.ts';

test('a source on another timeline than the target is fenced on its own, everything else is as the plan expects', () => {
  const tokens = new Tokens('run-1');
  const source = { region: 'eu-central', timeline: 2 };
  const stores = { db: { systemId: '7', timeline: 1, source }, other: { systemId: '8', timeline: 3 } };
  const timeline = (component: string | null, region: string | null) =>
    tokens.next({ verb: 'fence', component, region, place: '' }, stores).expectedTimeline;
  expect(timeline('db', 'eu-central')).toBe(2);
  expect(timeline('db', 'eu-west')).toBe(1);
  expect(timeline('db', null)).toBe(1);
  expect(timeline('other', 'eu-central')).toBe(3);
  expect(timeline(null, null)).toBeNull();
});
