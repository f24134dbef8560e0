import type { RunRecord } from '../evidence/record.ts';
import { runWorkflow } from './run/run-workflow.ts';

/** Brings a service home. Input: {"service":"checkout"} */
export async function failback(input: unknown): Promise<RunRecord> {
  return runWorkflow('failback', input);
}
