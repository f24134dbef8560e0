import type { RunRecord } from '../evidence/record.ts';
import { runWorkflow } from './run/run-workflow.ts';

/** Fences an old primary that came back by itself, and nothing else. Input: {"service":"checkout","from":"eu-west"} */
export async function refence(input: unknown): Promise<RunRecord> {
  return runWorkflow('refence', input);
}
