import type { RunRecord } from '../evidence/record.ts';
import { runWorkflow } from './run/run-workflow.ts';

/** Moves edge traffic along a ramp, without touching data. Input: {"service":"checkout","to":"eu-central","percent":50} */
export async function trafficRamp(input: unknown): Promise<RunRecord> {
  return runWorkflow('trafficRamp', input);
}
