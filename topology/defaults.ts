/** What holds when the file says nothing. The reason of each value stands beside it. */
import type { ApprovalPolicy, GateName, GuardPolicy, Ramp, Service, Tier } from './model.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Nobody may be unable to write for longer than this. */
export const FREEZE_BUDGET_MS = 30_000;

/**
 * The weakest proof that lets a promotion go on without a person: verified that no session can write. Every store
 * driver can deliver it; a tier that must survive an unattended restart of the old primary asks for `stopped`.
 */
export const FENCE_PROOF = 'sessions' satisfies Tier['fenceProof'];

/** Objectives of the three built-in tiers; a file may override them in part or add its own. */
export const BUILT_IN_TIERS: Readonly<Record<string, Omit<Tier, 'name'>>> = {
  critical: { rtoMs: 5 * MINUTE, rpoMs: MINUTE, freezeBudgetMs: FREEZE_BUDGET_MS, fenceProof: FENCE_PROOF },
  important: { rtoMs: 30 * MINUTE, rpoMs: 15 * MINUTE, freezeBudgetMs: FREEZE_BUDGET_MS, fenceProof: FENCE_PROOF },
  standard: { rtoMs: 4 * HOUR, rpoMs: HOUR, freezeBudgetMs: FREEZE_BUDGET_MS, fenceProof: FENCE_PROOF },
};

export const DEFAULT_TIER = 'standard';

/** `analysis` is absent on purpose: it follows the service's checks. Four bakes stay inside the critical tier's RTO. */
export const DEFAULT_RAMP: Omit<Ramp, 'analysis'> = {
  steps: [10, 25, 50, 100],
  bakeMs: MINUTE,
  intervalMs: 10_000,
  failureLimit: 0,
  onFailure: 'rollback',
  unplanned: 'ramp',
};

const ONE_PERSON = { required: 1, approvers: [], fourEyes: false, escalateTo: [] };

export const DEFAULT_APPROVALS: Readonly<Record<GateName, ApprovalPolicy>> = {
  // Nothing has changed yet: a request nobody answers ends by itself and frees the lock.
  cutover: { ...ONE_PERSON, timeoutMs: 30 * MINUTE, onTimeout: 'reject' },
  // In the middle of a run: neither going on nor going back is safe without a person.
  promote: { ...ONE_PERSON, timeoutMs: 15 * MINUTE, onTimeout: 'hold' },
  loss: { ...ONE_PERSON, timeoutMs: 15 * MINUTE, onTimeout: 'hold' },
  needsHuman: { ...ONE_PERSON, timeoutMs: 24 * HOUR, onTimeout: 'hold' },
  // Destroys old data: unanswered, the data stays and the run ends with protection debt.
  rebuild: { ...ONE_PERSON, timeoutMs: 24 * HOUR, onTimeout: 'reject' },
};

export const GATES = Object.keys(DEFAULT_APPROVALS) as GateName[];

export const DEFAULT_ON_FAILURE: Service['onFailure'] = { planned: 'rollback', unplanned: 'hold' };

/** Small enough that the catch-up in the freeze takes well under a second. */
export const DEFAULT_CUTOVER_LAG: Service['cutoverLag'] = { ms: 5_000, bytes: 16 * 2 ** 20 };

/** Every second in which an old primary takes writes makes more of them that nobody will find: fenced unless told otherwise. */
export const RETURNING_PRIMARY: NonNullable<Service['returningPrimary']> = 'fence';

/** Two seconds cost a database nothing; a quarter is how often auditors want a failover to have been done. */
export const DEFAULT_GUARD: GuardPolicy = { enabled: true, intervalMs: 2_000, proofAgeMs: 90 * 24 * HOUR };
