/** How long a step may run, and how long it usually does. Pure. */
import type { Capabilities } from '../drivers/ports.ts';
import type { Verb } from './model.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Start-to-close limit by verb, in milliseconds, with its reason. */
export const TIMEOUT_MS: Record<Verb, number> = {
  // A worker that answers does so at once.
  ping: 5 * SECOND,
  // Reads over every node, some of them behind a slow link.
  preflightStore: 30 * SECOND,
  runCheck: 30 * SECOND,
  // One small file or row; the lock on it is held for milliseconds.
  readClaim: 15 * SECOND,
  claim: 15 * SECOND,
  closeJournal: 30 * SECOND,
  // Provider APIs throttle; a retry inside the driver is not wanted, so the limit allows one slow answer.
  saveRouter: 30 * SECOND,
  prepareRouter: MINUTE,
  restoreRouter: 2 * MINUTE,
  fenceRouter: 2 * MINUTE,
  saveWorkload: 30 * SECOND,
  // New machines start, pull images and warm up.
  scaleWorkload: 15 * MINUTE,
  restoreWorkload: 15 * MINUTE,
  // Inside the freeze: the budget bounds it further.
  quiesceWorkload: 15 * SECOND,
  // Connections end by themselves or by their own limits.
  drainWorkload: 5 * MINUTE,
  // The replica may have minutes of lag to work off before the freeze may begin.
  converge: 10 * MINUTE,
  // A fast stop writes a checkpoint; after converge that is short.
  fence: 30 * SECOND,
  // Crash recovery of a large source before it accepts writes again.
  unfence: 5 * MINUTE,
  // Planned, the freeze budget bounds it; unplanned, everything received is to be replayed.
  awaitCatchUp: 10 * MINUTE,
  prove: 10 * SECOND,
  // Replays what is received before it opens; past it there is no way back, so the limit is generous.
  promote: 10 * MINUTE,
  revokePromote: 30 * SECOND,
  // Providers document minutes.
  switchover: 30 * MINUTE,
  verifyWritable: 30 * SECOND,
  setWeights: MINUTE,
  // Sampling through the edge until the counts are significant, and a cached answer to run out.
  verifyWeights: 2 * MINUTE,
  analyse: MINUTE,
  // Reads at most some hundred megabytes of log.
  leftBehind: 10 * MINUTE,
  rejoin: 10 * MINUTE,
  // A whole data directory over the wire.
  rebuild: 6 * HOUR,
  release: 2 * HOUR,
  observeStore: 30 * SECOND,
  ownCommand: 5 * MINUTE,
  ownHttp: MINUTE,
  ownActivity: 5 * MINUTE,
  ownWorkflow: HOUR,
};

/** Start-to-close limit of a verb on a component, in milliseconds, with what its driver says that it waits for. */
export function limitOf(verb: Verb, capabilities: Capabilities | undefined): number {
  const waits: Partial<Record<Verb, number>> = {
    prepareRouter: (capabilities?.prepareMs ?? 0) + (capabilities?.applyMs ?? 0),
    restoreRouter: capabilities?.applyMs,
    fenceRouter: capabilities?.applyMs,
    setWeights: capabilities?.applyMs,
    scaleWorkload: capabilities?.applyMs,
    restoreWorkload: capabilities?.applyMs,
    quiesceWorkload: capabilities?.applyMs,
    drainWorkload: capabilities?.applyMs,
    // Clients may keep the old answer for the router's time to live.
    verifyWeights: capabilities?.ttlMs,
  };
  return TIMEOUT_MS[verb] + (waits[verb] ?? 0);
}

/** What a verb usually takes, in seconds, for predictions only; a step's own waits come on top. */
export const TYPICAL_SECONDS: Record<Verb, number> = {
  ping: 0.02,
  preflightStore: 0.3,
  runCheck: 0.1,
  readClaim: 0.05,
  claim: 0.05,
  closeJournal: 0.05,
  saveRouter: 0.05,
  prepareRouter: 0.1,
  restoreRouter: 0.1,
  fenceRouter: 0.2,
  saveWorkload: 0.05,
  scaleWorkload: 1,
  restoreWorkload: 1,
  quiesceWorkload: 0.2,
  drainWorkload: 2,
  converge: 1,
  fence: 0.1,
  unfence: 0.5,
  awaitCatchUp: 0.05,
  prove: 0.05,
  promote: 0.2,
  revokePromote: 0.1,
  switchover: 60,
  verifyWritable: 0.1,
  setWeights: 0.1,
  verifyWeights: 1,
  analyse: 0,
  leftBehind: 0.5,
  rejoin: 2,
  rebuild: 120,
  release: 1,
  observeStore: 0.1,
  ownCommand: 5,
  ownHttp: 1,
  ownActivity: 5,
  ownWorkflow: 10,
};

/** Longest wait for a worker of a side that is given up: its absence is a fact to go on with, not a reason to wait. */
export const LOST_SIDE_WAIT_MS = 2 * SECOND;
