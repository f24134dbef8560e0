import { describe, expect, it } from 'vitest';
import { compileExpression, mappingProblem } from '../../topology/mapping.ts';

const scope = { body: { s: 'DOWN', n: 3, l: [{ a: 1 }] }, headers: { 'x-id': '7' } };

describe('expressions of a mapping', () => {
  it.each([
    ['body.s == "DOWN" ? "firing" : "resolved"', 'firing'],
    ['headers["x-id"]', '7'],
    ['body.?missing.?deep.orValue("none")', 'none'],
    ['has(body.missing) ? "yes" : "no"', 'no'],
    ['string(body.n)', '3'],
    ['body.n == 3', true],
  ])('%s', (expression, value) => {
    expect(mappingProblem(expression)).toBeNull();
    expect(compileExpression(expression)(scope)).toBe(value);
  });

  it.each([
    ['', 'Unexpected token'],
    ['body.s +', 'Unexpected token: EOF'],
    ['bdy.s', 'Unknown variable: bdy (at character 1)'],
    ['item.a', 'Unknown variable: item'],
    ['body.s == 1 ? {"a": 1} : {"a": 2}', 'gives map<string, int>, and one text or number is needed'],
    ['[1, 2]', 'and one text or number is needed'],
    ['noSuch(body)', "found no matching overload for 'noSuch"],
    [`${'('.repeat(100)}1${')'.repeat(100)}`, 'maxDepth'],
  ])('refuses %s', (expression, reason) => {
    expect(mappingProblem(expression)).toContain(reason);
    expect(() => compileExpression(expression)).toThrow(reason);
  });

  it('knows a list from a value, and where item exists', () => {
    expect(mappingProblem('body.l', { gives: 'list' })).toBeNull();
    expect(mappingProblem('"text"', { gives: 'list' })).toBe('gives string, and a list of alerts is needed');
    expect(mappingProblem('item.a', { item: true })).toBeNull();
    expect(compileExpression('item.a', { item: true })({ ...scope, item: { a: 5 } })).toBe(5);
  });

  it('sees nothing of JavaScript behind a message', () => {
    for (const name of ['constructor', 'toString', 'hasOwnProperty', '__proto__']) {
      expect(() => compileExpression(`body.${name}`)(scope), name).toThrow('No such key');
    }
  });
});
