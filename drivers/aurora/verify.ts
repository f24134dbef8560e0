/** Is there exactly one writer, does it take writes, and how far is the other side. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, Receipt } from '../ports.ts';
import { ensureProbeTable } from '../sql/probe.ts';
import { tokenOf } from '../store-claims.ts';
import { asFailure } from './api.ts';
import type { Aurora } from './config.ts';
import { assertTakesWrites } from './follow.ts';
import { agreed, look } from './look.ts';
import { observe } from './observe.ts';
import { ask, nodeOfSide, serverOf } from './sql.ts';

/** `converge` gives up after this, milliseconds: a little less than the step's own limit. */
const CONVERGE_MS = 9 * 60_000;
/** How long the old writer may take to answer, milliseconds: this runs in the freeze. */
const OTHER_MS = 500;

/**
 * @throws SplitBrain when the other side's database takes writes too; PreconditionFailed when the target is not the
 * writer; NotApplied when the write probe does not come through
 */
export async function verifyWritable(aurora: Aurora, to: At, from: RegionName): Promise<Receipt> {
  tokenOf(aurora.context);
  const seen = await look(aurora);
  const said = agreed(seen, aurora, from === to.region ? null : from);
  const [ms, unseen] = await Promise.all([
    assertTakesWrites(aurora, seen, said, to.region),
    from === to.region ? [] : assertAlone(aurora, from),
  ]);
  return {
    already: false,
    at: aurora.context.now(),
    summary: `${said.writerNode} took a write in ${Math.round(ms)} ms and is the writer, as Aurora says in ${said.by.join(' and ')}${unseen.length === 0 ? '' : `; ${unseen.join(', ')} did not answer`}`,
    facts: { probeMs: Math.round(ms), unseen, endpoint: said.endpoint },
  };
}

/** @returns the nodes of the old side that did not answer: for them the provider's word is all there is */
async function assertAlone(aurora: Aurora, from: RegionName): Promise<string[]> {
  const seen = await look(aurora);
  const cluster = seen.clusters[from];
  // A region that was cut off still calls itself the writer, and has its writer endpoint.
  const own = seen.said[from];
  const as = own !== undefined && !(own instanceof RampartError) && own.writer === from ? 'writer' : 'reader';
  const unseen: string[] = [];
  for (const node of aurora.nodes.filter(({ region }) => region === from)) {
    const known = cluster === undefined || cluster instanceof RampartError ? null : cluster;
    // The cluster's own endpoint follows the writer: only an instance's address tells the sides of one cluster apart.
    const server = aurora.globalCluster === null && node.host === null ? null : serverOf(aurora, node, known, as);
    if (server === null) {
      unseen.push(node.name);
      continue;
    }
    const sql = { ...aurora.sql, config: { ...aurora.sql.config, connectTimeout: OTHER_MS } };
    const told = await ask({ ...aurora, sql }, server).catch(asFailure);
    if (told instanceof RampartError) unseen.push(node.name);
    else if (!told.recovering)
      throw new RampartError('SplitBrain', `${node.name} in ${from} takes writes, too`, {
        remedy: `Cut clients off from it (security group, ${node.cluster}), and look at the global database in the console.`,
      });
  }
  return unseen;
}

/** Waits until the lag is small, so that the switch is short: Aurora itself waits for the rest. */
export async function converge(
  aurora: Aurora,
  from: RegionName,
  to: RegionName,
  limit: { ms: number; bytes: number },
): Promise<Receipt> {
  const { context, config } = aurora;
  const source = nodeOfSide(aurora, from);
  const cluster = (await look(aurora)).clusters[from]!;
  const server = serverOf(aurora, source, cluster instanceof RampartError ? null : cluster, 'writer');
  // Made now and replicated, so that the write probe finds it when the target has just become the writer.
  if (server !== null && !(await ask(aurora, server)).recovering) await ensureProbeTable(aurora.sql, server);
  let last = 'nothing could be read';
  const lag = await poll({ signal: context.signal, deadlineMs: CONVERGE_MS, intervalMs: config.poll }, async () => {
    const [node] = await observe(aurora, { region: to });
    const now = node!.lag;
    last = now === null ? node!.detail : `${now.seconds ?? '?'} s${now.fresh ? '' : ' (no fresh reading)'}`;
    context.heartbeat({ lag: last });
    const close =
      now?.fresh && now.seconds !== null && now.seconds * 1000 <= limit.ms && (now.bytes ?? 0) <= limit.bytes;
    return close ? now : undefined;
  });
  if (lag === undefined)
    throw new RampartError('LagTooHigh', `${aurora.name} in ${to} is not close behind ${from}: ${last}`, {
      remedy: 'Look at AuroraGlobalDBRPOLag and the write load, then retry.',
    });
  return {
    already: true,
    at: context.now(),
    summary: `${to} is ${lag.seconds} s behind`,
    facts: { lagSeconds: lag.seconds },
  };
}
