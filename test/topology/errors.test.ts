import { describe, expect, test } from 'vitest';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BAD, BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';

function say(text: string): string[] {
  const { problems } = parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });
  const lines = formatProblems(problems);
  return lines === '' ? [] : lines.split('\n');
}

test('the base of the table is valid and without warnings', () => {
  expect(say(BASE)).toEqual([]);
});

describe('each mistake is named at its place', () => {
  test.each(BAD)('$name', ({ change, text, problems }) => {
    const [find, replace] = change ?? ['', ''];
    expect(BASE).toContain(find);
    expect(say(text ?? BASE.replace(find, () => replace))).toEqual(problems.map((line) => `rampart.yaml:${line}`));
  });
});
