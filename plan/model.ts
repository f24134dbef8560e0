/**
 * What will happen: the request and the compiled, frozen plan. Types and constants only; shared by the compiler,
 * the workflows that interpret it, and the clients that show it.
 */
import type {
  CheckResult,
  Finding,
  Json,
  Lag,
  LossStatement,
  Millis,
  NodeObservation,
  Position,
  RouterObservation,
  SampleReading,
  Weights,
  WorkloadObservation,
} from '../drivers/ports.ts';
import type { ApprovalPolicy, Component, GateName, Ramp, RegionName, Service } from '../topology/model.ts';

export type Action = 'failover' | 'failback' | 'trafficRamp' | 'reprotect' | 'refence';
export type Mode = 'planned' | 'unplanned';

/** What somebody wants; always ONE JSON object, whoever sends it. */
export interface Request {
  action: Action;
  service: string;
  /** Region to leave; observed when absent. */
  from?: RegionName;
  /** Region to go to; failback defaults to the service's home, a pair to the other side. */
  to?: RegionName;
  mode?: Mode;
  reason?: string;
  by?: string;
  /** Refuse unless the compiled plan has this digest. */
  digest?: string;
  /** Named codes of blockers the requester accepts (`healthySource`, `weakFence`, `lagAboveObjective`, …). */
  override?: string[];
  /** trafficRamp: last share in percent (default 100) and own steps. */
  percent?: number;
  ramp?: number[];
  /** By a trigger: whatever the policy says, somebody must approve it before anything changes. */
  proposed?: boolean;
  /** When the harm began and when it was noticed, milliseconds since the epoch: by an alert, or a person's word. */
  impactStartAt?: Millis;
  detectedAt?: Millis;
  /** release: let go of the old data although protection debt remains; needs a reason. */
  waive?: boolean;
}

export const STAGES = [
  'preflight',
  'prepare',
  'quiesce',
  'promote-atomic',
  'fence',
  'catch-up',
  'promote',
  'verify',
  'route',
  'ramp',
  'drain',
  'reprotect',
  'settle',
] as const;
export type StageName = (typeof STAGES)[number];

/** Stages that no `skip` and no `pause` may touch. */
export const UNSKIPPABLE: readonly StageName[] = ['promote-atomic', 'fence', 'catch-up', 'promote', 'verify', 'route'];
/**
 * Steps that no `skip` may touch, whatever their stage: a side that is not claimed refuses every later step, and a
 * service that nobody can write to is not where it should be.
 */
export const UNSKIPPABLE_VERBS: readonly Verb[] = ['readClaim', 'claim', 'verifyWritable'];
/** Stages during which nobody can write; the freeze begins with the first that runs and ends after `route`. */
export const FROZEN: readonly StageName[] = [
  'quiesce',
  'promote-atomic',
  'fence',
  'catch-up',
  'promote',
  'verify',
  'route',
];

/**
 * The durable verbs. Each is one activity with the same shape: `(call: StepCall) => Promise<Receipt>`.
 * `ownActivity` and `ownWorkflow` run on a team's own task queue.
 */
export type Verb =
  | 'ping'
  | 'preflightStore'
  | 'runCheck'
  | 'readClaim'
  | 'claim'
  | 'closeJournal'
  | 'saveRouter'
  | 'prepareRouter'
  | 'restoreRouter'
  | 'fenceRouter'
  | 'saveWorkload'
  | 'scaleWorkload'
  | 'restoreWorkload'
  | 'quiesceWorkload'
  | 'drainWorkload'
  | 'converge'
  | 'fence'
  | 'unfence'
  | 'awaitCatchUp'
  | 'prove'
  | 'promote'
  | 'revokePromote'
  | 'switchover'
  | 'verifyWritable'
  | 'setWeights'
  | 'verifyWeights'
  | 'analyse'
  | 'leftBehind'
  | 'rejoin'
  | 'rebuild'
  | 'release'
  | 'observeStore'
  | 'ownCommand'
  | 'ownHttp'
  | 'ownActivity'
  | 'ownWorkflow';

export type StepId = string;

