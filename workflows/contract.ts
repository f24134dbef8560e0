/**
 * Wire names and shapes shared by workflows and clients. Renaming anything here breaks running workflows and saved
 * commands. Types and constants only.
 */

import type { Lag, LossStatement, Millis, Weights } from '../drivers/ports.ts';
import type { ComparisonRecord } from '../evidence/comparison-record.ts';
import type { Outcome, RunRecord, StepRecord } from '../evidence/record.ts';
import type { Health } from '../plan/health/model.ts';
import type { Facts, Mode, StageName } from '../plan/model.ts';
import type { PointReport, Verdict } from '../plan/watch/model.ts';
import { CONTROL_POINT, type VantagePoint } from '../topology/watches.ts';

export const CONTROL_QUEUE = 'rampart';
/**
 * A control worker that dies with a workflow task in its hands costs this much until another one gets the task: the
 * server's default of 10 s would be a third of a freeze budget of 30 s.
 */
export const WORKFLOW_TASK_TIMEOUT = '5s';
/** Guards watch on a queue of their own: each takes one activity's room for as long as it lives. */
export const GUARD_QUEUE = 'rampart-guard';
/** Vantage points ask on queues of their own, for the same reason. */
export const watchQueueOf = (point: VantagePoint): string =>
  point === CONTROL_POINT ? 'rampart-watch' : `rampart-watch.${point}`;
/** Workflow ID of a watch. */
export const watchOf = (name: string): string => `watch/${name}`;
/** Workflow ID of a service's guard. */
export const guardOf = (service: string): string => `guard/${service}`;

/** Workflow types that people and programs start; `guard` is not among them: control workers keep it running. */
export const WORKFLOWS = [
  'failover',
  'failback',
  'trafficRamp',
  'reprotect',
  'refence',
  'release',
  'drill',
  'halt',
  'plan',
] as const;

export const SEARCH_ATTRIBUTES = {
  RampartService: 'KEYWORD',
  RampartPhase: 'KEYWORD',
  RampartAction: 'KEYWORD',
  RampartMode: 'KEYWORD',
  RampartFrom: 'KEYWORD',
  RampartTo: 'KEYWORD',
  RampartTrafficPercent: 'INT',
  RampartAwaiting: 'KEYWORD_LIST',
} as const;

export interface DecideInput {
  gate?: string;
  decision: 'approve' | 'reject';
  by: string;
  comment?: string;
  maxLoss?: { seconds?: number; bytes?: number };
  override?: string[];
}
export interface ByInput {
  by: string;
  reason?: string;
}
export interface NoteInput extends ByInput {
  /** An item of the run's checklist that is done now, counted from 1. */
  done?: number;
}
export interface StepInput extends ByInput {
  /** Step id, for example `drain:app@eu-west`. `retry` may leave it out: all failed steps. */
  step?: string;
}
export interface EscalateInput extends ByInput {
  /** Region to rescue to; default: the plan's target. It may be the old source. */
  to?: string;
  override?: string[];
}

/** What a message answers: one sentence of what it did. */
export interface MessageAnswer {
  applied: boolean;
  text: string;
}

export interface GateView {
  id: string;
  name: string;
  title: string;
  openedAt: Millis;
  expiresAt: Millis | null;
  onTimeout: string;
  required: number;
  approvedBy: string[];
  approvers: string[];
  fourEyes: boolean;
  /** Why it opened, or opened again. */
  reason: string;
  facts: Facts;
  loss: LossStatement;
  /** Override codes an approval must carry. */
  needsOverride: string[];
}

/** `health` query of a guard. */
export interface GuardStatus {
  workflowId: string;
  service: string;
  now: Millis;
  /** `null` before the first look. */
  health: Health | null;
  /** Refences it has started for the old primary that is back now. */
  refence: { tries: number; lastAt: Millis | null; text: string };
  text: string;
}

