/**
 * What exists: the validated, normalised topology. Types only, so that every layer may import it,
 * workflow code included. Values are secret-free: secrets stay references (`${env:NAME}`, `${file:/path}`).
 */

import type { Capabilities, FenceStrength, Json, Role } from '../drivers/ports.ts';
import type { AlertSource, Trigger } from './alerts.ts';
import type { Notifications } from './channels.ts';
import type { Comparison } from './divergence.ts';
import type { Drill } from './drill.ts';
import type { Watch } from './watches.ts';

export type RegionName = string;
export type ServiceName = string;
export type ComponentName = string;
export type TierName = string;

export interface Region {
  name: RegionName;
  /** Free labels for people, for example `{cloud: aws}`. */
  labels: Record<string, string>;
}

export interface Tier {
  name: TierName;
  /** Recovery time objective in milliseconds. */
  rtoMs: number;
  /** Recovery point objective in milliseconds. */
  rpoMs: number;
  /** Longest time nobody may be able to write (quiesce to route), in milliseconds. */
  freezeBudgetMs: number;
  /** The weakest fence proof that lets a promotion go on without a person's word. */
  fenceProof: FenceStrength;
  /** Of every service of the tier; in a parsed service they stand with the service's own. */
  assertions?: Assertion[];
}

/** Something a run must have achieved, in the service's own words. */
export interface Assertion {
  name: string;
  /** CEL over the run record, see assertions.ts: `run.writeUnavailable <= duration("2m")`. */
  expr: string;
  /** `fail` (the default): the run has not passed without it; `warn`: it is a finding. */
  severity?: 'fail' | 'warn';
  /** Actions whose runs it is about; absent: every run that it is given for. */
  actions?: string[];
}

/** One node of a component's side: one server process, one load balancer entry, … */
export interface Node {
  name: string;
  /** Where its steps run; `undefined` means the region's own queue or the control queue, see `queue`. */
  place?: string;
  /** The Temporal task queue of its steps: `rampart`, `rampart.<region>` or `rampart.<region>.<place>`. */
  queue: string;
  /** The driver's configuration of this node, validated by the driver's node schema, secrets as references. */
  config: Record<string, Json>;
}

export interface Side {
  region: RegionName;
  nodes: Node[];
}

/** One driven thing. A plan carries components whole, so that a running plan never reads the topology again. */
export interface Component {
  name: ComponentName;
  type: string;
  role: Role;
  /** Task queue of the steps that concern the component as a whole (a router's file, an API call). */
  queue: string;
  /** The driver's configuration common to all sides, validated by the driver, secrets as references. */
  config: Record<string, Json>;
  sides: Record<RegionName, Side>;
  capabilities: Capabilities;
  /** Where people find how its data is restored: a link or a sentence. */
  recovery?: string;
}

export interface Ramp {
  /** Shares, in percent of the source's starting weight, that have moved after each step; rising, last 100. */
  steps: number[];
  /** Time to hold and watch after each weight, the last one included, in milliseconds. */
  bakeMs: number;
  /** Interval of the checks during a bake, in milliseconds. */
  intervalMs: number;
  /** Names of check components evaluated during each bake. */
  analysis: ComponentName[];
  /** Failed measurements tolerated per bake: the bake fails when failed > failureLimit. */
  failureLimit: number;
  /** What a breached analysis leads to after the traffic has stepped back to the last good weights. */
  onFailure: 'rollback' | 'hold';
  /** What an unplanned failover does: follow the ramp or move all traffic at once. */
  unplanned: 'ramp' | 'jump';
}

export type GateName = 'cutover' | 'promote' | 'rebuild' | 'loss' | 'needsHuman';

export interface ApprovalPolicy {
  /** Number of distinct people needed. 0 = the gate opens by itself when nothing in its facts asks for a person. */
  required: number;
  /** Who may decide; empty means anybody who names themselves. */
  approvers: string[];
  /** Whether the requester may approve their own request. */
  fourEyes: boolean;
  /** How long the gate waits, in milliseconds. */
  timeoutMs: number;
  onTimeout: 'reject' | 'hold' | 'proceed';
  /** After this time (milliseconds) the second group may decide as well. */
  escalateAfterMs?: number;
  escalateTo: string[];
}

export type OwnStepKind = 'command' | 'http' | 'activity' | 'workflow';

