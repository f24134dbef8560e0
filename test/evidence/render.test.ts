import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../evidence/record.ts';
import { FORMATS, renderReport, renderReports } from '../../evidence/render.ts';
import { buildReport } from '../../evidence/report.ts';
import { canonicalJson } from '../../topology/canonical.ts';
import {
  plannedFailover,
  plannedLoad,
  rolledBack,
  told,
  unplannedFailover,
  unplannedLoad,
  waiting,
} from './records.ts';
import { find, parsePage, parseXml } from './xml.ts';

const demo = () => [
  { record: plannedFailover(), load: plannedLoad },
  { record: rolledBack() },
  { record: unplannedFailover(), load: unplannedLoad },
  { record: waiting() },
];

describe('verdict', () => {
  it.each([
    ['passed with findings', { record: plannedFailover(), load: plannedLoad }],
    ['failed', { record: rolledBack() }],
    ['passed with findings', { record: unplannedFailover(), load: unplannedLoad }],
    ['failed', { record: unplannedFailover(), load: { ...unplannedLoad, lostInsideStatement: false } }],
    ['running', { record: waiting() }],
    ['not judged', { record: { ...waiting(), outcome: 'withdrawn' as const } }],
    ['failed', { record: { ...plannedFailover(), outcome: 'needsHuman' as const } }],
  ])('is %s', (verdict, run) => {
    // A refused decision is no deviation; a clean run passes without a word.
    expect(buildReport(run).verdict).toBe(
      verdict === 'passed with findings' && run.record.mode === 'planned' ? 'passed' : verdict,
    );
  });

  it('knows four eyes', () => {
    const eyes = (by: string | undefined, approver: string) => {
      const record = plannedFailover();
      record.request = { ...record.request, by };
      record.decisions = [{ ...record.decisions[0]!, by: approver }];
      return buildReport(record).people.fourEyes;
    };
    expect(eyes('ann', 'bob')).toBe('yes');
    expect(eyes('ann', 'ann')).toBe('no: the requester approved');
    expect(eyes(undefined, 'ann')).toBe('unknown: the requester gave no name');
  });
});

describe('Markdown', () => {
  it('is as it was', async () => {
    await expect(renderReport(demo()[0]!, 'markdown')).toMatchFileSnapshot('golden/planned.md.golden');
    await expect(renderReports(demo(), 'markdown', { title: 'Four runs' })).toMatchFileSnapshot(
      'golden/four-runs.md.golden',
    );
  });

  it('lets no value be markup', () => {
    const record = plannedFailover();
    record.text = '<img src=x> **bold** [a](javascript:b) `c` | d\n# e';
    const text = renderReport(record, 'markdown');
    expect(text).toContain('&lt;img src=x&gt; \\*\\*bold\\*\\* \\[a\\](javascript:b) \\`c\\` \\| d \\# e');
    expect(text).not.toContain('<img');
  });

  it('keeps hostile names from breaking the chart', () => {
    const record = plannedFailover();
    record.steps[0]!.summary = 'x :crit, 0, 1\n```\n<script>;%% y';
    const chart = /```mermaid\n(.*?)```/s.exec(renderReport(record, 'markdown'))![1]!;
    expect(chart).toContain('  x crit, 0, 1 script y :done, ');
  });
});

