/**
 * The interfaces every driven system is reached through, and the facts they speak in.
 * Types only: importable from pure and workflow code.
 *
 * Every method is a desired-state call: look first; already there → a receipt with `already: true`; else act and
 * poll until observed. It may be called again at any time, concurrently by a stale attempt, or after a crash in
 * its middle. Unreachable, healthy and down are three different answers; unknown never counts as good.
 */
import type { ZodType } from 'zod';
import type { Component, RegionName } from '../topology/model.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Role = 'store' | 'router' | 'workload' | 'check';

/** Milliseconds since the epoch. */
export type Millis = number;

/**
 * How sure it is that the old primary cannot accept a write, strongest first:
 * `stopped`: stopped and unable to restart writable; `provider`: the provider says the writer moved;
 * `sessions`: no session can write, verified; `lease`: its lease ran out; `person`: somebody accepts in writing; `none`.
 */
export type FenceStrength = 'stopped' | 'provider' | 'sessions' | 'lease' | 'person' | 'none';

/** A place in a store's stream of changes. */
export interface Position {
  /** As the system prints it, for example `0/3054458`. */
  text: string;
  /** Decimal integer that orders positions of one timeline (for PostgreSQL the byte address). A string: exceeds 2^53. */
  order: string;
  timeline: number;
}

export interface Lag {
  /** Bytes the replica has not applied; `null` when not known. */
  bytes: number | null;
  /** Seconds of change the replica has not applied; 0 on an idle, caught-up replica; `null` when not known. */
  seconds: number | null;
  measuredAt: Millis;
  /** Age, in milliseconds at `measuredAt`, of the source's side of the comparison. */
  freshnessMs: number;
  /** False when the source's position could not be read within the driver's freshness bound: then this is no reading. */
  fresh: boolean;
}

/** Where a claim came from and what it says; kept per place by the driven system. */
export interface Claim {
  epoch: number;
  runId: string;
  seq: number;
  at: Millis;
}

/** What a run writes down outside Temporal before it changes anything, so that its undos survive every history. */
export interface Journal {
  runId: string;
  workflowId: string;
  epoch: number;
  service: string;
  component: string;
  /** Original settings to put back, by step id; and under `move`, from where to where the run that read them was to go. */
  saved: Record<string, Json>;
  fencedAt: Millis | null;
  freezeBudgetMs: number;
  lastTouched: Millis;
  open: boolean;
}

/** What every mutation carries so that a stale or second actor is refused. */
export interface Token {
  systemId: string | null;
  expectedTimeline: number | null;
  epoch: number;
  runId: string;
  seq: number;
}

export interface ReplicaFact {
  node: string;
  state: string;
  applied: Position | null;
  lag: Lag;
  sync: 'sync' | 'potential' | 'quorum' | 'async' | 'unknown';
}

/** What a server keeps of its log for somebody. */
export interface SlotFact {
  name: string;
  logical: boolean;
  /** Somebody reads from it now. */
  active: boolean;
  /** The node of the topology it is for; `null` = none of them. */
  holder: string | null;
  /** How much of the log it keeps, in bytes; `null` = not known. */
  heldBytes: number | null;
  /** What its holder still needed is gone. */
  lost: boolean;
}

export type NodeState = 'writable' | 'replica' | 'fenced' | 'stopped' | 'unreachable' | 'unknown';

export interface NodeObservation {
  node: string;
  region: RegionName;
  /**
   * `writable`: accepts writes; `replica`: in recovery; `fenced`: proven unable to write; `stopped`: not running and
   * nothing keeps it from starting writable; `unreachable`: nobody answered; `unknown`: answered, but not conclusively.
   */
  state: NodeState;
  /** `local`: read by a worker beside it (control data, files); `network`: only by its client protocol. */
  via: 'local' | 'network';
  observedAt: Millis;
  systemId: string | null;
  timeline: number | null;
  /** Writable: end of its log. Replica: applied. Fenced or stopped: final position, when proven. */
  position: Position | null;
  /** Replica: the greatest position received, information only. */
  received: Position | null;
  /** Replica: what it replicates from, as `host:port` plus the node it is, when known. */
  upstream: { address: string; node: string | null; streaming: boolean } | null;
  /** Replica: against the present position of the primary that its log comes from, when that could be read. */
  lag: Lag | null;
  replicas: ReplicaFact[];
  fence: { strength: FenceStrength; finalPosition: Position | null; durable: boolean } | null;
  sync: { enabled: boolean; cancelledWaiters: 'none' | 'possible' | 'unknown' } | null;
  claim: Claim | null;
  journal: Journal | null;
  /** Unreachable, and the network says that nothing listens at its address: whoever saw it stopped is confirmed by that. */
  notListening?: boolean;
  /** Writable: settings of synchronous replication that Rampart has set aside there; absent = none, or not known. */
  suspended?: string[];
  /** Places in its log that it keeps for others; absent where that cannot be read. */
  slots?: SlotFact[];
  /** One sentence for people: why it is unreachable or unknown, or what is special. */
  detail: string;
}

