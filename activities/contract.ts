/** What activities take and return, as workflows see them. Types only. */
import type {
  CheckResult,
  Finding,
  Millis,
  NodeObservation,
  Receipt,
  RecoveryFact,
  ReplayFact,
  RouterObservation,
  SampleReading,
  WorkloadObservation,
} from '../drivers/ports.ts';
import type { NewsEvent, RunCard } from '../evidence/card.ts';
import type { ComparisonRecord } from '../evidence/comparison-record.ts';
import type { HaltedRun, PastRun } from '../evidence/halt-record.ts';
import type { Assertion, AssertionRecord, RunRecord } from '../evidence/record.ts';
import type { Health, HealthFinding, Memory } from '../plan/health/model.ts';
import type { Material } from '../plan/material.ts';
import type { CompileInput, Facts, HaltNote, Mode, Plan, Request, StepCall, Verb } from '../plan/model.ts';
import type { PointMemory, PointReport } from '../plan/watch/model.ts';
import type { Alert, Trigger, TriggerAction } from '../topology/alerts.ts';
import type { NotifyView } from '../topology/channels.ts';
import type { Comparison } from '../topology/divergence.ts';
import type { Drill } from '../topology/drill.ts';
import type { Component, Service } from '../topology/model.ts';
import type { VantagePoint, Watch } from '../topology/watches.ts';

export interface RawRequest {
  input: unknown;
  workflowType: string;
  workflowId: string;
  /** The first leg of a drill: it is not begun while the service is halted. */
  drill?: boolean;
}

/** A request made whole, with the part of the topology it concerns. */
export interface Resolved {
  request: Request;
  service: Service;
  components: Record<string, Component>;
  topologyDigest: string;
  lock: string;
  /** Search attributes that are registered on the namespace; only these may be upserted. */
  searchAttributes: string[];
  /** Prefix for links into the Web UI, without a trailing slash; `null` when not configured. */
  ui: string | null;
  namespace: string;
  /** Whom the service's runs tell; absent: nobody. */
  notify?: NotifyView;
}

export interface ObserveCall {
  run: StepCall['run'];
  component: Component;
  region: string | null;
  nodes: string[] | null;
}

export interface PreflightCall extends ObserveCall {
  mode: Mode;
  from: string;
  to: string;
}

export interface WatchCall {
  compile: Omit<CompileInput, 'observations' | 'now'>;
  run: StepCall['run'];
  /** What of the facts is shown now. */
  shown: Material;
  observations: CompileInput['observations'];
  /** News is returned at the earliest after this time, in milliseconds. */
  quietMs: number;
  /** Longest time to watch, in milliseconds; returns `null` when nothing material changed. */
  forMs: number;
}

/** Everything that is not a step of a plan. */
export interface PlanningActivities {
  resolveRequest(raw: RawRequest): Promise<Resolved>;
  observeStore(call: ObserveCall): Promise<NodeObservation[]>;
  observeRouter(call: ObserveCall): Promise<RouterObservation>;
  observeWorkload(call: ObserveCall): Promise<WorkloadObservation>;
  observeCheck(call: ObserveCall): Promise<CheckResult>;
  preflightStore(call: PreflightCall): Promise<Finding[]>;
  readSamples(call: ObserveCall): Promise<SampleReading[]>;
  /** Asks Temporal to cancel the run itself, which is how a workflow gets the status Canceled. */
  cancelRun(call: { workflowId: string; runId: string }): Promise<void>;
  /** The halt that is open for the service. */
  openHalt(call: { service: Pick<Service, 'name' | 'group'> }): Promise<HaltNote | null>;
  probePlace(call: { queue: string }): Promise<{ build: string; at: number }>;
  /** Which way the plan would go, before the stores' own preflight has been asked. */
  findDirection(input: CompileInput): Promise<{ from: string | null; to: string; mode: Mode }>;
  compilePlan(input: CompileInput): Promise<Plan>;
  assessFacts(input: CompileInput): Promise<Facts>;
  /** Observes the control-plane view again and again; returns on a material change of the facts. */
  watchFacts(call: WatchCall): Promise<Facts | null>;
  /** Refreshes the page of manual commands on disk; best effort. */
  writeEscapePage(call: EscapePageCall): Promise<{ path: string }>;
}

export interface EscapePageCall {
  plan: Plan;
  service: Service;
  phase: string;
  run: StepCall['run'];
}

