/** Letting go of the data that repairs have kept aside. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RampartError } from '../errors.ts';
import type { At, Receipt } from '../ports.ts';
import { readStatus } from '../sql/status.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { syncFolder } from './files.ts';
import { asFailure } from './reading.ts';
import { endRepair } from './repair-resume.ts';
import { forgetKept, keptDirs, readRepair } from './repair-state.ts';
import { local } from './server.ts';

/** In use without the rest of its repair: it streams, or is a primary again. */
async function serves(cluster: Cluster, node: PgNode): Promise<boolean> {
  const status = await readStatus(cluster, node).catch(asFailure);
  return !(status instanceof RampartError) && (!status.inRecovery || status.receiver?.status === 'streaming');
}

/** Deletes what repairs have kept aside. @throws PreconditionFailed while a repair is under way */
export async function release(cluster: Cluster, at: At): Promise<Receipt> {
  const released: string[] = [];
  for (const node of nodesAt(cluster, at)) {
    if (node.dataDir === null) continue;
    const here = local(node);
    const repair = await readRepair(here);
    if (repair !== null && repair.phase !== 'done' && !(await serves(cluster, node))) {
      throw new RampartError('PreconditionFailed', `the repair of ${node.name} is not finished (${repair.phase})`, {
        remedy: 'Finish it first: `rampart reprotect` goes on with it.',
      });
    }
    await withClaim(cluster, here, { systemId: null, timeline: null }, () => endRepair(here));
    for (const folder of await keptDirs(here)) {
      cluster.context.heartbeat({ node: node.name, doing: `deleting ${folder}` });
      await rm(folder, { recursive: true, force: true });
      released.push(folder);
    }
    await syncFolder(dirname(here.dataDir));
    await forgetKept(here);
  }
  return {
    already: released.length === 0,
    at: cluster.context.now(),
    summary: released.length === 0 ? `nothing is kept in ${at.region}` : `deleted ${released.join(', ')}`,
    facts: { released },
  };
}
