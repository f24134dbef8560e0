/** What a guard says about a service: types only, shared by the judgement, the guard's workflow and those who show it. */
import type { Lag, Millis, NodeObservation, RouterObservation, Weights } from '../../drivers/ports.ts';
import type { Component, RegionName, Service } from '../../topology/model.ts';

export type Severity = 'critical' | 'warning' | 'info';

export type HealthCode =
  | 'twoWritable'
  | 'noneWritable'
  | 'fenceForgotten'
  | 'writerAstray'
  | 'noWeights'
  | 'trafficElsewhere'
  | 'routerUnreadable'
  | 'routerNotApplied'
  | 'nodeUnreadable'
  | 'lagAboveObjective'
  | 'lagUnknown'
  | 'protectionDebt'
  | 'syncSuspended'
  | 'openJournal'
  | 'orphanSlot'
  | 'slotLost'
  | 'proofOld'
  | 'neverProven'
  | 'topologyUnreadable';

export interface HealthFinding {
  code: HealthCode;
  severity: Severity;
  component: string | null;
  region: RegionName | null;
  message: string;
  /** What to do about it. */
  remedy: string;
  /** When it was first seen. */
  since: Millis;
}

/** A run under the service's lock. */
export interface LiveRun {
  workflowId: string;
  runId: string;
  type: string;
  startedAt: Millis;
}

/** The last failover or failback that went through to its end. */
export interface LastProof {
  runId: string;
  type: string;
  at: Millis;
}

export interface Health {
  service: string;
  /** When it was judged; the guard's query holds the last one that differed, or was a quarter of an hour old. */
  at: Millis;
  verdict: 'well' | 'warning' | 'critical';
  /** By store: where its one writable side is; `null` when there is none, or more than one. */
  active: Record<string, { region: RegionName; node: string; timeline: number | null } | null>;
  /** By store and node: how far each replica is behind. */
  lag: Record<string, Record<string, Lag | null>>;
  weights: Record<string, Weights | null>;
  run: LiveRun | null;
  lastProof: LastProof | null;
  findings: HealthFinding[];
  /** An old primary that is back, when there is one: `doubts` empty = it is certain that `from` is the old side. */
  returned: { from: RegionName; to: RegionName; text: string; doubts: string[] } | null;
}

/** What the judgement carries from one look to the next. */
export interface Memory {
  /** By code, component and region: since when it is seen. */
  since: Record<string, Millis>;
  lastProof: LastProof | null;
}

/** One look at a service. */
export interface Look {
  service: Service;
  components: Record<string, Component>;
  stores: Record<string, NodeObservation[]>;
  routers: Record<string, RouterObservation>;
  run: LiveRun | null;
  lastProof: LastProof | null;
  /** Why the topology could not be read anew; the service is watched as it was. */
  topologyError: string | null;
}