export interface Undo {
  verb: Verb;
  summary: string;
  input: Record<string, Json>;
  /** Receipts of earlier steps, by the name the activity knows them by: in history before the step is scheduled. */
  needs?: Record<string, StepId>;
  /** Task queue it runs on when that is not the step's own. */
  place?: string;
  /**
   * An open journal says that an earlier run may have done this step: it is this run's to undo from the moment its
   * claim closes that journal's run out, whether the step comes to its turn or not.
   */
  adopted?: boolean;
}

export interface Step {
  /** Stable and readable, for example `promote:orders-db`; the activity's summary in the Web UI. */
  id: StepId;
  /** A sentence: "Promote orders-db in eu-central". */
  summary: string;
  verb: Verb;
  component: string | null;
  region: RegionName | null;
  /** Names of the nodes it concerns, when not all of the side. */
  nodes?: string[];
  /** Task queue it runs on. */
  place: string;
  /** Verb-specific input; secret-free. */
  input: Record<string, Json>;
  /** Receipts of earlier steps to hand over, by name. A step whose need has no receipt runs with `null` for it. */
  needs?: Record<string, StepId>;
  /**
   * Runs only when the receipt of that earlier step holds this fact, or when that step failed. A stage none of whose
   * steps is wanted is passed over together with its gate.
   */
  onlyIf?: { step: StepId; fact: string; equals: Json };
  /** Steps of the same stage that come first; the others run in parallel. */
  after?: StepId[];
  effect: 'none' | 'reversible' | 'irreversible';
  undo?: Undo;
  /** Start-to-close, in milliseconds. */
  timeoutMs: number;
  /** How long it may wait for a worker, in milliseconds, when that is shorter than the usual limit of its stage. */
  scheduleToStartMs?: number;
  /**
   * What its failure leads to: `rollback`/`hold` = the plan's policy may decide for rollback, or holds;
   * `continue` = noted as debt or warning and the run goes on.
   */
  onFailure: 'rollback' | 'hold' | 'continue';
  /** Activity attempts before the failure counts; absent = retried until the timeout of the stage. Promotion: 1. */
  attempts?: number;
}

export interface Gate {
  name: GateName;
  /** `always` asks every time (unless the policy requires nobody); `conditional` opens only when its facts call for it. */
  kind: 'always' | 'conditional';
  title: string;
  policy: ApprovalPolicy;
}

export interface Stage {
  name: StageName;
  /** Opens before the stage. */
  gate?: Gate;
  steps: Step[];
}

/** The rows of the observation table in the safety rules. */
export type State =
  | 'steady'
  | 'sourceLost'
  | 'fenced'
  | 'partlyPromoted'
  | 'promoted'
  | 'midRamp'
  | 'unsettled'
  | 'noneWritable'
  | 'twoWritable'
  | 'unknown';

export interface Classified {
  state: State;
  /** Region the state is about: the active one (`steady`, `unsettled`, `midRamp`), or the lost or fenced one. */
  region: RegionName | null;
  /** A sentence for people. */
  text: string;
  /** What is missing or contradictory, for `unknown`. */
  missing: string[];
}

export interface Observations {
  /** By component, every node of every side. */
  stores: Record<string, NodeObservation[]>;
  routers: Record<string, RouterObservation>;
  workloads: Record<string, WorkloadObservation[]>;
  /** By check component, by region. */
  checks: Record<string, Record<RegionName, CheckResult>>;
  /** By task queue: build of the worker that answered, or `null` when none did. */
  places: Record<string, { build: string | null; at: Millis }>;
  /** What drivers found in their own preflight, by component. */
  preflight: Record<string, Finding[]>;
  /** Sampler readings kept outside the source's region, by component, oldest first. */
  samples: Record<string, SampleReading[]>;
}