/** What a guard watches: the service's part of the topology. */
export interface Guarded {
  service: Service;
  components: Record<string, Component>;
  /** Workflow ID of the service's runs. */
  lock: string;
  searchAttributes: string[];
}

export interface WatchServiceCall {
  guarded: Guarded;
  /** What people were told last; the watch returns as soon as it would tell something else. */
  shown: Health | null;
  memory: Memory;
  /** By store: what the workers beside the nodes read before this watch began. */
  local: Record<string, NodeObservation[]>;
  /** Longest time to watch, in milliseconds. */
  forMs: number;
}

export interface WatchServiceAnswer {
  why: 'changed' | 'time' | 'topology';
  health: Health;
  memory: Memory;
}

/** What a guard's workflow asks of the control place. */
export interface GuardingActivities {
  /** `null` when the service is not in the topology, or wants no guard. */
  resolveGuarded(call: { service: string }): Promise<Guarded | null>;
  /** Runs on its own task queue: it lasts, and must not take the room of steps. */
  watchService(call: WatchServiceCall): Promise<WatchServiceAnswer>;
  /** Tells all it can before it fails. Told again, only those hear of it who did not take it before. */
  tellPeople(call: { service: string; opened: HealthNews[]; cleared: HealthNews[] }): Promise<void>;
}

/** A finding that has opened, or is over. */
export interface HealthNews extends HealthFinding {
  /** When that was seen: the same for every attempt to tell it. Absent in calls of older builds. */
  at?: Millis;
}

/** What a watch asks: its part of the topology. */
export interface Watched {
  watch: Watch;
  /** Its probes, by name. */
  components: Record<string, Component>;
}

export interface WatchPointCall {
  watched: Watched;
  point: VantagePoint;
  /** What this vantage point has said last; it speaks again as soon as it would say something else. `null`: nothing. */
  shown: PointReport | null;
  memory: PointMemory;
  /** Longest time to ask, in milliseconds. */
  forMs: number;
}

export interface WatchPointAnswer {
  why: 'changed' | 'time';
  report: PointReport;
  memory: PointMemory;
}

/** What a vantage point does: it asks the probes again and again. */
export interface VantageActivities {
  /** Runs on a task queue of its own: it lasts, and must not take the room of steps. */
  watchPoint(call: WatchPointCall): Promise<WatchPointAnswer>;
}

/** What a watch's workflow asks of the control place. */
export interface WatchingActivities {
  /** `null` when the topology has no such watch. */
  resolveWatch(call: { watch: string }): Promise<(Watched & { searchAttributes: string[] }) | null>;
  /** Hands alerts to every trigger that they match. */
  tellTriggers(call: { alerts: Alert[] }): Promise<void>;
  /** Tells people that a watch cannot tell what it is there to tell, or can again. */
  tellOfWatch(call: { watch: string; service: string; state: 'opened' | 'cleared'; text: string }): Promise<void>;
}

/** A trigger of the topology, with what its workflow needs to know besides. */
export interface ResolvedTrigger {
  trigger: Trigger;
  /** Workflow ID of the service's runs. */
  lock: string;
  /** End of the maintenance window that is on, milliseconds since the epoch; `null` when none is. */
  quietUntil: number | null;
  /** Workflow ID of the service's halt. */
  haltId?: string;
  /** The halt that is open: then nothing is started. */
  halt?: HaltNote | null;
}

/** What a trigger's workflow asks of the control place. */
export interface TriggerActivities {
  /** `null` when the topology has no such trigger. */
  resolveTrigger(call: { trigger: string }): Promise<ResolvedTrigger | null>;
  /** How a run stands that the trigger has started. */
  lookAtRun(call: { trigger: string; workflowId: string; runId: string }): Promise<RunSeen>;
  tellOfTrigger(call: { trigger: string; service: string; action: TriggerAction; text: string }): Promise<void>;
}

/** What a drill asks of the control place. */
export interface DrillActivities {
  /** Assertions are CEL, which workflow code does not evaluate. */
  judgeDrill(call: { assertions: Assertion[]; record: RunRecord }): Promise<AssertionRecord[]>;
  /** `null` when the topology has no such drill. */
  resolveDrill(call: { drill: string }): Promise<ResolvedDrill | null>;
  /** Looks now at what may keep it from beginning, besides what a plan finds. */
  surveyDrill(call: { drill: Drill; byPerson: boolean }): Promise<DrillSurvey>;
  /**
   * Runs a command of a chaos drill. It is read from the topology of the worker by the drill's name, so that nobody who
   * can start a workflow can have a command run.
   */
  runChaos(call: { drill: string; which: 'break' | 'restore' }): Promise<{ ms: number }>;
  /** What shows now that something is wrong with the service, in a sentence; `null`: nothing does. */
  noticeTrouble(call: { drill: Drill }): Promise<string | null>;
}

