/** The rules that model drivers keep as the real ones do. A deliberate bug switches one off. */
export const RULES = {
  /** Tokens of stale or foreign attempts are refused. */
  checkTokens: true,
  /** A lag that could not be read freshly is no reading. */
  freshness: true,
  /** What is there already is not done again. */
  lookFirst: true,
  /** A change that does not apply yet is no reading of what applies. */
  tellsOnTheWay: true,
  /** A change counts when it was read back. */
  readBack: true,
  /** A router does not fence the region that serves its clients. */
  fenceLeavesOne: true,
  /** A journal says from where to where its run was to go. */
  tellsMove: true,
  /** A journal that goes on with one of a move that stands is about its own run's move. */
  ownMove: true,
  /** A fence is durable: whoever starts the server gets it read-only. */
  writeSignal: true,
  /** A server that is frozen, or still starting, can write as soon as it goes on: its fence says what it stopped. */
  frozenCanWrite: true,
  /** A node on a lower timeline than expected was not promoted: a timeline only grows. */
  timelinesGrow: true,
  /** The catch-up waits until the target has applied the final position. */
  catchUpWaits: true,
  /** What is lost is stated. */
  stateLoss: true,
  /** An attempt knows when the server had it ready for a worker. */
  serverTime: true,
  /** A promotion needs a proof that is about the source, fresh, and says that it cannot write. */
  askProof: true,
};

const KEPT = { ...RULES };

export function keepAllRules(): void {
  Object.assign(RULES, KEPT);
}
