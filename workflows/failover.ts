import type { RunRecord } from '../evidence/record.ts';
import { runWorkflow } from './run/run-workflow.ts';

/** Moves a service to another region, planned or unplanned. Input: {"service":"checkout","to":"eu-central"} */
export async function failover(input: unknown): Promise<RunRecord> {
  return runWorkflow('failover', input);
}
