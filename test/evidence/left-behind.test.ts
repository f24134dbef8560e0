/** What did not arrive, in every format of the report. */
import { expect, it } from 'vitest';
import type { LeftBehind } from '../../drivers/ports.ts';
import { renderReport } from '../../evidence/render.ts';
import { buildReport } from '../../evidence/report.ts';
import { plannedFailover } from './records.ts';

const at = (text: string, order: string) => ({ text, order, timeline: 1 });
const listed: LeftBehind = {
  ...{ node: 'eu-west-1', region: 'eu-west', kind: 'listed', from: at('0/10', '16'), to: at('0/8010', '32784') },
  ...{ bytes: 32_768, transactions: 25, otherCommits: 1, complete: true, moreTables: 3 },
  ...{ firstCommit: '2026-11-21T03:12:01.000Z', lastCommit: '2026-11-21T03:12:04.500Z' },
  tables: [
    {
      ...{ database: 'app', table: 'public."or|ders"', inserted: 24, updated: 1, deleted: 0 },
      select: 'SELECT * FROM public."or|ders" WHERE xmin::text::bigint BETWEEN 758 AND 790',
    },
  ],
  note: 'The rows stay on eu-west-1.',
};

function recordWith(...found: LeftBehind[]) {
  const record = plannedFailover();
  const step = {
    ...record.steps[0]!,
    id: 'leftBehind:orders-db@eu-west',
    verb: 'leftBehind',
    stage: 'reprotect' as const,
  };
  const facts = { leftBehind: JSON.parse(JSON.stringify(found)) };
  return { ...record, steps: [...record.steps, { ...step, component: 'orders-db', region: 'eu-west', facts }] };
}

it('says how much, from when to when, by table, and how to read it', () => {
  const [part] = buildReport(recordWith(listed)).leftBehind;
  expect(part!.where).toBe('orders-db in eu-west (eu-west-1)');
  expect(part!.text).toMatch(
    /^25 transactions did not arrive, and 1 commit without rows of a table: committed .*03:12:01/,
  );
  expect(part!.text).toContain('0/10 to 0/8010 on timeline 1');
  expect(part!.text).toContain('3 tables more are not listed');
  for (const format of ['markdown', 'html'] as const) {
    const text = renderReport(recordWith(listed), format);
    expect(text).toContain('What did not arrive');
    expect(text).toContain('BETWEEN 758 AND 790');
  }
});

it('tells nothing lost from nothing known', () => {
  const none = { ...listed, kind: 'none' as const };
  const unreadable = { ...listed, kind: 'unreadable' as const, note: 'its data directory is not beside a worker' };
  const texts = buildReport(recordWith(none, unreadable)).leftBehind.map(({ text }) => text);
  expect(texts).toEqual([
    'Nothing was committed there that did not arrive.',
    'What it holds alone is not known: its data directory is not beside a worker',
  ]);
  expect(buildReport(plannedFailover()).leftBehind).toEqual([]);
});
