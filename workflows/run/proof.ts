/** Fence proofs (I1): how strong, how fresh, and whether the promotion may rely on them without a person's word. */
import type { FenceReceipt, FenceStrength } from '../../drivers/ports.ts';
import type { Step } from '../../plan/model.ts';
import { causeOf } from './errors.ts';
import { callFor, given, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';

/** A proof is at most this old when the promotion is scheduled, in milliseconds. */
const PROOF_AGE_MS = 5_000;
/** Strongest first. */
const ORDER: readonly FenceStrength[] = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'];

/** Asks again for every proof that is older than a promotion may rely on; a failure to ask leaves the old one. */
export async function freshenProofs(run: Run, step: Step): Promise<void> {
  if (step.component === null || run.weakFenceAccepted.has(step.component)) return;
  const old = proofSteps(run, step.component).filter((s) => {
    const proof = proofOf(run, s);
    return proof !== undefined && Date.now() - proof.provenAt > PROOF_AGE_MS;
  });
  await Promise.all(
    old.map(async (prove) => {
      try {
        const call = callFor(run, prove, given(run, prove.needs));
        run.receipts.set(prove.id, await schedule('prove', call, optionsFor({ ...prove, attempts: 2 }, 'catch-up')));
      } catch (error) {
        run.note(`${prove.id}: ${causeOf(error).message}`);
      }
    }),
  );
}

/**
 * Why the promotion of `store` may not go on without a person's word; `null` when it may: every group of nodes of the
 * source is claimed and proven, strongly enough for the tier, within the last seconds.
 */
export function weakProof(run: Run, store: string): string | null {
  if (run.weakFenceAccepted.has(store)) return null;
  const { from, policy, stages } = run.plan!;
  const where = `${store} in ${from ?? 'the source'}`;
  const proofs = proofSteps(run, store).map((s) => proofOf(run, s));
  const strengths = proofs.map((p) => p?.cannotWrite ?? 'none');
  const weakest =
    ORDER[Math.max(...strengths.map((s) => ORDER.indexOf(s)), proofs.length === 0 ? ORDER.length - 1 : 0)]!;
  if (ORDER.indexOf(weakest) > ORDER.indexOf(policy.fenceProof))
    return `the fence proof of ${where} is "${weakest}", and the tier asks for "${policy.fenceProof}": the old primary may still accept writes`;
  if (proofs.some((p) => Date.now() - p!.provenAt > PROOF_AGE_MS))
    return `the fence proof of ${where} is older than ${PROOF_AGE_MS / 1000} s and could not be renewed`;
  const claims = stages
    .flatMap((s) => s.steps)
    .filter((s) => s.verb === 'claim' && s.component === store && s.region === from);
  if (claims.some((c) => !run.receipts.has(c.id))) return `${where} could not be claimed, so its fence does not count`;
  return null;
}

function proofSteps(run: Run, store: string): Step[] {
  return run.plan!.stages.flatMap((s) => s.steps).filter((s) => s.verb === 'prove' && s.component === store);
}

function proofOf(run: Run, step: Step): FenceReceipt['fence'] | undefined {
  return (run.receipts.get(step.id) as Partial<FenceReceipt> | undefined)?.fence;
}