export interface Finding {
  code: string;
  severity: 'blocker' | 'warning' | 'info';
  component: string | null;
  region: string | null;
  message: string;
  /** What to do about it, in the imperative. */
  remedy: string;
  /** Override code that lets a person accept it; absent = cannot be overridden. */
  override?: string;
}

/** What an activity returns: small, typed, secret-free. */
export interface Receipt {
  /** True when the desired state was already there and nothing was changed. */
  already: boolean;
  at: Millis;
  /** One sentence of what was observed. */
  summary: string;
  facts: Record<string, Json>;
}

/** `facts.stoppedWrites`: true when this run's fence stopped a side that could write until then, in whichever attempt. */
export interface FenceReceipt extends Receipt {
  fence: {
    region: RegionName;
    /** I1: what proves that it cannot write. */
    cannotWrite: FenceStrength;
    /** I3: the last position it can ever have acknowledged; `null` = unknown. */
    finalPosition: Position | null;
    durable: boolean;
    systemId: string | null;
    timeline: number | null;
    epoch: number;
    /** True when it must be rewound or rebuilt before it can follow the new primary. */
    needsRewind: boolean;
    provenAt: Millis;
  };
}

export interface LossStatement {
  kind: 'none' | 'measured' | 'bounded' | 'unknown';
  /** The window in which acknowledged writes may be missing; `toTime: null` = still open. ISO 8601. */
  fromTime: string | null;
  toTime: string | null;
  seconds: number | null;
  /** Lower bound in bytes. */
  atLeastBytes: number | null;
  /** Upper bound, only if the source's end of log was read. */
  atMostBytes: number | null;
  /** What synchronous replication does and does not promise here. */
  note: string;
}

export interface CatchUpReceipt extends Receipt {
  catchUp: {
    region: RegionName;
    node: string;
    applied: Position | null;
    received: Position | null;
    complete: boolean;
    loss: LossStatement;
  };
}

export interface PromoteReceipt extends Receipt {
  promote: { region: RegionName; node: string; timeline: number; forkPosition: Position | null };
}

export interface ClaimReceipt extends Receipt {
  claim: { region: RegionName; previous: Claim | null; current: Claim | null };
}

/** What one node of a former primary's side holds that the new primary never got. Bounded in size; no row itself. */
export interface LeftBehind {
  node: string;
  region: RegionName;
  /** `none`: nothing was committed there that did not arrive; `unreadable`: `note` says why. */
  kind: 'none' | 'listed' | 'unreadable';
  /** Where the histories part, and the last place that was read. */
  from: Position | null;
  to: Position | null;
  bytes: number | null;
  /** Committed transactions that changed rows of tables; `null` = not known. */
  transactions: number | null;
  /** Commits beside them: changes of the schema, sequences, or rows that were changed before the histories part. */
  otherCommits: number;
  /** ISO 8601, by the former primary's clock. */
  firstCommit: string | null;
  lastCommit: string | null;
  /** Most changed first. `select`: reads the rows on the old side; `null` = it cannot. */
  tables: Array<{
    database: string;
    table: string;
    inserted: number;
    updated: number;
    deleted: number;
    select: string | null;
  }>;
  /** Tables that are not listed one by one. */
  moreTables: number;
  /** False: there is more than was read. */
  complete: boolean;
  note: string;
}

