/** A drill as one report: its verdict above its legs, in every format, in the store and in the history. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storedReport, storedRuns } from '../../clients/cli/reports.ts';
import { fileReport } from '../../clients/reports/file.ts';
import { folderStorage } from '../../clients/reports/folder.ts';
import { historyOf } from '../../clients/reports/history.ts';
import { summaryOfDrill } from '../../clients/reports/manifest.ts';
import { verifyReports } from '../../clients/reports/verify.ts';
import { drillEvidence, verdictOfDrill } from '../../evidence/drill.ts';
import type { DrillRecord, RunRecord } from '../../evidence/record.ts';
import { FORMATS, renderDrill } from '../../evidence/render.ts';
import { buildReport } from '../../evidence/report.ts';
import { plannedFailover, T0, waiting } from './records.ts';
import { find, parsePage, parseXml } from './xml.ts';

const RUN = plannedFailover().runId;

function drill(more: Partial<DrillRecord> = {}): DrillRecord {
  const there = plannedFailover();
  const back: RunRecord = {
    ...plannedFailover(),
    ...{ action: 'failback', from: 'eu-central', to: 'eu-west', startedAt: T0 + 2_000_000, endedAt: T0 + 2_058_600 },
  };
  return {
    ...{ version: 1, workflowId: 'failover/checkout', runId: RUN, service: 'checkout', name: 'quarterly' },
    ...{ from: 'eu-west', to: 'eu-central', by: 'ann', reason: 'Q4', startedAt: T0, endedAt: T0 + 2_058_600 },
    legs: [there, back],
    dwell: {
      startedAt: T0 + 60_000,
      endedAt: T0 + 1_860_000,
      checks: [
        { name: 'secrets', at: T0 + 70_000, outcome: 'fail', observed: '90', threshold: '60' },
        { name: 'secrets', at: T0 + 80_000, outcome: 'pass', observed: '20', threshold: '60' },
      ],
    },
    verdict: 'passed',
    text: 'checkout went to eu-central, stayed there and is back in eu-west.',
    reasons: [],
    assertions: [{ name: 'dwell', expr: 'run.dwell >= duration("30m")', severity: 'fail', met: true, note: '' }],
    ...more,
  };
}

it('tells of the dwell and the way back in the report of the way there', () => {
  const [there, back] = drillEvidence(drill()).map((leg) => buildReport(leg));
  const rows = Object.fromEntries([...there!.results, ...there!.identity].map((r) => [r.label, r.value]));
  expect(rows['Dwell on the other side']).toMatch(/^30 min, /);
  expect(rows.Failback).toMatch(/^completed, /);
  expect(rows['Test type']).toBe('full: failover, dwell, failback');
  expect([there!.assertions.length, back!.assertions.length]).toEqual([1, 0]);
});

it('lets assertions speak of the checks on the other side', async () => {
  const { evaluate } = await import('../../evidence/assertions.ts');
  const record = drillEvidence(drill())[0]!.record as RunRecord;
  const expr = 'checks["secrets"].passedAt - clocks.started == duration("80s") && run.dwell == duration("30m")';
  expect(evaluate([{ name: 'secrets', expr }], record)[0]).toMatchObject({ met: true });
});

describe.each([
  ['passed', 'passed', 0],
  ['failed', 'failed', 1],
  ['escalated', 'failed', 1],
  ['refused', 'not judged', 0],
] as const)('one that is %s', (word, verdict, failures) => {
  const one = drill({ verdict: word, reasons: ['it stayed 10 s on the other side, not 1800 s', '<b>'] });

  it('says so in every format', () => {
    expect(verdictOfDrill(one)).toBe(verdict);
    const page = parsePage(renderDrill(one, 'html'));
    expect(page.text).toContain('Drill quarterly of checkout, eu-west → eu-central');
    expect(page.text).toContain('not 1800 s<b>');
    expect(find(page, 'section')).toHaveLength(4);
    expect(renderDrill(one, 'markdown')).toContain('- it stayed 10 s on the other side, not 1800 s\n- &lt;b&gt;');
    const [suite] = parseXml([renderDrill(one, 'junit')])[0]!.children.filter((c) => c.tag === 'testsuite');
    expect(suite!.attributes).toMatchObject({ tests: '1', failures: String(failures) });
    expect(JSON.parse(renderDrill(one, 'json'))).toMatchObject({ verdict, drill: { verdict: word }, runs: [{}, {}] });
  });
});

it('renders one that is on, or has not begun', () => {
  for (const format of FORMATS) {
    expect(renderDrill(drill({ verdict: null, endedAt: null, text: '', legs: [waiting()] }), format)).not.toContain(
      'undefined',
    );
    expect(renderDrill(drill({ verdict: 'refused', legs: [], dwell: null, from: null }), format)).not.toContain(
      'undefined',
    );
  }
});

describe('one without legs', () => {
  const alone = (more: Partial<DrillRecord>) => drill({ legs: [], dwell: null, assertions: [], from: null, ...more });
  const said = (one: DrillRecord) => {
    for (const format of FORMATS) expect(renderDrill(one, format)).not.toMatch(/undefined|NaN/);
    return parsePage(renderDrill(one, 'html')).text;
  };

  it('shows what a rehearsal found', () => {
    const [rehearsal] = plannedFailover().plans;
    const text = said(alone({ kind: 'rehearsal', from: 'eu-west', rehearsal: rehearsal! }));
    for (const one of [rehearsal!.facts.classified.text, rehearsal!.digest, 'Replication lag', 'Expected to take'])
      expect(text).toContain(one);
  });

  it('shows what checks said', () => {
    const text = said(alone({ kind: 'checks', to: null, dwell: drill().dwell }));
    expect(text).toContain('Drill quarterly of checkout');
    expect(text).toContain('1 of 2 passed, 30 min');
  });

  it('shows what was broken, and what followed', () => {
    const chaos = { break: ['/bin/break', 'eu-west'], restore: ['/bin/mend'], brokeAt: T0, detectedAt: T0 + 60_000 };
    const rest = { detectedBy: 'trigger down fires', recoveredAt: null, restoredAt: T0 + 600_000, active: 'eu-west' };
    const text = said(alone({ kind: 'chaos', chaos: { ...chaos, ...rest } }));
    for (const one of ['/bin/break eu-west', 'after 1 min, trigger down fires', 'after 10 min'])
      expect(text).toContain(one);
  });

  it('says why it was skipped, which is no failure of a test', () => {
    const one = alone({ verdict: 'skipped', text: 'skipped: a failover is on', reasons: ['a failover is on'] });
    expect(said(one)).toContain('a failover is on');
    expect(renderDrill(one, 'junit')).toContain('failures="0" errors="0" skipped="1"');
  });
});

it('says when the next one is due, if it is the data that moves', () => {
  const due = (kind: DrillRecord['kind']) => summaryOfDrill(drill({ kind: kind!, nextDueAt: T0 + 1 })).nextDueAt;
  expect([due('full'), due('rampOnly')]).toEqual([T0 + 1, null]);
});

it('proves the service only when its data has moved', () => {
  const proves = (more: Partial<DrillRecord>) => summaryOfDrill(drill(more)).proves;
  expect([proves({}), proves({ kind: 'full' }), proves({ verdict: 'failed' })]).toEqual([true, true, false]);
  for (const kind of ['rampOnly', 'rehearsal', 'checks'] as const) expect(proves({ kind })).toBe(false);
});

describe('in the store', () => {
  let store: string;
  beforeAll(() => {
    store = mkdtempSync(join(tmpdir(), 'rampart-drill-'));
  });
  afterAll(() => rmSync(store, { recursive: true, force: true }));

  it('is one report, and proves the service', async () => {
    const storage = folderStorage(store);
    await expect(fileReport(storage, drill({ verdict: null }))).rejects.toThrow('is not over');
    expect(await fileReport(storage, drill())).toMatchObject({ number: 1, already: false });
    expect(await fileReport(storage, drill())).toMatchObject({ number: 1, already: true });
    expect((await verifyReports(storage, 'checkout')).problems).toEqual([]);
    const { lastProven, trend, runs } = historyOf(
      'checkout',
      [],
      await storedRuns(storage, 'checkout'),
      T0 + 3 * 86_400_000,
    );
    expect(lastProven).toMatchObject({ action: 'drill', daysAgo: 2, to: 'eu-central' });
    expect(trend.rta!.lastMs).toBe(10_490);
    expect(runs).toHaveLength(1);
    expect((await storedReport(storage, 'checkout', RUN))!.subject).toEqual(JSON.parse(JSON.stringify(drill())));
    expect(readFileSync(join(store, 'checkout/000001/report.html'), 'utf8')).toContain('The drill');
  });

  it('proves nothing when it has not passed', async () => {
    const failed = drill({ verdict: 'failed', runId: 'second' });
    await fileReport(folderStorage(store), failed);
    const runs = (await storedRuns(folderStorage(store), 'checkout')).filter(({ number }) => number === 2);
    expect(historyOf('checkout', [], runs, T0).lastProven).toBeNull();
  });
});
