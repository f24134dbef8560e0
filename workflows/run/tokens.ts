/** Claims and tokens (safety rules): what makes a stale or second actor's mutation refusable by the system itself. */
import type { Claim, ClaimReceipt, Receipt } from '../../drivers/ports.ts';
import type { Facts, Step, StepCall } from '../../plan/model.ts';

export class Tokens {
  private readonly runId: string;
  private epoch = 0;
  private seq = 0;
  private seen = 0;
  private claimed = false;
  private claims = false;

  constructor(runId: string) {
    this.runId = runId;
  }

  /**
   * Goes on where a run that has ended stopped: two runs of one workflow carry the same run id, and a system that only
   * compares the numbers of that must not take the second for a late first.
   */
  continueAfter(earlier: Tokens): void {
    this.seq = earlier.seq;
    this.seen = Math.max(this.seen, earlier.seen, earlier.epoch);
  }

  /** Notes an epoch that was read on some side: from an observation, or from `readClaim`. */
  found(claim: Claim | null | undefined): void {
    this.seen = Math.max(this.seen, claim?.epoch ?? 0);
  }

  /** Reads the claims of a `readClaim` or `claim` receipt. */
  foundIn(receipt: Receipt): void {
    const claim = (receipt as Partial<ClaimReceipt>).claim;
    this.found(claim?.previous);
    this.found(claim?.current);
  }

  /**
   * A new plan claims anew: the highest epoch found on any reachable side, plus one. Until then undos of an earlier
   * plan still carry the epoch whose claim they act under.
   * @param claims whether the plan has claim steps; else its first effect takes the new epoch
   */
  beginPlan(claims: boolean): void {
    this.claimed = false;
    this.claims = claims;
  }

  /**
   * The token of one scheduling. Every scheduling has its own `seq`, so that a late attempt of an earlier one is
   * refused.
   */
  next(step: Pick<Step, 'component' | 'verb'>, stores: Facts['stores']): NonNullable<StepCall['token']> {
    if (!this.claimed && (step.verb === 'claim' || !this.claims)) {
      this.epoch = Math.max(this.seen, this.epoch) + 1;
      this.claimed = true;
    }
    this.seq += 1;
    const store = step.component === null ? undefined : stores[step.component];
    return {
      systemId: store?.systemId ?? null,
      expectedTimeline: store?.timeline ?? null,
      epoch: this.epoch,
      runId: this.runId,
      seq: this.seq,
    };
  }
}
