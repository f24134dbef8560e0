/** What one simulation does: requests, people and faults. Plain data, so that it can be printed, cut and replayed. */
import type { Request } from '../../plan/model.ts';

/** At a moment after the first request, or when the n-th attempt of a step is at its k-th operation. */
export type When = { ms: number } | { step: string; nth: number; op: number };

/** What may happen to one attempt of an activity. `op` 0: before it does anything; 99: after it has done everything. */
export const ATTEMPT_FAULTS = ['fail', 'loseAnswer', 'freezeWorker', 'twice'] as const;
/** What may happen to the world. */
export const WORLD_FAULTS = [
  'serverDown',
  'controlDown',
  'crashControl',
  'crashRegionWorker',
  'killStore',
  'freezeStore',
  'loseRegion',
  'cutRegion',
  'lag',
  'stall',
  'stale',
  'deaf',
  'revert',
  'routerDown',
  'breakApp',
  'blindCheck',
  'clockJump',
  'controlClockJump',
  'forgetSamples',
] as const;
/** What people say out of turn. `terminate`: to the server; the run is gone with its history, and begun again. */
export const WORDS = [
  'terminate',
  'cancel',
  'abort',
  'pause',
  'resume',
  'escalate',
  'escalateBack',
  'withdraw',
  'secondStart',
] as const;

export type AttemptFault = (typeof ATTEMPT_FAULTS)[number];
export type WorldFault = (typeof WORLD_FAULTS)[number];
export type Word = (typeof WORDS)[number];

export interface Fault {
  when: When;
  what: AttemptFault | WorldFault | Word;
  region: string;
  /** How long it lasts, in milliseconds. */
  ms: number;
}

export interface Action {
  type: 'failover' | 'failback' | 'trafficRamp' | 'reprotect';
  request: Partial<Request>;
}

/** How people answer. */
export interface People {
  /** Until somebody looks at a gate or a hold, in milliseconds. */
  delayMs: number;
  rejects: boolean;
  /** What becomes of a gate that opens right before a promotion: at first nobody comes until it has expired. */
  atPromotion: 'approve' | 'reject' | 'expire';
  /** Every decision is sent twice. */
  twice: boolean;
  /** First to a gate that is not the open one. */
  wrongGate: boolean;
  /** Nobody comes for so long, in milliseconds. */
  lateMs: number;
  /** What they say first when it holds. */
  atHold: 'retry' | 'abort' | 'escalate' | 'skip';
}

export interface Scenario {
  seed: number;
  actions: Action[];
  faults: Fault[];
  people: People;
  stores: string[];
  lagMs: number;
  /** Service and tier. */
  approvals: number;
  gateMs: number;
  /** Recovery point objective of the tier, in milliseconds. */
  rpoMs: number;
  onTimeout: 'reject' | 'hold';
  onFailure: 'rollback' | 'hold';
  rampFails: 'rollback' | 'hold';
  unplannedRamp: 'ramp' | 'jump';
  writes: 'global' | 'local';
  /** An init system that starts databases again even after an orderly stop. */
  eager: boolean;
  batching: 'together' | 'apart';
  /** What the clocks of workers add to the server's time from the beginning, by task queue, in milliseconds. */
  skew: Record<string, number>;
}

export function describeFault({ when, what, region, ms }: Fault): string {
  const at =
    'ms' in when ? `after ${when.ms / 1000} s` : `at operation ${when.op} of attempt ${when.nth} of ${when.step}`;
  return `${what} ${region} (${ms} ms) ${at}`;
}

export function describe(scenario: Scenario): string[] {
  const { actions, people, faults, ...rest } = scenario;
  return [
    ...actions.map(({ type, request }) => `request: ${type} ${JSON.stringify(request)}`),
    `people: ${JSON.stringify(people)}`,
    `service: ${JSON.stringify(rest)}`,
    ...faults.map((fault) => `fault: ${describeFault(fault)}`),
  ];
}
