/**
 * The record of a run: what was asked, decided, done and measured. Types only. The workflow builds it, the `evidence`
 * query returns it, and evidence/ renders it. It holds no secrets by construction: only receipts, facts and messages.
 */
import type { FenceStrength, Finding, Json, LossStatement, Millis, Weights } from '../drivers/ports.ts';
import type { Estimate, Facts, Mode, Request, StageName, StepId } from '../plan/model.ts';
import type { Assertion } from '../topology/model.ts';

export type { Assertion };

export type Outcome = 'completed' | 'nothingToDo' | 'rolledBack' | 'refused' | 'needsHuman' | 'withdrawn' | 'cancelled';

export interface PlanRecord {
  digest: string;
  topologyDigest: string;
  mode: Mode;
  from: string | null;
  to: string;
  resumeAt: StageName | null;
  compiledAt: Millis;
  facts: Facts;
  estimate: Estimate;
  /** `start`, or who escalated. */
  why: string;
}

export interface Decision {
  /** Gate id, unique per asking: `cutover.1`. */
  gate: string;
  decision: 'approve' | 'reject';
  by: string;
  comment: string;
  at: Millis;
  /** Digest of the facts shown when it was taken. */
  factsDigest: string;
  maxLoss: { seconds: number | null; bytes: number | null };
  override: string[];
  /** Update id, when it came as an update. */
  messageId: string | null;
}

export interface MessageRecord {
  verb: string;
  by: string;
  at: Millis;
  /** False: refused or malformed; `note` says why. */
  applied: boolean;
  note: string;
  input: Json;
}

export type StepState = 'running' | 'done' | 'failed' | 'skipped' | 'cancelled';

export interface StepRecord {
  id: StepId;
  stage: StageName;
  summary: string;
  verb: string;
  component: string | null;
  region: string | null;
  state: StepState;
  /** How often the engine scheduled it (Temporal's own retries are inside one scheduling). */
  scheduled: number;
  startedAt: Millis;
  endedAt: Millis | null;
  /** The receipt's sentence, and whether the state was there already. */
  result: string | null;
  already: boolean;
  facts: Record<string, Json>;
  error: { type: string; message: string } | null;
}

export interface UndoRecord {
  stepId: StepId;
  summary: string;
  state: 'registered' | 'running' | 'done' | 'failed' | 'discarded' | 'debt' | 'carried';
  startedAt: Millis | null;
  endedAt: Millis | null;
  note: string;
  /** What it puts back was left by an earlier run, with its journal open. */
  adopted?: true;
}

export interface RampRecord {
  percent: number;
  router: string;
  weights: Weights;
  setAt: Millis;
  /** Percent by region as counted at the edge; `null` when it cannot be sampled. */
  observed: Weights | null;
  bake: 'passed' | 'failed' | 'inconclusive' | 'running' | 'skipped';
  /** Observed against threshold, a line per check. */
  measurements: string[];
  steppedBack: boolean;
}

export interface Debt {
  code: string;
  component: string | null;
  region: string | null;
  message: string;
  remedy: string;
}

export interface ObjectiveRecord {
  name: string;
  target: string;
  actual: string;
  met: boolean | null;
  basis: 'measured' | 'estimated' | 'unknown';
  /** Room that was left, negative when missed; `null` or absent when that is no number. */
  margin?: string | null;
}

/** A stretch in which the run did nothing but wait for people. */
export interface WaitRecord {
  kind: 'gate' | 'hold' | 'pause';
  /** Gate id, or why it held or paused. */
  name: string;
  startedAt: Millis;
  /** `null` while it still waits. */
  endedAt: Millis | null;
}

/** What became of an assertion. */
export interface AssertionRecord {
  name: string;
  expr: string;
  severity: 'fail' | 'warn';
  /** `null`: it could not be judged, `note` says why. */
  met: boolean | null;
  /** The values it was judged by, or what was missing. */
  note: string;
  /** How those values are known: `estimated` when one of them is; absent in records of older builds. */
  basis?: 'measured' | 'estimated' | 'unknown';
}

/** Time on the other side between the two legs of a drill. */
export interface DwellRecord {
  startedAt: Millis;
  /** `null` while it lasts. */
  endedAt: Millis | null;
  /** What the service's checks said meanwhile, newest last; the latest ones where they are many. */
  checks?: DwellCheck[];
}

export interface DwellCheck {
  name: string;
  at: Millis;
  outcome: 'pass' | 'fail' | 'unknown';
  observed: string;
  threshold: string;
}

/** What was broken, and what followed. Times are when a look saw it; `null`: it did not. */
export interface ChaosRecord {
  break: string[];
  restore: string[];
  /** When the command that breaks it had ended. */
  brokeAt: Millis | null;
  detectedAt: Millis | null;
  /** What noticed it. */
  detectedBy: string | null;
  /** When the service was seen to work again. */
  recoveredAt: Millis | null;
  /** When the command that mends it had ended well. */
  restoredAt: Millis | null;
  /** Region that is active at the end. */
  active: string | null;
}