describe('HTML', () => {
  it('is well-formed, fetches nothing and runs nothing', () => {
    const html = renderReports(demo(), 'html', { title: 'Demo', generatedAt: 0 });
    const page = parsePage(html);
    expect(find(page, 'script')).toEqual([]);
    expect(find(page, 'link')).toEqual([]);
    expect(html).not.toMatch(/(?:src|href|url|@import)\s*[=(]\s*["']?(?:https?:)?\/\//);
    expect(find(page, 'section')).toHaveLength(5);
    expect(find(page, 'svg').map((s) => s.attributes['aria-label'])).toContain('Stages and steps of the run');
  });

  it('shows every value as text, however hostile', () => {
    const evil = `"'><script>alert(1)</script>&amp;<svg onload=x>\u0000\ud800`;
    const record = replaceTexts({ ...unplannedFailover(), ...told() }, evil);
    const page = parsePage(renderReport({ record, load: unplannedLoad }, 'html'));
    expect(find(page, 'script')).toEqual([]);
    expect(page.text).toContain(`"'><script>alert(1)</script>&amp;<svg onload=x>\ufffd\ufffd`);
    const handlers = find(page, 'svg')
      .flatMap((s) => Object.keys(s.attributes))
      .filter((a) => a.startsWith('on'));
    expect(handlers).toEqual([]);
  });

  it('draws the point of no return, the freeze, decisions and what was undone', () => {
    const classes = (record: Parameters<typeof renderReport>[0]) =>
      [...renderReport(record, 'html').matchAll(/class="(g-[a-z-]+(?: [a-z-]+)?)"/g)].map((m) => m[1]);
    expect(classes(plannedFailover())).toEqual(
      expect.arrayContaining(['g-pnr', 'g-freeze', 'g-decision good', 'g-break']),
    );
    expect(classes(rolledBack())).toEqual(expect.arrayContaining(['g-bar g-undo', 'g-bar g-failed']));
    expect(classes(rolledBack())).not.toContain('g-pnr');
  });
});

describe('what reviewers ask for', () => {
  const rows = (record: Partial<RunRecord>) => {
    const { identity, scenario, results, closing } = buildReport(record);
    return Object.fromEntries(
      [...identity, ...scenario, ...results, ...closing].map(({ label, value }) => [label, value]),
    );
  };

  it('is said where somebody wrote it down', () => {
    expect(rows({ ...plannedFailover(), ...told() })).toMatchObject({
      'Test type': 'full: failover, dwell, failback',
      Environment: 'production',
      Scenario: 'eu-west is lost',
      References: 'BIA-7; CHG-1234',
      'Dwell on the other side': '45 min, 2026-11-01 03:12:58.000 UTC to 2026-11-01 03:57:58.000 UTC',
      Failback: 'completed, 2026-11-01 03:57:58.000 UTC to 2026-11-01 03:58:40.000 UTC, run back',
      'Retest required': 'yes',
      'Next test due': '2027-01-30 03:12:00.000 UTC',
    });
  });

  it('is not recorded where nobody did', () => {
    const said = rows(plannedFailover());
    for (const label of [
      'Test type',
      'Environment',
      'Scenario',
      'Expected outcome',
      'Dwell on the other side',
      'Failback',
      'Data integrity',
      'Next test due',
    ])
      expect(said[label], label).toBe('not recorded');
    expect(buildReport(plannedFailover()).people.thirdParties).toBe('not recorded');
    expect(buildReport({ ...rolledBack(), owner: '', debt: unplannedFailover().debt }).findings[0]!.owner).toBe(
      'not recorded',
    );
  });

  it('names the builds that answered', () => {
    const record = plannedFailover();
    record.steps[0]!.facts = { build: '1f2e3d' };
    expect(rows(record)['Builds of the workers']).toBe('rampart.eu-west 1f2e3d');
  });

  it('shows the facts that a decision was bound to, never others', () => {
    const record = { ...plannedFailover(), ...told() };
    const decided = (digest: string) => {
      record.decisions = [{ ...record.decisions[0]!, factsDigest: digest }];
      return buildReport(record).people.decisions[0]!.facts;
    };
    expect(decided('at the gate')).toContainEqual({ label: 'Facts measured', value: '2026-11-01 03:12:40.000 UTC' });
    expect(decided('gone')).toBeNull();
    for (const format of ['markdown', 'html'] as const)
      expect(renderReport(record, format)).toContain('the record keeps only the digest of the facts');
  });
});

describe('the curve of the lag', () => {
  const chart = (record: Partial<RunRecord>) =>
    find(parsePage(renderReport(record, 'html')), 'svg').find((s) =>
      s.attributes['aria-label']?.startsWith('Replication lag'),
    );

  it('breaks where nothing could be read, and shows the objective when it came near', () => {
    const svg = chart({ ...plannedFailover(), ...told() })!;
    const path = find(svg, 'path')[0]!.attributes.d!;
    expect(path.match(/M/g)).toHaveLength(2);
    expect(svg.text).toContain('no fresh reading');
    expect(svg.text).toContain('RPO 1 min');
  });

  it('is not drawn from a single reading', () => {
    expect(chart(plannedFailover())).toBeUndefined();
  });
});

describe('JUnit', () => {
  it('passes and fails like a test', () => {
    const root = parseXml([renderReports(demo(), 'junit')])[0]!;
    const suites = root.children.filter((c) => c.tag === 'testsuite');
    expect(suites.map((s) => Number(s.attributes.failures))).toEqual([0, 2, 0, 0]);
    for (const suite of [...suites, root]) {
      const cases = find(suite, 'testcase');
      expect(cases).toHaveLength(Number(suite.attributes.tests));
      expect(find(suite, 'failure')).toHaveLength(Number(suite.attributes.failures));
      expect(find(suite, 'skipped')).toHaveLength(Number(suite.attributes.skipped));
      for (const c of cases) expect(c.attributes).toMatchObject({ name: /./, classname: /./, time: /^\d+\.\d{3}$/ });
    }
  });
});

describe('JSON', () => {
  it('gives the same bytes for the same record and a digest that can be checked', () => {
    const record = plannedFailover();
    const shuffled = Object.fromEntries(Object.entries(record).reverse()) as typeof record;
    expect(renderReport(shuffled, 'json')).toBe(renderReport(record, 'json'));
    const parsed = JSON.parse(renderReport(record, 'json'));
    expect(parsed.schema).toBe('rampart.report/1');
    expect(parsed.runs[0].sha256).toBe(createHash('sha256').update(canonicalJson(parsed.runs[0].record)).digest('hex'));
    expect(renderReport(record, 'html')).toContain(parsed.runs[0].sha256);
  });
});

it('is deterministic in every format', () => {
  for (const format of FORMATS) expect(renderReports(demo(), format)).toBe(renderReports(demo(), format));
});

/** The same record with every free text replaced. */
function replaceTexts<T>(value: T, text: string, key = ''): T {
  const kept = ['verb', 'stage', 'state', 'action', 'mode', 'decision', 'outcome', 'kind', 'fromTime', 'toTime', 'id'];
  if (typeof value === 'string') return (kept.includes(key) ? value : text) as T;
  if (Array.isArray(value)) return value.map((v) => replaceTexts(v, text, key)) as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, replaceTexts(v, text, k)])) as T;
  return value;
}
