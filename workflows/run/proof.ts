/** Fence proofs (I1): how strong, how fresh, and whether the promotion may rely on them without a person's word. */
import type { FenceReceipt, Receipt } from '../../drivers/ports.ts';
import { strengthText, suffices, weakestOf } from '../../plan/fence-words.ts';
import type { Step } from '../../plan/model.ts';
import { causeOf } from './errors.ts';
import { callFor, given, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';

/** A proof is at most this old when the promotion is scheduled, in milliseconds. */
const PROOF_AGE_MS = 5_000;

/**
 * The receipt of a fence or its proof with a moment of the run in place of the worker's own, whatever the clocks of the
 * machines say to each other. Of a `prove` it is when the run asked: what was seen is no older. Of a `fence` it is when
 * the answer came: nothing was acknowledged later, so that a window of loss ends there.
 */
export function datedBy(receipt: Receipt, at: number): Receipt {
  const { fence } = receipt as FenceReceipt;
  return fence === undefined ? receipt : ({ ...receipt, fence: { ...fence, provenAt: at } } as FenceReceipt);
}

/** Asks again for every proof that is older than a promotion may rely on; a failure to ask leaves the old one. */
export async function freshenProofs(run: Run, step: Step): Promise<void> {
  if (step.component === null) return;
  // Nobody waits for a source that was given up, unless it has answered again.
  if (run.weakFenceAccepted.has(step.component) && !run.fencedAgain.has(step.component)) return;
  const old = proofSteps(run, step.component).filter((s) => {
    const proof = proofOf(run, s);
    return proof !== undefined && Date.now() - proof.provenAt > PROOF_AGE_MS;
  });
  await Promise.all(
    old.map(async (prove) => {
      try {
        const call = callFor(run, prove, given(run, prove.needs));
        const askedAt = Date.now();
        const receipt = await schedule('prove', call, optionsFor({ ...prove, attempts: 2 }, 'catch-up'));
        run.receipts.set(prove.id, datedBy(receipt, askedAt));
      } catch (error) {
        run.note(`${prove.id}: ${causeOf(error).message}`);
      }
    }),
  );
}

/** Why the promotion of `store` may not go on without a person's word; `null` when it may. */
export function weakProof(run: Run, store: string): string | null {
  return run.weakFenceAccepted.has(store) ? null : weakness(run, store);
}

/**
 * What the fence proof of `store` lacks, whoever has accepted that; `null` when every group of nodes of the source is
 * claimed and proven, strongly enough for the tier, within the last seconds.
 */
export function weakness(run: Run, store: string): string | null {
  const { from, policy, stages } = run.plan!;
  const flying = unfenceInFlight(run, store);
  if (flying !== null) return `the fence of ${store} does not count: ${flying}`;
  const where = `${store} in ${from ?? 'the source'}`;
  const proofs = proofSteps(run, store).map((s) => proofOf(run, s));
  const weakest = weakestOf(proofs.map((p) => p?.cannotWrite ?? 'none'));
  if (!suffices(weakest, policy.fenceProof))
    return `the fence proof of ${where} is ${strengthText(weakest)}; the tier asks for ${strengthText(policy.fenceProof)}`;
  if (proofs.some((p) => Date.now() - p!.provenAt > PROOF_AGE_MS))
    return `the fence proof of ${where} is older than ${PROOF_AGE_MS / 1000} s and could not be renewed`;
  const claims = stages
    .flatMap((s) => s.steps)
    .filter((s) => s.verb === 'claim' && s.component === store && s.region === from);
  if (claims.some((c) => !run.receipts.has(c.id))) return `${where} could not be claimed, so its fence does not count`;
  return null;
}

/** When every group of nodes of the source was fenced, as strongly as the tier asks for; `null` = not, or not proven. */
export function fencedSince(run: Run, store: string): number | null {
  const { policy, stages } = run.plan!;
  const fences = stages.flatMap((s) => s.steps).filter((s) => s.verb === 'fence' && s.component === store);
  const proofs = fences.map((s) => proofOf(run, s));
  if (fences.length === 0 || unfenceInFlight(run, store) !== null) return null;
  if (!suffices(weakestOf(proofs.map((p) => p?.cannotWrite ?? 'none')), policy.fenceProof)) return null;
  return Math.max(...proofs.map((p) => p!.provenAt));
}

/** The steps that make the source of `store` harmless and say what it lost, in the order in which they run. */
export function fencingSteps(run: Run, store: string): Step[] {
  const verbs = ['readClaim', 'claim', 'fence', 'awaitCatchUp', 'prove'];
  return run
    .plan!.stages.flatMap((s) => s.steps)
    .filter((s) => s.component === store && verbs.includes(s.verb))
    .filter((s) => s.region === run.plan!.from || s.verb === 'awaitCatchUp');
}

function proofSteps(run: Run, store: string): Step[] {
  return run.plan!.stages.flatMap((s) => s.steps).filter((s) => s.verb === 'prove' && s.component === store);
}

function proofOf(run: Run, step: Step): FenceReceipt['fence'] | undefined {
  return (run.receipts.get(step.id) as Partial<FenceReceipt> | undefined)?.fence;
}

/**
 * An unfence that was sent, has not answered, and whose side no later claim has taken from it; `null` = there is none.
 * @param store only this one; absent: any
 */
export function unfenceInFlight(run: Run, store?: string): string | null {
  const flying = [...run.unfencesSent.values()].filter(({ step }) => store === undefined || step.component === store);
  if (flying.length === 0) return null;
  return flying
    .map(({ step: { component, region }, at }) => {
      const time = `${new Date(at).toISOString().slice(11, 19)} UTC`;
      return `an unfence of ${component} was sent to ${region} at ${time} and may still act`;
    })
    .join('; ');
}