/** `facts.leftBehind` holds a {@link LeftBehind} per node. */
export type LeftBehindReceipt = Receipt;

/** How far a replica has applied the stream of changes, and whether it goes on. */
export interface ReplayFact {
  node: string;
  region: RegionName;
  /**
   * `applying`: takes changes in; `pausing`: told not to, and does until it has noticed, which may take as long as what
   * it waits for; `paused`: told not to; `none`: no replica; `unknown`: `detail` says why.
   */
  state: 'applying' | 'pausing' | 'paused' | 'none' | 'unknown';
  applied: Position | null;
  /** Got, and perhaps not applied: a promotion would apply it. */
  received: Position | null;
  /** When the last transaction that was applied committed, by the source's clock. */
  lastCommitAt: Millis | null;
  at: Millis;
  /** Whether this call changed the state. */
  changed: boolean;
  detail: string;
}

/** Something from which the data of an earlier moment could be had again, or the lack of it. Observed, never assumed. */
export interface RecoveryFact {
  kind: 'replica' | 'archive' | 'backup';
  node: string | null;
  region: RegionName | null;
  /** Newest moment that it is known to reach; `null` = not known, or nothing is there. */
  reaches: Millis | null;
  /** What is there, and how it is used, for people. */
  text: string;
}

/** A key that differs, and did so when it was looked at again. */
export interface KeyVerdict {
  key: string[];
  /**
   * `missing`: only the other side has it; `firstWriteWins`: both have it, and one wrote first; `conflict`: both have
   * it, and no timestamp tells them apart.
   */
  kind: 'missing' | 'firstWriteWins' | 'conflict';
  /** missing: where it is not; firstWriteWins: who wrote first; conflict: `null`. */
  region: string | null;
  /** When each side wrote it, by the row's own timestamp column. */
  at: Record<string, Millis | null>;
}

export interface ComparisonResult {
  regions: [string, string];
  /** False: not everything was looked at, or something changed at every look; `notes` say why. */
  complete: boolean;
  /** Something that differs was not read: a bound was met. Absent in records of older builds: as `complete` says. */
  limited?: boolean;
  /** So many of the keys that differed before were looked at again. Absent in records of older builds: none. */
  again?: number;
  notes: string[];
  /** Of the key ranges, how many were looked at, and differed. */
  ranges: { looked: number; of: number; different: number };
  /** By region, in the ranges that were looked at; `read`: one by one. */
  rows: Record<string, number>;
  counts: {
    missing: Record<string, number>;
    firstWriteWins: Record<string, number>;
    conflict: number;
    /** Differed and changed at every look: nothing is said about them. */
    changing: number;
    /** Differed at first, and were the same when they were looked at again. */
    settled: number;
  };
  keys: KeyVerdict[];
  /** How far one side was behind the other, at least, by what was on its way; `null`: nothing was, or it has no timestamp. */
  lagAtLeastMs: number | null;
}

/** What a driver is given at each call. */
export interface DriverContext {
  /** Aborts when the activity is cancelled or its worker stops. Every wait must honour it. */
  signal: AbortSignal;
  /** Reports progress facts; also how cancellation reaches the activity. */
  heartbeat(facts: Record<string, Json>): void;
  now(): Millis;
  log: DriverLog;
  /** Resolves a secret reference (`${env:NAME}`, `${file:/path}`); a plain string is returned as it is. Never log it. */
  secret(ref: string): Promise<string>;
  /** `undefined` on reads; required by every mutating method of a store. */
  token?: Token;
  /** The place this worker serves. */
  place: { region: RegionName | null; place: string | null };
  /** Directory private to this worker's place, for claims and journals of systems without a data directory of their own. */
  stateDir: string;
  run: { workflowId: string; runId: string; service: string };
  /** Nobody waits for the answer: the provider's request limits are left to runs. */
  watching?: true;
  /** Codes of risks that people have accepted by name for this run; the run records who and why. */
  overrides?: readonly string[];
}

export interface DriverLog {
  debug(message: string, facts?: Record<string, unknown>): void;
  info(message: string, facts?: Record<string, unknown>): void;
  warn(message: string, facts?: Record<string, unknown>): void;
  error(message: string, facts?: Record<string, unknown>): void;
}

