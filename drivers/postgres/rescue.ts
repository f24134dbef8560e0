/**
 * The old primary as the target of a rescue: fenced by an earlier plan, stopped beside its `standby.signal`, and now the
 * best there is. It is started read-only; from then on it is a replica like any other and can be promoted.
 */
import { withClaim } from './claim.ts';
import type { Cluster, PgNode } from './config.ts';
import { greatestTimeline } from './control-data.ts';
import { readFiles } from './reading.ts';
import { awaitStarted, hasSignal, local, postmasterOf, requestStart } from './server.ts';

/** Replaying what it had not checkpointed, in milliseconds. */
const START_MS = 300_000;

/**
 * Starts the target when it is stopped beside this worker with the signal present; anything else is left as it is.
 * @returns whether it was started
 * @throws Conflict for a stale token
 */
export async function startFencedTarget(cluster: Cluster, node: PgNode): Promise<boolean> {
  if (!node.here || node.dataDir === null) return false;
  const beside = local(node);
  if (!(await hasSignal(beside)) || (await postmasterOf(beside.dataDir)) !== null) return false;
  const { control } = (await readFiles(cluster, beside))!;
  const identity = { systemId: control.systemId, timeline: await greatestTimeline(beside.dataDir, control) };
  await withClaim(cluster, node, identity, async () => {
    // Looked at again under the lock: another attempt may have started it, or taken the signal away.
    if (!(await hasSignal(beside)) || (await postmasterOf(beside.dataDir)) !== null) return;
    await requestStart(cluster, beside);
  });
  await awaitStarted(cluster, beside, START_MS);
  return true;
}