/** A drill of the topology, with what its workflows need to know besides. */
export interface ResolvedDrill {
  drill: Drill;
  /** No two drills of one group are on at the same time. */
  group: string;
  /** Workflow ID of the service's runs. */
  lock: string;
  /** When it is due next, milliseconds since the epoch; `null`: never. */
  nextDueAt: number | null;
}

export interface DrillSurvey {
  /** Why it must not begin now, a sentence each; empty when nothing speaks against it. */
  against: string[];
  /** What counts: `people` until the service has a passed full drill, whatever is written. */
  approvals: 'auto' | 'people';
}

export interface NotifyCall {
  run: StepCall['run'];
  /** Name of the channel in the topology. */
  channel: string;
  /** `event`: one message for it; `card`: the message that shows how the run stands; `thread`: a line beneath that. */
  part: 'event' | 'card' | 'thread';
  event: NewsEvent;
  card: RunCard;
  /** What the channel's last answer gave to be kept, for example where its message stands. */
  kept: Kept | null;
}

/** What a channel wants to be given again with its next call of the same run. No secrets: it is in the history. */
export type Kept = Record<string, string>;

/** Tells people on one channel, in one attempt. */
export interface NotifyActivities {
  notify(call: NotifyCall): Promise<{ kept: Kept | null }>;
}

/** A halt's input made whole, with the part of the topology it concerns. */
export interface HaltTarget {
  service: Service;
  components: Record<string, Component>;
  /** Workflow ID of the service's runs. */
  lock: string;
  topologyDigest: string;
  searchAttributes: string[];
  by: string;
  reason: string;
  /** Whether replicas shall apply no further while it is open. */
  replication: boolean;
}

/** Who holds the lock, and the runs before. */
export interface LockSeen {
  run: HaltedRun | null;
  /** Newest first. */
  recent: PastRun[];
}

export interface ReplayCall extends ObserveCall {
  /** The service's name and group, by which its halt is found. */
  service: Pick<Service, 'name' | 'group'>;
}

/** What a halt asks of the control place; the replay of a replica also of the worker beside it. */
export interface HaltActivities {
  /** @throws of type InvalidInput with a sentence that says what is wrong and what would be right */
  resolveHalt(raw: RawRequest): Promise<HaltTarget>;
  lookAtLock(call: { lock: string }): Promise<LockSeen>;
  readReplay(call: ObserveCall): Promise<ReplayFact[]>;
  /** Refused when the halt is over, so that an attempt that wakes up late pauses nothing for ever. */
  pauseReplay(call: ReplayCall): Promise<ReplayFact[]>;
  resumeReplay(call: ObserveCall): Promise<ReplayFact[]>;
  recoveryPoints(call: ObserveCall): Promise<RecoveryFact[]>;
  tellOfHalt(call: { service: string; state: 'opened' | 'cleared'; text: string; remedy: string }): Promise<void>;
}

/** What a comparison asks of the control place. */
export interface ComparingActivities {
  /** `null` when the topology has no such comparison. */
  resolveComparison(call: { comparison: string }): Promise<Comparison | null>;
  /** @param call.id the same for every attempt of a round */
  compareData(call: { comparison: Comparison; id: string; again?: string[][] }): Promise<ComparisonRecord>;
  /** @param call.since since when it stands; @param call.news whether people are told */
  reportComparison(call: {
    record: ComparisonRecord;
    since: { diverged: number | null; lagging: number | null };
    news: 'opened' | 'cleared' | null;
  }): Promise<void>;
}

export interface RunSeen {
  open: boolean;
  /** How it ended, in a word of Temporal's; empty while it is open. */
  text: string;
  /** When it ended, milliseconds since the epoch; 0 while it is open. */
  closedAt: number;
  /** The trigger's cooldown, in milliseconds; 0 when the topology has it no more. */
  cooldownMs: number;
}

export type StepActivities = {
  [V in Exclude<Verb, 'observeStore' | 'preflightStore' | 'ownActivity' | 'ownWorkflow'>]: (
    call: StepCall,
  ) => Promise<Receipt>;
} & {
  finalObservation(call: StepCall): Promise<Receipt>;
  preflightStep(call: StepCall): Promise<Receipt>;
};
