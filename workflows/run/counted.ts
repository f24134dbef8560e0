/** What a run counts for `/metrics`, each in the one place where it happens. It makes no commands. */
import { workflowInfo } from '@temporalio/workflow';
import type { DrillRecord, RunRecord, StepRecord } from '../../evidence/record.ts';
import type { LabelsOf } from '../../metrics/names.ts';
import { objectiveLabel } from '../../metrics/objective.ts';
import type { Step } from '../../plan/model.ts';
import { count, observeMs } from '../metrics.ts';
import type { OpenGate } from './gate.ts';
import type { Run } from './state.ts';

/** A request that could not be resolved may name anything: that is no label. */
const serviceOf = ({ resolved }: Run): string => resolved?.service.name ?? '';

/** A leg of a drill is no failover of an ordinary day, unless somebody made it one. */
const modeOf = ({ mode }: RunRecord): string =>
  workflowInfo().workflowType === 'drill' && mode === 'planned' ? 'drill' : mode;

/** What may be rare, or never: Prometheus sees a first event only when it saw the 0 before it. */
export function countFromZero(run: Run): void {
  const service = serviceOf(run);
  const { action } = run.record;
  for (const result of ['completed', 'rolledBack', 'needsHuman'])
    count('rampart_runs_total', { service, action, mode: modeOf(run.record), result }, 0);
  for (const objective of ['rto', 'rpo', 'freeze'])
    count('rampart_objective_breaches_total', { service, objective }, 0);
}

/** An alert says since when it fires, and the request when Rampart heard of it; what a person says is no measurement. */
export function countDetection(run: Run): void {
  const { impactStartAt, detectedAt, impactStartBasis } = run.record;
  if (typeof impactStartAt !== 'number' || typeof detectedAt !== 'number' || impactStartBasis !== 'measured') return;
  observeMs('rampart_detection_delay_seconds', { service: serviceOf(run) }, detectedAt - impactStartAt);
}

/** @param since when it was scheduled this time: the record counts from its first try, a hold in between included */
export function countStep(run: Run, step: Step, { stage, state, error }: StepRecord, since: number): void {
  const service = serviceOf(run);
  const labels = { service, stage, step: step.verb, result: state };
  observeMs('rampart_step_duration_seconds', labels, Date.now() - since);
  if (state === 'failed')
    count('rampart_step_failures_total', { service, step: step.verb, reason: error?.type ?? 'Unexpected' });
}

export function countUndo(run: Run, { verb }: { verb: string }, result: 'done' | 'failed'): void {
  count('rampart_compensations_total', { service: serviceOf(run), step: verb, result });
}

export function countBake(run: Run, result: 'passed' | 'failed' | 'inconclusive'): void {
  count('rampart_analysis_runs_total', { service: serviceOf(run), result });
}

/** `proceeded`: nobody answered, and the policy let it go on. `interrupted`: another word ended the waiting. */
export function countGate(run: Run, open: OpenGate, since: number): void {
  const { state, approvals, gate } = open;
  const unasked = state === 'approved' && approvals.length === 0;
  const result = unasked ? 'proceeded' : state === 'open' ? 'interrupted' : state;
  observeMs('rampart_approval_wait_seconds', { service: serviceOf(run), gate: gate.name, result }, Date.now() - since);
}

export function countRun(run: Run): void {
  const { record } = run;
  const service = serviceOf(run);
  const labels = { service, action: record.action, mode: modeOf(record), result: record.outcome ?? 'needsHuman' };
  countEnd(labels, (record.endedAt ?? Date.now()) - record.startedAt, record.waitedForPeopleMs);
  for (const { name, met } of record.objectives)
    if (met === false) count('rampart_objective_breaches_total', { service, objective: objectiveLabel(name) });
}

/** A drill is a run beside its legs, which count for themselves. */
export function countDrill({ legs, service, verdict, startedAt }: DrillRecord): void {
  const known = legs.some(({ tier }) => tier !== '') ? service : '';
  const labels = { service: known, action: 'drill', mode: 'drill', result: verdict ?? 'failed' };
  const waited = legs.reduce((sum, leg) => sum + leg.waitedForPeopleMs, 0);
  countEnd(labels, Date.now() - startedAt, waited);
}

/** Total = at work + waiting for people. */
function countEnd(labels: LabelsOf<'rampart_runs_total'>, total: number, waiting: number): void {
  const waited = Math.min(waiting, total);
  count('rampart_runs_total', labels);
  observeMs('rampart_run_duration_seconds', labels, total);
  observeMs('rampart_run_progression_duration_seconds', labels, total - waited);
  observeMs('rampart_run_manual_wait_duration_seconds', labels, waited);
}
