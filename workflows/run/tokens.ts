/** Claims and tokens (safety rules): what makes a stale or second actor's mutation refusable by the system itself. */
import type { Claim, ClaimReceipt, Receipt } from '../../drivers/ports.ts';
import type { Facts, Step, StepCall } from '../../plan/model.ts';

type Place = Pick<Step, 'component' | 'region' | 'place'>;

const keyOf = ({ component, region, place }: Place): string => `${component}@${region} ${place}`;

export class Tokens {
  private readonly runId: string;
  private epoch = 0;
  private seq = 0;
  private seen = 0;
  private claimed = false;
  private claims = false;
  /** By place: the epochs of this run's claims there, the newest last. */
  private readonly epochs = new Map<string, number[]>();

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
  next(step: Pick<Step, 'verb'> & Place, stores: Facts['stores']): NonNullable<StepCall['token']> {
    if (!this.claimed && (step.verb === 'claim' || !this.claims)) {
      this.epoch = Math.max(this.seen, this.epoch) + 1;
      this.claimed = true;
    }
    if (step.verb === 'claim') this.epochs.set(keyOf(step), [...(this.epochs.get(keyOf(step)) ?? []), this.epoch]);
    this.seq += 1;
    const store = step.component === null ? undefined : stores[step.component];
    return {
      systemId: store?.systemId ?? null,
      expectedTimeline: (store?.source?.region === step.region ? store?.source?.timeline : store?.timeline) ?? null,
      epoch: this.epoch,
      runId: this.runId,
      seq: this.seq,
    };
  }

  /** A claim that was scheduled did not act: the one before it stands. */
  notClaimed(step: Place): void {
    this.epochs.get(keyOf(step))?.pop();
  }

  /**
   * The token of an undo: a place that the present plan could not claim still obeys the claim under which the step was
   * done.
   */
  forUndo(token: NonNullable<StepCall['token']>, step: Place): NonNullable<StepCall['token']> {
    return { ...token, epoch: this.epochs.get(keyOf(step))?.at(-1) ?? token.epoch };
  }
}