/** The nodes a call concerns: one region's, restricted to those whose steps run at this worker's place. */
export interface At {
  region: RegionName;
  /** Node names; all of the side when absent. */
  nodes?: string[];
}

export interface Capabilities {
  role: Role;
  /**
   * store, router: how often who only watches may look, in milliseconds: an account's request limit is shared by every
   * service, run and person that uses it. Absent: as often as they like.
   */
  lookEveryMs?: number;
  /** store: staged = fence, catch up, promote apart; atomic = one provider call switches. */
  cutover?: 'staged' | 'atomic';
  fenceProofs?: FenceStrength[];
  /** store: whether an old primary can return without copying everything. */
  rewind?: boolean;
  /** store: whether a replica can be told to apply no further, and later to go on. Absent: it cannot. */
  pausesReplay?: boolean;
  /** router: weighted = percent with sum 100; onOff; endpoint = exactly one region. */
  kind?: 'weighted' | 'onOff' | 'endpoint';
  /** router: smallest step in percent. */
  resolutionPercent?: number;
  /** router: how long clients may keep the old answer, in milliseconds. */
  ttlMs?: number;
  /** router: what is known after a change. */
  verify?: 'sampled' | 'readback';
  /** router: what a weight is, where it is no share of the traffic: `traffic dial`. Absent: it is one. */
  nominal?: string;
  /** What cannot be verified, for the plan's warnings. */
  unverifiable?: string[];
  /** router, workload: its port has a `preflight`, which is asked before a plan and as a step of it. Stores always have one. */
  preflight?: true;
  /** router: its port has `fence`: a region with weight 0 might else get traffic again when the others are unhealthy. */
  fences?: true;
  /** router: what `prepare` may wait for by design (an old TTL to run out), in milliseconds, on top of its usual limit. */
  prepareMs?: number;
  /**
   * router: how long a change may take until it is applied everywhere; workload: until its units run, or have ended.
   * In milliseconds, on top of the step's usual limit.
   */
  applyMs?: number;
}

