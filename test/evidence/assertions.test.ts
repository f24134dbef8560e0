/** Named assertions: what can be said, what it is judged by, and that nothing unknown passes. */
import { describe, expect, it } from 'vitest';
import { lineOf } from '../../activities/analyse.ts';
import { evaluate } from '../../evidence/assertions.ts';
import type { Assertion, AssertionRecord, RunRecord } from '../../evidence/record.ts';
import { renderReport } from '../../evidence/render.ts';
import { buildReport } from '../../evidence/report.ts';
import { assertionProblem } from '../../topology/assertions.ts';
import { plannedFailover, plannedLoad, T0, unplannedFailover, unplannedLoad, waiting } from './records.ts';

const judge = (expr: string, record: RunRecord = plannedFailover(), load = null as typeof plannedLoad | null) =>
  evaluate([{ name: 'it', expr }], record, load)[0]!;
const asserting = (...asserted: Assertion[]) => ({ record: { ...plannedFailover(), asserted }, load: plannedLoad });
const BAD: Assertion = { name: 'no wait', expr: 'run.people <= duration("1s")' };
const UNKNOWN: Assertion = { name: 'secrets', expr: 'checks["secrets"].passed' };

describe('what can be said', () => {
  it.each([
    ['run.writeUnavailable <= duration("2m")', true, 'run.writeUnavailable = 191 ms'],
    ['run.writeUnavailable <= duration("100ms")', false, 'run.writeUnavailable = 191 ms'],
    ['run.rta < objectives.rto && run.rpa <= objectives.rpo', true, 'run.rta = 10.5 s, objectives.rto = 5 min'],
    ['run.people > run.machine && run.total == run.people + run.machine', true, 'run.people = 47.2 s'],
    ['run.lost == 0 && run.promoted && !run.escalated', true, 'run.lost = 0'],
    ['clocks.healthy - clocks.declared < duration("30s")', true, 'clocks.healthy = 2026'],
    ['"app-ready" in checks && checks["app-ready"].passed', true, 'checks["app-ready"].passed = true'],
    ['steps["fence:orders-db@eu-west"].took < duration("1s")', true, '.took = 52 ms'],
    ['steps.all(id, steps[id].state == "done")', true, ''],
    ['size(run.overrides) == 0 && run.to in ["eu-central"]', true, 'run.overrides = []'],
    ['has(run.dwell) ? run.dwell >= duration("30m") : true', true, 'run.dwell = not recorded'],
  ])('%s', (expr, met, note) => {
    expect(assertionProblem(expr)).toBeNull();
    const record = plannedFailover();
    // A check of the target after the move, as the ramp makes one.
    record.steps.push({
      ...record.steps[0]!,
      ...{ id: 'runCheck:app-ready@eu-central', verb: 'runCheck', stage: 'ramp', component: 'app-ready' },
      ...{ region: 'eu-central', endedAt: T0 + 57_000, facts: { outcome: 'pass', observed: '200', threshold: '200' } },
    });
    const result = judge(expr, record);
    expect(result).toMatchObject({ met, severity: 'fail' });
    expect(result.note).toContain(note);
  });

  it.each([
    ['run.writeUnavailible < duration("1s")', 'there is no "writeUnavailible"; docs/evidence.md lists what there is'],
    ['checks["x"].mismatches == 0', 'there is no "mismatches"; docs/evidence.md lists what there is'],
    ['runs.rta < duration("1s")', 'Unknown variable: runs at "runs"'],
    ['run.rta < 2', 'no such overload: google.protobuf.Duration < int at "run.rta < 2"'],
    ['run.lost', 'it gives int, and an assertion must give bool'],
    ['run.lost ==', 'Unexpected token: EOF at "the end"'],
    ['run.rta < duration("2 minutes")', '"2 minutes" is no duration; write "90s", "2m" or "1h30m"'],
    ['true || clocks.started > timestamp("yesterday")', '"yesterday" is no time; write "2026-11-21T03:12:05Z"'],
    [`run.lost == 0 ${'|| true '.repeat(400)}`, 'it is longer than 2000 characters'],
  ])('says what is wrong with %s', (expr, problem) => {
    expect(assertionProblem(expr)).toBe(problem);
    const result = judge(expr);
    expect(result.met).toBeNull();
    expect(result.note).toBe(`not a valid assertion: ${problem}`);
  });

  it('takes what own steps report', () => {
    const record = plannedFailover();
    record.steps.push({
      ...record.steps[0]!,
      id: 'own:orders-checksum',
      facts: { status: 200, body: '{"mismatches":0,"rows":8123}' },
    });
    expect(judge('steps["own:orders-checksum"].facts.status == 200', record).met).toBe(true);
    expect(judge('steps["own:orders-checksum"].answer.mismatches == 0', record).met).toBe(true);
    expect(judge('steps["own:orders-checksum"].answer.rows > 9000', record).met).toBe(false);
    expect(judge('steps["own:orders-checksum"].answer.other == 0', record)).toMatchObject({
      met: null,
      note: expect.stringContaining('other is not recorded for this run'),
    });
  });
});

