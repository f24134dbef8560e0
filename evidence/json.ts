/** The report as canonical JSON: the machine-readable original that every other format is a view of. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../topology/canonical.ts';
import { verdictOfDrill } from './drill.ts';
import type { DrillRecord, RunRecord } from './record.ts';
import { buildReport, isEvidence, type RunEvidence } from './report.ts';

/** SHA-256 over the canonical JSON of a record, in hex: what a reader compares to know that it is the same record. */
export function recordDigest(record: Partial<RunRecord>): string {
  return createHash('sha256').update(canonicalJson(record)).digest('hex');
}

/**
 * One line of JSON with sorted keys, so that the same runs give the same bytes.
 * `drill` and its `verdict` are there when the runs are the legs of one.
 * Shape: `{schema, runs: [{verdict, conclusion, objectives, assertions, clocks, phases, times, results, deviations, findings, load, record, sha256}]}`.
 */
export function renderJson(
  runs: Array<Partial<RunRecord> | RunEvidence>,
  generatedAt: number | null = null,
  drill?: DrillRecord,
): string {
  return `${canonicalJson({
    schema: 'rampart.report/1',
    generatedAt,
    ...(drill === undefined ? {} : { drill, verdict: verdictOfDrill(drill) }),
    runs: runs.map((input) => {
      const {
        verdict,
        conclusion,
        objectives,
        assertions,
        clocks,
        phases,
        times,
        results,
        deviations,
        findings,
        load,
      } = buildReport(input);
      const record = isEvidence(input) ? input.record : input;
      return {
        verdict,
        conclusion,
        objectives,
        assertions,
        clocks,
        phases,
        times,
        results,
        deviations,
        findings,
        load,
        record,
        sha256: recordDigest(record),
      };
    }),
  })}\n`;
}