export interface Store {
  /** Reads every node of the side (or those given); never throws for an unreachable node. */
  observe(at: At): Promise<NodeObservation[]>;
  /** One cheap reading for the sampler: position and role. */
  sample(at: At): Promise<NodeObservation[]>;
  /** What stands in the way. How much lag is too much is judged by the plan, and waited for by `converge`. */
  preflight(mode: 'planned' | 'unplanned', from: RegionName, to: RegionName): Promise<Finding[]>;
  readClaim(at: At): Promise<ClaimReceipt>;
  /** Compare-and-set: accepted when `token.epoch` is greater than the stored epoch, or is the same claim. Opens the journal. */
  claim(at: At, journal: Journal): Promise<ClaimReceipt>;
  /** Saves into and touches the open journal of this claim; `open: false` closes it. */
  journal(at: At, change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>): Promise<Receipt>;
  /** Waits until `to` lags no more than the limits and the source is checkpointed, so that the freeze is short. */
  converge(from: RegionName, to: RegionName, limit: { ms: number; bytes: number }): Promise<Receipt>;
  fence(at: At): Promise<FenceReceipt>;
  /** Refused (`Conflict`) when the target is promoted, the claim is not ours, or the deadline has passed. */
  unfence(at: At, guard: { to: RegionName; deadline: Millis | null }): Promise<Receipt>;
  /** `fence` undefined or without final position: records what was reached and states the loss. */
  awaitCatchUp(fence: FenceReceipt | null, to: At, samples: SampleReading[]): Promise<CatchUpReceipt>;
  /** Read only: is the fence still in force? */
  prove(at: At): Promise<FenceReceipt>;
  /** `proof: null` only with a recorded override. Asks "already promoted?" first. */
  promote(
    to: At,
    from: RegionName,
    proof: FenceReceipt | null,
    planned: { timeline: number | null },
  ): Promise<PromoteReceipt>;
  /**
   * Writes a higher token; `facts.revoked` is true only when no promotion has begun and the node reads back in recovery.
   * Atomic stores: only when no switch is under way and the writer is where it was.
   */
  revokePromote(to: At): Promise<Receipt>;
  /** Exactly one writable node, a write probe, and settings that cannot hang the first commit. */
  verifyWritable(to: At, from: RegionName): Promise<Receipt>;
  /** Reads only: what the side holds that the primary never got. Before anything rewinds it. */
  leftBehind?(at: At, primary: RegionName): Promise<LeftBehindReceipt>;
  /** Makes the old primary follow the new one without destroying anything; `facts.needs: 'rebuild'` when it cannot. */
  rejoin(at: At, primary: RegionName): Promise<Receipt>;
  /** Destructive: rewind or copy anew; keeps the old data aside. Only behind its gate. */
  rebuild(at: At, primary: RegionName): Promise<Receipt>;
  /** Lets go of data kept aside by `rebuild`. */
  release(at: At): Promise<Receipt>;
  drainOutgoing?(from: RegionName): Promise<Receipt>;
  /** Reads only. Never throws for a node that does not answer. With `pausesReplay`, like the two after it. */
  readReplay?(at: At): Promise<ReplayFact[]>;
  /**
   * Makes replicas apply no further, read back; one that has not noticed yet is `pausing`. One that must go on (commits
   * wait for it) is left as it is, and says so.
   */
  pauseReplay?(at: At): Promise<ReplayFact[]>;
  /** Makes replicas that are `paused` or `pausing` go on, read back. */
  resumeReplay?(at: At): Promise<ReplayFact[]>;
  /** Reads only: from what the data of an earlier moment could be had again, as far as the system itself knows. */
  recoveryPoints?(at: At): Promise<RecoveryFact[]>;
  /**
   * Atomic stores: the one provider call. Looks first: already the writer → `already`; a switch to the same target
   * under way → only waited for; else the call is sent once, in this mode and never in another, and waited for until
   * the provider says how it ended. May take half an hour: report milestones by `heartbeat`.
   * @throws NotApplied: the provider gave it up, the writer is where it was; ProviderUnavailable: nothing is known, ask
   * again; DeadlineExceeded: it is still under way; Conflict for a stale token
   */
  switchover?(from: RegionName, to: RegionName, mode: 'planned' | 'unplanned'): Promise<PromoteReceipt>;
  /** The manual commands for the store's present state, step by step, for when nothing of Rampart runs. */
  escape(from: RegionName, to: RegionName): Promise<StoreEscape>;
}

/** Lines for a shell; `#` begins an explanation, or what depends on what people see. The others can be run as they stand. */
export interface StoreEscape {
  /** What makes the target take writes. */
  now: string[];
  /** What protects the service again, once clients are served. */
  later: string[];
}

/** A sampler's past reading of one node, kept outside its region. */
export interface SampleReading {
  node: string;
  region: RegionName;
  position: Position | null;
  state: NodeState;
  at: Millis;
  /** Writable: whether it replicated synchronously then; absent = not told. */
  sync?: NodeObservation['sync'];
}

/** Weights in percent by region; they add up to 100. */
export type Weights = Record<RegionName, number>;

export interface RouterObservation {
  reachable: boolean;
  weights: Weights | null;
  /** Whether what is configured is what the system says it applies. */
  applied: boolean;
  observedAt: Millis;
  detail: string;
  claim: Claim | null;
}

export interface Router {
  observe(): Promise<RouterObservation>;
  /** Reads only: what stands in the way. Together with `capabilities.preflight`. */
  preflight?(mode: 'planned' | 'unplanned', from: RegionName, to: RegionName): Promise<Finding[]>;
  /**
   * Sets and reads back. Never all zero. Weight 0 is written, not left out. `base`: refuse (`Conflict`) when it has changed.
   * @param found what `save` read while these weights stood before; for a system that has more than one way to have them
   */
  setWeights(weights: Weights, found?: Record<string, Json>): Promise<Receipt>;
  /** Counts what clients get, where that can be sampled; `facts.observed` holds percent by region. */
  verifyWeights(weights: Weights): Promise<Receipt>;
  /** Reads what `prepare` will change (TTL, …), for the undo. */
  save(): Promise<Receipt>;
  /** `wait: false`: asks for it and does not wait for what was before to run out, since the run cannot wait either. */
  prepare(options?: { wait: boolean }): Promise<Receipt>;
  restore(saved: Record<string, Json>): Promise<Receipt>;
  /**
   * Keeps the system from answering with the region by itself, whatever becomes of the others; with `capabilities.fences`.
   * Traffic for the region (`setWeights`) lifts it.
   * @throws PreconditionFailed where nobody else would serve, or nothing is there to fence by
   */
  fence?(region: RegionName): Promise<Receipt>;
  escape(to: RegionName): Promise<string[]>;
}

