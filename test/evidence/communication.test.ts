/** Who was told, and what was ticked, as reports say it. */
import { expect, test } from 'vitest';
import { renderHtml } from '../../evidence/html.ts';
import { renderMarkdown } from '../../evidence/markdown.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { plannedFailover } from './records.ts';

const record = (): RunRecord => {
  const run = plannedFailover();
  const at = run.startedAt;
  const told = (event: string, result: 'sent' | 'failed' = 'sent', text = '') => ({
    ...{ at, channel: result === 'sent' ? 'ops' : 'duty', event, result, text },
  });
  return {
    ...run,
    checklist: [
      { text: 'Tell support', done: { by: 'ana', at } },
      { text: 'Status <page>', done: null },
    ],
    notifications: [
      ...[told('run-started'), told('run-completed')],
      ...Array.from({ length: 7 }, (_, i) => told(`step-${i}`, 'failed', 'PagerDuty answers 502')),
    ],
  };
};

test('a report says what was said, what was not, and who was not told', () => {
  const text = renderMarkdown([record()]);
  expect(text).toContain('## Communication');
  expect(text).toMatch(/\| Tell support \| done, says ana, \d\d:\d\d:\d\d/);
  expect(text).toContain('| Status &lt;page&gt; | not ticked |');
  expect(text).toContain('| told on ops | 2 of 2 events |');
  expect(text).toMatch(/told on duty \| 0 of 7 events; not told: step-0 at .*PagerDuty answers 502.*; and 2 more/);
  expect(renderHtml([record()])).toContain('Status &lt;page&gt;');
});

test('a run that told nobody says nothing of it', () => {
  expect(renderMarkdown([plannedFailover()])).not.toContain('Communication');
});