/** What people decide on. Measured, with ages; has its own digest and is never part of the plan's. */
export interface Facts {
  measuredAt: Millis;
  digest: string;
  classified: Classified;
  /** By store component. */
  lag: Record<string, Lag | null>;
  loss: LossStatement;
  /** By store that its provider switches in one call, in an unplanned run: what that may lose, as far as it is known now. */
  lossByProvider?: Record<string, LossStatement>;
  /** By store that is writable at both sides: what the side that is fenced has acknowledged alone, as far as it is known. */
  lossLeftBehind?: Record<string, LossStatement>;
  /** By store component, every candidate of the target side and elsewhere with its position. */
  positions: Record<
    string,
    Array<{ node: string; region: RegionName; state: string; applied: Position | null; received: Position | null }>
  >;
  /** By store component: what is known of the fence on the source. */
  fence: Record<string, string>;
  /** By store: identity and timeline that tokens carry; those for a source on another timeline carry its own. */
  stores: Record<
    string,
    { systemId: string | null; timeline: number | null; source?: { region: RegionName; timeline: number } }
  >;
  weights: Record<string, Weights | null>;
  /** Why a person must decide even where the policy requires nobody: an open loss window, a weak proof, … */
  asks?: string[];
  blockers: Finding[];
  warnings: Finding[];
}

export interface Estimate {
  /** Machine time, without waiting for people, in seconds. */
  seconds: number;
  /** Expected time without writes, in seconds. */
  freezeSeconds: number;
  lossBytes: number | null;
  lossSeconds: number | null;
  /** Seconds by stage. */
  stages: Partial<Record<StageName, number>>;
}

export interface PlanPolicy {
  onFailure: 'rollback' | 'hold';
  freezeBudgetMs: number;
  fenceProof: Service['tier']['fenceProof'];
  rtoMs: number;
  rpoMs: number;
  ramp: Ramp;
  approvals: Record<GateName, ApprovalPolicy>;
}

export interface Plan {
  version: 1;
  /** SHA-256 over request (what is wanted, not who or why), topology digest and stages; never over measurements. */
  digest: string;
  topologyDigest: string;
  request: Request;
  service: string;
  owner: string;
  tier: string;
  lock: string;
  from: RegionName | null;
  fromSource: 'observed' | 'primary_conninfo' | 'sample' | 'request' | 'none';
  to: RegionName;
  mode: Mode;
  /** `null`: the whole plan. Otherwise the stage a resumed plan begins with, after preflight and claim. */
  resumeAt: StageName | null;
  /** Set when there is nothing to do, with the sentence that says so. */
  nothingToDo: string | null;
  /** Services of its group that it moves as well; absent: none. */
  movesWith?: string[];
  policy: PlanPolicy;
  components: Record<string, Component>;
  stages: Stage[];
  /** Step id of the first promotion; `null` when the plan has no point of no return. */
  pointOfNoReturn: StepId | null;
  /** True when an earlier run, or the world, passed the point of no return already: no step on a store has an undo. */
  pastPointOfNoReturn?: boolean;
  facts: Facts;
  estimate: Estimate;
}

/** Everything the pure compiler needs. */
export interface CompileInput {
  request: Request;
  topologyDigest: string;
  service: Service;
  /** The service's components and checks, by name. */
  components: Record<string, Component>;
  observations: Observations;
  now: Millis;
  /** The halt that is open for the service's lock, as looked up by the activity that compiles. */
  halt?: HaltNote | null;
}

/** A halt that is open: who stopped the automation of a service, since when, and why. */
export interface HaltNote {
  workflowId: string;
  since: Millis;
  by: string;
  reason: string;
  /** A person has ended it, and what it stopped is being put back. */
  ending: boolean;
}

/** What every activity of a step is called with. */
export interface StepCall {
  run: { workflowId: string; runId: string; service: string; by: string | null };
  step: { id: StepId; summary: string };
  component: Component | null;
  region: RegionName | null;
  nodes: string[] | null;
  input: Record<string, Json>;
  /** Receipts of earlier steps, by name; `null` where there is none. */
  given: Record<string, Json>;
  token: { systemId: string | null; expectedTimeline: number | null; epoch: number; runId: string; seq: number } | null;
  from: RegionName | null;
  to: RegionName | null;
  mode: Mode;
  /** Components the verb must look at besides its own: workloads and stores a weight depends on, checks of a bake. */
  related: Component[];
  /** Override codes that people have accepted so far. */
  overrides: string[];
  /** Absolute deadline the driver must respect where acting later would harm (unfence, fence in the freeze). */
  deadline: Millis | null;
}