/** One vantage point, as a watch knows it. */
export interface PointStatus {
  point: VantagePoint;
  /** `null`: unknown. Its worker does not answer, and what it has said before does not count. */
  report: PointReport | null;
  since: Millis;
  /** Why it is unknown. */
  text: string;
}

/** `status` query of a watch. */
export interface WatchStatus {
  workflowId: string;
  watch: string;
  service: string | null;
  now: Millis;
  /** `wrong`: something is; `blind`: of some region nothing can be told now; `null`: nothing is known yet. */
  verdict: 'well' | 'wrong' | 'blind' | null;
  points: PointStatus[];
  /** What was decided by vote; what is not here could not be told yet. */
  verdicts: Verdict[];
  /** By region: why nothing can be told of it now. */
  blind: Array<{ region: string; since: Millis; why: string }>;
  text: string;
  log: Array<{ at: Millis; text: string }>;
}

/** `status` query: what a screen shows. `evidence` has everything. */
export interface RunStatus {
  workflowId: string;
  runId: string;
  service: string;
  action: string;
  mode: Mode;
  from: string | null;
  to: string | null;
  /** Stage name, or `planning`, `compensating`, `holding`, `closed`. */
  phase: StageName | 'planning' | 'compensating' | 'holding' | 'closed';
  planDigest: string | null;
  startedAt: Millis;
  now: Millis;
  gate: GateView | null;
  holding: { reason: string; since: Millis; choices: string[] } | null;
  paused: { by: string; since: Millis } | null;
  stages: Array<{ name: StageName; state: 'pending' | 'running' | 'done' | 'skipped' | 'failed' }>;
  steps: Array<Pick<StepRecord, 'id' | 'stage' | 'summary' | 'state' | 'startedAt' | 'endedAt' | 'result' | 'error'>>;
  weights: Record<string, Weights>;
  trafficPercent: number | null;
  lag: Record<string, Lag | null>;
  loss: LossStatement | null;
  freeze: RunRecord['freeze'];
  pointOfNoReturn: RunRecord['pointOfNoReturn'];
  debt: RunRecord['debt'];
  /** Absent when the topology has none for the service. */
  checklist?: RunRecord['checklist'];
  outcome: Outcome | null;
  text: string;
  log: Array<{ at: Millis; text: string }>;
}

/** Workflow ID under which a drill of a dependency group is on: no two of them at once. */
export const drillGroupId = (group: string): string => `drill/${group}`;
/** Schedule ID of a drill of the topology. */
export const drillSchedule = (name: string): string => `rampart-drill/${name}`;
/** Workflow ID of what a schedule starts; Temporal appends a time to it, and so does whoever starts one by hand. */
export const scheduledDrillId = (name: string): string => `scheduled-drill/${name}`;

/** Workflow ID of a trigger; whoever has alerts for it starts it with them. */
export const triggerOf = (name: string): string => `trigger/${name}`;

/** The run that a trigger has started. */
export interface Followed {
  workflowId: string;
  runId: string;
  startedAt: Millis;
  /** Alerts it has been told of, by source and key. */
  told: string[];
  /** Whether it was asked to withdraw. */
  withdrawn: boolean;
}

/** `status` query of a trigger. */
export interface TriggerStatus {
  workflowId: string;
  trigger: string;
  now: Millis;
  /** What it makes of the alerts: `calm`, `pending`, `held` or `due`; `null` before the first look. */
  verdict: string | null;
  text: string;
  /** When it looks again by itself. */
  until: Millis | null;
  alerts: Array<{ source: string; key: string; firing: boolean; since: Millis; lastAt: Millis; text: string }>;
  run: Followed | null;
  log: Array<{ at: Millis; text: string }>;
}

/** Workflow ID of a comparison that goes on by itself. */
export const comparisonOf = (name: string): string => `divergence/${name}`;

/** `status` query of a comparison. */
export interface ComparisonStatus {
  workflowId: string;
  comparison: string;
  now: Millis;
  rounds: number;
  last: ComparisonRecord | null;
  since: { diverged: Millis | null; lagging: Millis | null };
  text: string;
}