/** A team's own step: runs in the named stage of every plan of its service, checked like the built-in ones. */
export interface OwnStep {
  name: string;
  stage: string;
  summary: string;
  kind: OwnStepKind;
  /** Which side it runs for: once at the source, once at the target, or once for the run. */
  at: 'from' | 'to' | 'run';
  /** Task queue override for `activity` and `workflow`. */
  taskQueue?: string;
  /** What to do: argument list, request, or activity/workflow type with its input. */
  config: Record<string, Json>;
  undo?: { kind: OwnStepKind; config: Record<string, Json>; taskQueue?: string };
  effect: 'none' | 'reversible' | 'irreversible';
  deadlineMs: number;
  onFailure: 'rollback' | 'hold' | 'continue';
  /** Actions it applies to; empty means all. */
  actions: string[];
}

/** What reports say of a service besides its runs. */
export interface EvidenceContext {
  environment?: string;
  assumptions?: string[];
  /** Business impact analysis, risk assessment, policy: texts or addresses. */
  references?: string[];
  thirdParties?: string[];
}

/** How a service is watched beside its runs. */
export interface GuardPolicy {
  enabled: boolean;
  /** Between two looks, in milliseconds. */
  intervalMs: number;
  /** Age of the last completed failover or failback from which the guard asks for a new one, in milliseconds. */
  proofAgeMs: number;
}

export interface Service {
  name: ServiceName;
  /** With the service's own objectives in place of the tier's, where it has any. */
  tier: Tier;
  owner: string;
  home: RegionName;
  standby: RegionName[];
  dependsOn: ServiceName[];
  components: ComponentName[];
  checks: ComponentName[];
  ramp: Ramp;
  approvals: Record<GateName, ApprovalPolicy>;
  /** Services of one group share a lock and move together. */
  group?: string;
  /** The other services of its group, where this is what a run moves (`withGroup`). */
  movesWith?: ServiceName[];
  /** `global`: every region's app writes through the writer endpoint; `local`: an app writes only in the active region. */
  writes: 'global' | 'local';
  /** Greatest replication lag at which a planned cut-over may begin, in milliseconds and bytes. */
  cutoverLag: { ms: number; bytes: number };
  onFailure: { planned: 'rollback' | 'hold'; unplanned: 'hold' | 'rollback' };
  /** What follows when an old primary starts again by itself; absent: `notify`. Parsed services always have it. */
  returningPrimary?: 'fence' | 'notify';
  /** Absent: no guard. Parsed services always have it. */
  guard?: GuardPolicy;
  /** The tier's and the service's own; absent: none. */
  assertions?: Assertion[];
  /** What reviewers ask for and no run can know by itself; absent: nothing was written down. */
  evidence?: EvidenceContext;
  steps: OwnStep[];
}

/** Where reports are filed. Secrets are references. */
export type ReportStore = (
  | { kind: 'folder'; path: string }
  | {
      kind: 's3';
      bucket: string;
      /** Before every key: empty, or ending with a slash. */
      prefix: string;
      region?: string;
      endpoint?: string;
      pathStyle: boolean;
      accessKeyId?: string;
      secretAccessKey?: string;
    }
) & {
  /** Private key that signs reports, as a reference. */
  key?: string;
};

export interface Topology {
  version: 1;
  /** SHA-256 of the canonical form of regions, tiers, components and services; part of every plan's digest. */
  digest: string;
  /** Where it was read from, for people. */
  path: string;
  regions: Record<RegionName, Region>;
  tiers: Record<TierName, Tier>;
  components: Record<ComponentName, Component>;
  services: Record<ServiceName, Service>;
  /** Where control workers file reports by themselves; absent: nowhere. No part of the digest. */
  reports?: ReportStore;
  /** Who may tell that something is wrong, and what follows. No plan depends on them: they are not part of the digest. */
  alertSources: Record<string, AlertSource>;
  triggers: Record<string, Trigger>;
  /** What two regions hold, compared; absent: nothing is. No plan depends on it. */
  divergence?: Record<string, Comparison>;
  /** Whom the runs tell; absent: nobody. No part of the digest either. */
  notifications?: Notifications;
  /** What is rehearsed, and when. Not part of the digest either. */
  drills: Record<string, Drill>;
  /** Rampart's own probes; not part of the digest either. */
  watches: Record<string, Watch>;
}

/** Workflow ID of a service's halt: as the lock, one for a whole group, because its services move together. */
export function haltOf(service: Pick<Service, 'name' | 'group'>): string {
  return `halt/${service.group ?? service.name}`;
}

/** The lock a service's runs hold: its group's if it has one. */
export function lockOf(service: Pick<Service, 'name' | 'group'>): string {
  return `failover/${service.group ?? service.name}`;
}
