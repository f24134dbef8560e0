import type { RunRecord } from '../evidence/record.ts';
import { runWorkflow } from './run/run-workflow.ts';

/** Makes the old side a replica again. Input: {"service":"checkout"} */
export async function reprotect(input: unknown): Promise<RunRecord> {
  return runWorkflow('reprotect', input);
}