describe('checks', () => {
  const at = (ms: number, outcome: 'pass' | 'fail' | 'unknown', observed: string) => ({
    ...plannedFailover().steps[0]!,
    ...{ id: `analyse:edge@${ms}`, verb: 'analyse', stage: 'ramp' as const, component: 'edge', region: 'eu-central' },
    ...{ startedAt: T0 + ms - 1, endedAt: T0 + ms },
    facts: { measurements: [lineOf('secrets', { outcome, observed, threshold: '60', at: 0, detail: 'age' })] },
  });

  it('says since when a check has passed, in the region the run went to', () => {
    const record = plannedFailover();
    record.steps.push(
      at(1_000, 'pass', '10'),
      at(2_000, 'fail', '90'),
      at(3_000, 'pass', '12.5'),
      at(4_000, 'pass', '13'),
    );
    const since = 'checks["secrets"].passedAt - clocks.started';
    expect(judge(`${since} == duration("3s")`, record).met).toBe(true);
    expect(judge('checks["secrets@eu-central"].value <= 13.0 && checks["secrets"].measured == 4', record).met).toBe(
      true,
    );
    expect(judge('checks["secrets"].failed == 1', record).met).toBe(true);
    record.steps.push(at(5_000, 'unknown', 'no answer'));
    expect(judge('checks["secrets"].passed', record).met).toBe(false);
    expect(judge(`${since} < duration("30m")`, record)).toMatchObject({
      met: null,
      note: expect.stringContaining('passedAt is not recorded for this run'),
    });
  });
});

describe('what is not known', () => {
  it('is never good', () => {
    expect(judge('run.lost == 0', unplannedFailover())).toMatchObject({ met: null });
    expect(judge('!(run.lost > 0)', unplannedFailover())).toMatchObject({ met: null });
    expect(judge('run.dwell < duration("1h")').note).toContain('dwell is not recorded for this run');
    expect(judge('run.lost <= 40', unplannedFailover(), unplannedLoad).met).toBe(true);
  });

  it('takes the upper bound of a loss, and none that is open', () => {
    const record = unplannedFailover();
    expect(judge('run.rpa == duration("1.9s")', record).met).toBe(true);
    record.loss = { ...record.loss!, toTime: null };
    expect(judge('run.rpa < duration("1h")', record).met).toBeNull();
  });

  it('counts an unplanned write outage from the impact to the writer', () => {
    const record = unplannedFailover();
    expect(judge('run.writeUnavailable == duration("8230ms")', record).met).toBe(true);
    expect(judge('run.writeUnavailable == duration("15130ms")', { ...record, impactStartAt: T0 + 590_000 }).met).toBe(
      true,
    );
  });
});

describe('the verdict', () => {
  it('fails by an assertion that is missed, and by one that nobody can judge', () => {
    expect(buildReport(asserting()).verdict).toBe('passed');
    const report = buildReport(asserting(BAD, UNKNOWN));
    expect(report.verdict).toBe('failed');
    expect(report.conclusion).toContain('Not as asserted: no wait. Asserted, and it cannot be judged: secrets.');
    expect(report.findings.map((f) => [f.severity, f.where])).toEqual([
      ['assertion', 'no wait'],
      ['assertion', 'secrets'],
    ]);
  });

  it('takes one that only warns as a finding', () => {
    const { verdict, findings } = buildReport(asserting({ ...BAD, severity: 'warn' }));
    expect([verdict, findings.length]).toEqual(['passed with findings', 1]);
  });

  it('says whether what it was judged by was measured or told', () => {
    const basis = (expr: string, record?: RunRecord) => judge(expr, record).basis;
    const harm = 'run.rta < duration("1h")';
    expect([basis(harm), basis('run.dwell < duration("1h")')]).toEqual(['measured', 'unknown']);
    const told = { ...unplannedFailover(), impactStartAt: T0 + 590_000, impactStartBasis: 'estimated' as const };
    expect(basis(harm, told)).toBe('estimated');
    expect(basis('clocks.healthy - clocks["impactStart"] < duration("1h")', told)).toBe('estimated');
    expect(basis('run.writeUnavailable < duration("1h")', told)).toBe('estimated');
    expect(basis('run.writeUnavailable < duration("1h")', { ...told, impactStartBasis: 'measured' })).toBe('measured');
    expect(basis('run.promoted', told)).toBe('measured');
    // The loss of an unplanned run is an upper bound.
    expect(basis('run.rpa <= objectives.rpo', told)).toBe('estimated');
  });

  it('keeps what was judged when the run ended, and judges no run that is on', () => {
    const kept: AssertionRecord = { ...BAD, expr: 'x', severity: 'fail', met: true, note: 'then' };
    const record = { ...plannedFailover(), assertions: [kept] };
    expect(buildReport({ ...record, asserted: [BAD] }).assertions).toEqual([kept]);
    expect(buildReport({ ...waiting(), asserted: [BAD] }).assertions).toEqual([]);
  });

  it('is in every format', () => {
    const run = asserting(BAD, { ...UNKNOWN, severity: 'warn' });
    for (const format of ['json', 'markdown', 'html'] as const) expect(renderReport(run, format)).toContain('no wait');
    const junit = renderReport(run, 'junit');
    expect(junit).toMatch(/classname="checkout.assertions" name="no wait"[^>]*><failure message="not as asserted/);
    expect(junit).toMatch(/name="secrets"[^>]*><skipped message="it cannot be judged/);
  });
});