export type WorkloadState = 'active' | 'standby' | 'drained' | 'unknown';

export interface WorkloadObservation {
  region: RegionName;
  reachable: boolean;
  state: WorkloadState;
  ready: boolean | null;
  /** Requests in flight, when the system says. */
  inflight: number | null;
  capacity: { present: number; wanted: number } | null;
  observedAt: Millis;
  detail: string;
  /** The greatest token the workload has taken, when it keeps one. */
  claim?: Claim | null;
}

export interface Workload {
  observe(region: RegionName): Promise<WorkloadObservation>;
  /** Reads only: what stands in the way. Together with `capabilities.preflight`. */
  preflight?(mode: 'planned' | 'unplanned', from: RegionName, to: RegionName): Promise<Finding[]>;
  /** Reads what `scale`, `quiesce` and `drain` change, for the undo. */
  save(region: RegionName): Promise<Receipt>;
  /**
   * Healthy and with capacity for the traffic to come. `wait: false` only asks for it: without its database an app may
   * not get ready, and an unplanned run must not wait for that before it promotes.
   */
  scale(region: RegionName, options?: { wait: boolean }): Promise<Receipt>;
  /** Stops writes in the region; reads may go on. */
  quiesce(region: RegionName): Promise<Receipt>;
  drain(region: RegionName): Promise<Receipt>;
  restore(region: RegionName, saved: Record<string, Json>): Promise<Receipt>;
  escape(region: RegionName, state: WorkloadState): Promise<string[]>;
}

export interface CheckResult {
  outcome: 'pass' | 'fail' | 'unknown';
  observed: string;
  threshold: string;
  at: Millis;
  detail: string;
  /**
   * Only with `unknown`, where the reason is the system that was asked and not the question: `silent`: nobody answered;
   * `answered`: something did, and does not serve. For a plan both are unknown; to a watch they are failures.
   */
  unserved?: 'silent' | 'answered';
}

export interface Check {
  run(region: RegionName): Promise<CheckResult>;
}

export interface PortOf {
  store: Store;
  router: Router;
  workload: Workload;
  check: Check;
}

/** One call of a provider's API that a driver makes. */
export interface ProviderCall {
  /** Whether it changes anything there. */
  changes: boolean;
  /** The right it needs, as the provider names it: `rds:PromoteReadReplica`. */
  right: string;
  /** What the right is needed on: an ARN pattern, or the provider's words for the scope. */
  resource: string;
  /** `data`: keeps working when the provider's administration does not; `control`: may be what is down. */
  plane: 'control' | 'data';
  /** Where it is sent, for people: `the target's region`, `us-east-1`, `one of five endpoints`. */
  where: string;
  /** What for. */
  why: string;
}

/** The calls that a driver makes of one API. */
export interface ProviderCalls {
  service: string;
  calls: Readonly<Record<string, ProviderCall>>;
}

/**
 * One driven system. `config` validates what is common to all sides, `node` one node of a side.
 * `open` imports the system's SDK lazily and must not connect yet.
 */
export interface Driver<R extends Role = Role> {
  type: string;
  role: R;
  summary: string;
  config: ZodType;
  node: ZodType;
  capabilities(config: Record<string, Json>): Capabilities;
  /** Whether a node's steps need a worker beside it (local commands, data directory). */
  local(node: Record<string, Json>): boolean;
  /** Fields (dotted paths in config or node) that hold secrets: only references are allowed there. */
  secrets: string[];
  /** Calls of a provider's API; policies and tables in docs/ are generated from them. */
  calls?: readonly ProviderCalls[];
  /** Cross-field problems of one component; messages without position. */
  validate?(
    component: Component,
  ): Array<{ path: (string | number)[]; message: string; code: string; severity?: 'warning' }>;
  open(component: Component, context: DriverContext): PortOf[R];
}