/** What became of a drill: there, a time on the other side, and back; or what a drill of another kind found. */
export interface DrillRecord {
  version: 1;
  workflowId: string;
  runId: string;
  service: string;
  /** Name in the topology; `null` when somebody asked for it by hand. */
  name: string | null;
  /** Absent: `full`. */
  kind?: 'full' | 'rampOnly' | 'rehearsal' | 'checks' | 'chaos';
  from: string | null;
  /** `null`: checks in every region. */
  to: string | null;
  by: string | null;
  reason: string | null;
  startedAt: Millis;
  endedAt: Millis | null;
  /** The runs of which it is made, in order: there, where need be a repair, and back. */
  legs: RunRecord[];
  dwell: DwellRecord | null;
  /** A rehearsal: the plan that was compiled on the live state. */
  rehearsal?: PlanRecord;
  /** When its schedule has it due next; absent when nobody has one. */
  nextDueAt?: Millis;
  chaos?: ChaosRecord;
  /**
   * `skipped`: it did not begin, `reasons` says why; `refused`: nothing was done; `escalated`: somebody made it the
   * real thing. `null` while it is on.
   */
  verdict: 'passed' | 'failed' | 'skipped' | 'refused' | 'withdrawn' | 'escalated' | null;
  /** The verdict in a sentence, with what to do next. */
  text: string;
  /** Why it has not passed, a sentence each. */
  reasons: string[];
  assertions: AssertionRecord[];
}

/** What must be said to whom while the run is on. */
export interface ChecklistItem {
  text: string;
  /** `null` before somebody has said that it is done. */
  done: { by: string; at: Millis } | null;
}

/** One telling of people, or the failure of it. */
export interface NotificationRecord {
  at: Millis;
  channel: string;
  event: string;
  result: 'sent' | 'failed' | 'dropped';
  /** Why it was not sent; empty when it was. */
  text: string;
}

/** The way back: the run, or the leg, that returned the service. */
export interface FailbackRecord {
  workflowId: string;
  runId: string;
  startedAt: Millis;
  endedAt: Millis | null;
  outcome: Outcome | null;
}

/** Replication lag as it was seen while the run was on. */
export interface LagSample {
  at: Millis;
  component: string;
  region: string;
  /** `null`: it could not be read. */
  seconds: number | null;
}

/** What reviewers of a test ask for and no run can know by itself: from the topology. What is absent is not recorded. */
export interface ContextRecord {
  testType?: 'rehearsal' | 'checksOnly' | 'rampOnly' | 'full' | 'chaos' | 'live';
  scenario?: string;
  expected?: string;
  assumptions?: string[];
  /** Business impact analysis, risk assessment, ticket, change: texts or addresses. */
  references?: string[];
  thirdParties?: string[];
  environment?: string;
  nextDueAt?: Millis;
}

/** What the tier promises, as the plan held it. */
export interface Targets {
  rtoMs: number;
  rpoMs: number;
  freezeBudgetMs: number;
  fenceProof: FenceStrength;
}

export interface RunRecord {
  version: 1;
  workflowId: string;
  runId: string;
  service: string;
  owner: string;
  /** Services of its group that moved with it; absent: none. */
  movesWith?: string[];
  tier: string;
  action: string;
  mode: Mode;
  from: string | null;
  to: string | null;
  request: Request;
  startedAt: Millis;
  endedAt: Millis | null;
  outcome: Outcome | null;
  /** The outcome in a sentence, with what to do next. */
  text: string;
  plans: PlanRecord[];
  decisions: Decision[];
  messages: MessageRecord[];
  steps: StepRecord[];
  undos: UndoRecord[];
  ramp: RampRecord[];
  freeze: { startedAt: Millis | null; endedAt: Millis | null; budgetMs: number; exceeded: boolean };
  pointOfNoReturn: { stepId: StepId | null; crossedAt: Millis | null; revokedAt: Millis | null };
  loss: LossStatement | null;
  /** Milliseconds spent waiting for people. */
  waitedForPeopleMs: number;
  /** When the promoted store was proven writable, traffic was all moved, and the last checks were green. */
  dataReadyAt: Millis | null;
  trafficCompleteAt: Millis | null;
  objectives: ObjectiveRecord[];
  findings: Finding[];
  debt: Debt[];
  log: Array<{ at: Millis; text: string }>;
  /** Objectives of the tier; absent before there is a plan. */
  targets?: Targets | null;
  /** When the harm began (an alert's start, or a person's word) and when it was noticed; absent when nobody said. */
  impactStartAt?: Millis | null;
  detectedAt?: Millis | null;
  /** `measured` when `impactStartAt` is an alert's own start; a person's word is `estimated`, as is an absent one. */
  impactStartBasis?: 'measured' | 'estimated' | null;
  /** The single waits whose sum is `waitedForPeopleMs`. */
  waits?: WaitRecord[];
  /** What the service asserted of such a run when it was planned: every report judges these, and no later ones. */
  asserted?: Assertion[];
  /** Judged already, as a drill's are; absent: every report judges `asserted` by this record. */
  assertions?: AssertionRecord[];
  /** The facts that gates showed, by their digests: what decisions were bound to. */
  shown?: Facts[];
  dwell?: DwellRecord | null;
  failback?: FailbackRecord | null;
  lagSamples?: LagSample[];
  context?: ContextRecord | null;
  /** Absent when the topology has no notifications for the service. */
  notifications?: NotificationRecord[];
  checklist?: ChecklistItem[];
}
