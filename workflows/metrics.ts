/**
 * Metrics of workflow code, by Temporal's meter: nothing is recorded while a history is replayed, no command is made,
 * and without a worker that serves `/metrics` nothing happens at all. What a worker recorded and nobody has read yet is
 * lost with it; what must be known in any case is read from the runs themselves (workers/runs.ts).
 */
import { metricMeter } from '@temporalio/workflow';
import { type LabelsOf, METRICS, type WorkflowCounter, type WorkflowHistogram } from '../metrics/names.ts';

/** @param by how many; 0 makes the series known, so that its first event is seen as a rise */
export function count<Name extends WorkflowCounter>(name: Name, labels: LabelsOf<Name>, by = 1): void {
  metricMeter.createCounter(name, '', METRICS[name].help).add(by, labels);
}

/** @param ms a time in milliseconds; the clock of a workflow may stand still, but never goes back */
export function observeMs<Name extends WorkflowHistogram>(name: Name, labels: LabelsOf<Name>, ms: number): void {
  if (!Number.isFinite(ms)) return;
  metricMeter.createHistogram(name, 'float', '', METRICS[name].help).record(Math.max(0, ms) / 1000, labels);
}
