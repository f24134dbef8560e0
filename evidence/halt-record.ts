/**
 * The record of a halt: who stopped the automation of a service and why, what was seen then, what was stopped, from what
 * the data of an earlier moment could be had again. Types only. It holds no secrets by construction.
 */
import type {
  CheckResult,
  Millis,
  NodeObservation,
  RecoveryFact,
  ReplayFact,
  RouterObservation,
  SampleReading,
  WorkloadObservation,
} from '../drivers/ports.ts';

/** A run that held the service's lock when the halt began. */
export interface HaltedRun {
  workflowId: string;
  runId: string;
  type: string;
  startedAt: Millis;
  /** Stage, or what else it was doing; `null` when no worker said. */
  phase: string | null;
  /** Inside its cut: writes are stopped, and it goes on to the other side of it before it pauses. */
  cut: boolean;
  paused: boolean;
  gate: string | null;
}

export interface PastRun {
  runId: string;
  type: string;
  status: string;
  startedAt: Millis;
  closedAt: Millis | null;
}

/** A replica, and what the halt did with it. */
export interface HaltedReplica {
  component: string;
  region: string;
  node: string;
  /** Before the halt touched it; `null` when it could not be read. */
  before: ReplayFact | null;
  /** When the halt had paused it; `null`: it is not paused by this halt, `now` says why. */
  pausedAt: Millis | null;
  /** Read last. */
  now: ReplayFact;
  /** It was found going on although paused before: a restart forgets the pause. Each time, newest last. */
  slipped: Millis[];
}

export interface RecoveryChoice extends RecoveryFact {
  component: string;
}

export interface HaltRecord {
  version: 1;
  workflowId: string;
  runId: string;
  service: string;
  owner: string;
  by: string;
  reason: string;
  startedAt: Millis;
  /** `stopping`: on its way; `open`: in force; `ending`: what it stopped is being put back; `closed`. */
  state: 'stopping' | 'open' | 'ending' | 'closed';
  endedAt: Millis | null;
  ended: { by: string; reason: string; at: Millis } | null;
  /** What was said to the run under the lock; `null`: none was on. */
  run: (HaltedRun & { told: string }) | null;
  recent: PastRun[];
  /** The service as it was seen when the halt began. */
  observed: {
    at: Millis;
    stores: Record<string, NodeObservation[]>;
    routers: Record<string, RouterObservation>;
    workloads: Record<string, WorkloadObservation[]>;
    checks: Record<string, Record<string, CheckResult>>;
    /** The sampler's last readings, oldest first. */
    samples: Record<string, SampleReading[]>;
  } | null;
  replicas: HaltedReplica[];
  /** Components whose driver cannot pause replication, and why nothing was paused where it could. */
  unpaused: Array<{ component: string; text: string }>;
  recovery: RecoveryChoice[];
  /** What the topology says about a component's recovery: a runbook, for people. */
  runbooks: Array<{ component: string; text: string }>;
  notes: Array<{ at: Millis; by: string; text: string }>;
  log: Array<{ at: Millis; text: string }>;
  /** What could not be put back at the end, with the command that does it. */
  leftover: string[];
}
