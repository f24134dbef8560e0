/**
 * The one call that switches, and everything around it: look first, send once, and believe only what the provider shows
 * afterwards. Which call it is follows from the mode and from nothing else: a planned switch never becomes one that
 * loses data.
 */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, PromoteReceipt, Receipt, Token } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import { checkToken, tokenOf } from '../store-claims.ts';
import { asFailure } from './api.ts';
import { mutate } from './claim.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';
import { badEnd, type Milestone, milestones } from './events.ts';
import { generationOf } from './generation.ts';
import { type Agreed, agreed, type Look, look } from './look.ts';
import { allTags, tagsAt, writerPlace } from './observe.ts';
import { send } from './send.ts';
import { ask, nodeOfSide, serverOf } from './sql.ts';

export type Mode = 'planned' | 'unplanned';

/** Two looks in a row that show the old writer and nothing under way: one alone may be an older state of the API. */
const SURE = 2;
/** Clocks of the API and of this worker may differ by this much, in milliseconds. */
const CLOCKS_MS = 60_000;

export async function switchover(
  aurora: Aurora,
  from: RegionName,
  to: RegionName,
  mode: Mode,
): Promise<PromoteReceipt> {
  const token = tokenOf(aurora.context);
  aurora.context.signal.throwIfAborted();
  const [source, target] = [nodeOfSide(aurora, from), nodeOfSide(aurora, to)];
  const seen = await look(aurora);
  const said = agreed(seen, aurora, mode === 'unplanned' ? from : null);
  checkClaims(aurora, seen, said, token, mode, [from, to]);
  const lost = aurora.globalCluster !== null && seen.clusters[from] instanceof RampartError ? from : null;
  if (said.operation !== null) {
    const { to: other, status } = said.operation;
    if (other !== null && other !== to)
      throw new RampartError(
        'PreconditionFailed',
        `Aurora is switching ${aurora.name} to ${other} (${status}), not to ${to}`,
        {
          remedy: 'Wait until that has ended, then make a new plan.',
        },
      );
    await remember(aurora, target, token);
    return follow(aurora, source, target, { since: aurora.context.now(), sent: 'unknown', seen: true, lost });
  }
  const generation = said.writer === null ? null : generationOf(allTags(aurora, seen), said.writer);
  if (said.writer === to) {
    if (token.expectedTimeline !== null && generation!.number <= token.expectedTimeline)
      throw new RampartError('Conflict', `${to} has been the writer of ${aurora.name} all along`, {
        remedy: 'Make a new plan.',
      });
    return finish(aurora, source, target, true, lost);
  }
  if (said.writer !== from)
    throw new RampartError(
      'PreconditionFailed',
      `the writer of ${aurora.name} is ${said.writer ?? 'in no side of the topology'}, not ${from}`,
      {
        remedy: 'Make a new plan: it will name the present writer.',
      },
    );
  // Before anything is sent, on every side that answers: from now on an earlier attempt is refused.
  const identity = { systemId: said.systemId, timeline: generation!.number };
  const intent = { state: 'begun' as const, to, epoch: token.epoch, at: aurora.context.now() };
  const earlier = tagsAt(seen, to)?.intent ?? null;
  await assertNotGivenUp(aurora, [source, target], earlier, token, target);
  await mutate(aurora, to, identity, () => ({ intent, generation: generation! }));
  if (lost === null) await touchSource(aurora, from, to, identity, mode);
  const since = aurora.context.now();
  const arn = (seen.clusters[to] as DBCluster).DBClusterArn!;
  const sent = await sendOnce(aurora, source, target, arn, mode);
  return follow(aurora, source, target, { since, sent, seen: false, lost });
}

/** What became of the call itself. */
type Sent = 'accepted' | 'unknown';

async function sendOnce(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  arn: string,
  mode: Mode,
): Promise<Sent> {
  try {
    await send(aurora, source, target, arn, mode);
    return 'accepted';
  } catch (error) {
    aurora.context.signal.throwIfAborted();
    const failure = asFailure(error);
    // Nobody knows whether it was taken: only looking tells.
    if (failure.details.maybeApplied === true) return 'unknown';
    // "Not in a state for that" may be this very switch, sent by an attempt whose answer was lost.
    if (failure instanceof AwsRefusal && /^Invalid(Global|DB)ClusterState(Fault)?$/.test(failure.code)) {
      const said = agreed(await look(aurora), aurora, mode === 'unplanned' ? source.region : null);
      if (said.writer === target.region || said.operation?.to === target.region) return 'unknown';
    }
    await end(aurora, target);
    throw failure;
  }
}

interface Following {
  since: number;
  sent: Sent;
  /** The provider has shown the switch. */
  seen: boolean;
  /** The source's region, when it does not answer. */
  lost: RegionName | null;
}

/** Waits until the provider says how it ended. Looks that fail are told by the heartbeat and tried again. */
async function follow(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  begun: Following,
): Promise<PromoteReceipt> {
  const { config, context } = aurora;
  const waited = clock.monotonic();
  const shown = { operation: begun.seen, idle: 0, trouble: '', milestone: '' };
  const ended = await poll(
    { signal: context.signal, deadlineMs: config.switchTimeout, intervalMs: config.poll },
    async (): Promise<PromoteReceipt | RampartError | undefined> => {
      const said = await agreedNow(aurora, source.region, begun.lost).catch(asFailure);
      if (said instanceof RampartError) {
        if (said.type === 'AccessDenied') return said;
        shown.trouble = said.message;
        context.heartbeat({ waitingFor: said.message });
        return undefined;
      }
      shown.trouble = '';
      const events = await milestones(
        aurora,
        begun.lost === null ? [target, source] : [target],
        begun.since - CLOCKS_MS,
      );
      const last = events.filter(({ at }) => at >= begun.since - CLOCKS_MS).at(-1);
      if (last !== undefined) shown.milestone = last.text;
      context.heartbeat({
        state: said.operation?.status ?? (said.writer === target.region ? 'switched' : 'not shown yet'),
        ...(last === undefined ? {} : { milestone: last.text }),
      });
      if (said.operation !== null) {
        shown.operation = true;
        shown.idle = 0;
        return undefined;
      }
      if (said.writer === target.region) return finish(aurora, source, target, false, begun.lost).catch(notYet(shown));
      shown.idle += 1;
      return gaveUp(aurora, target, begun, shown, events, clock.monotonic() - waited);
    },
  );
  if (ended instanceof RampartError) throw ended;
  if (ended !== undefined) return ended;
  const why = [shown.trouble, shown.milestone].filter(Boolean).join('; ');
  throw new RampartError(
    'DeadlineExceeded',
    `the switch of ${aurora.name} to ${target.region} has not ended after ${Math.round(config.switchTimeout / 1000)} s${why === '' ? '' : ` (${why})`}`,
    { remedy: 'It may still end by itself: look at the global database in the console, then retry; that only looks.' },
  );
}

const agreedNow = async (aurora: Aurora, from: RegionName, lost: RegionName | null): Promise<Agreed> => {
  const { said } = await look(aurora, lost);
  // A source that is cut off must not keep the others from being believed.
  const others = aurora.globalCluster === null ? null : from;
  return agreed({ said }, aurora, others);
};

/** The cluster is not available yet, or its database does not take writes yet. */
function notYet(shown: { trouble: string }): (error: unknown) => RampartError | undefined {
  return (error) => {
    const failure = asFailure(error);
    if (failure.type === 'AccessDenied' || failure.type === 'Conflict') return failure;
    shown.trouble = failure.message;
    return undefined;
  };
}

/** The old writer is still it and nothing is under way: given up, failed, or never begun. */
async function gaveUp(
  aurora: Aurora,
  target: AuroraNode,
  begun: Following,
  shown: { operation: boolean; idle: number },
  events: readonly Milestone[],
  waitedMs: number,
): Promise<RampartError | undefined> {
  const bad = badEnd(events.filter(({ at }) => at >= begun.since));
  const over = waitedMs >= aurora.config.startGrace;
  if (shown.idle < SURE || (!shown.operation && bad === undefined && !over)) return undefined;
  if (!shown.operation && bad === undefined && begun.sent === 'unknown') {
    // The next attempt may send it: this one was not taken, or was and shows nothing; the API refuses a second one.
    await end(aurora, target);
    return new RampartError(
      'ProviderUnavailable',
      `whether Aurora took the switch of ${aurora.name} is not known: nothing shows it`,
      {
        remedy: 'It is looked at again by itself.',
        details: { maybeApplied: true },
      },
    );
  }
  await end(aurora, target);
  const how = bad?.text ?? (shown.operation ? 'it does not say why' : 'it accepted the call and did nothing');
  return givenUp(aurora, target, how);
}

function givenUp(aurora: Aurora, target: AuroraNode, how: string): RampartError {
  return new RampartError(
    'NotApplied',
    `Aurora gave the switch of ${aurora.name} to ${target.region} up: ${how}. The writer is where it was.`,
    {
      remedy: 'Look at the events of both clusters; retry asks Aurora again.',
      details: { retryAfterMs: null },
    },
  );
}

/** An attempt before this one has sent the call, and the provider has said since that it gave up: nothing is sent again. */
async function assertNotGivenUp(
  aurora: Aurora,
  nodes: AuroraNode[],
  earlier: { state: string; epoch: number; at: number; to: RegionName } | null,
  token: Token,
  target: AuroraNode,
): Promise<void> {
  if (earlier?.state !== 'begun' || earlier.epoch !== token.epoch || earlier.to !== target.region) return;
  const bad = badEnd((await milestones(aurora, nodes, earlier.at)).filter(({ at }) => at >= earlier.at));
  if (bad === undefined) return;
  await end(aurora, target);
  throw givenUp(aurora, target, bad.text);
}

/** The call is over, without a switch. */
async function end(aurora: Aurora, target: AuroraNode): Promise<void> {
  await mutate(aurora, target.region, { systemId: null, timeline: null }, ({ intent }) =>
    intent?.state === 'begun' ? { intent: { ...intent, state: 'ended' } } : {},
  ).catch((error: unknown) => {
    aurora.context.log.warn('the end of a switch could not be noted', { why: asFailure(error).message });
  });
}

/** Done: nothing under way, the target is the writer, its cluster is available, and it takes a write. */
async function finish(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  already: boolean,
  lost: RegionName | null,
): Promise<PromoteReceipt> {
  const { context } = aurora;
  const seen = await look(aurora, lost);
  const said = agreed(seen, aurora, source.region);
  const ms = await assertTakesWrites(aurora, seen, said, target.region);
  const { number } = generationOf(allTags(aurora, seen), target.region);
  const generation = { number, writer: target.region };
  const noted = aurora.globalCluster === null || lost !== null ? [target] : [target, source];
  for (const { region } of noted) {
    await mutate(aurora, region, { systemId: null, timeline: null }, ({ intent, generation: known }) => ({
      ...(intent?.state === 'begun' ? { intent: { ...intent, state: 'ended' as const } } : {}),
      ...(known?.number === number ? {} : { generation }),
    })).catch((error: unknown) => {
      // The writer has moved whatever is noted; a source that is lost learns it later.
      if (region === target.region || asFailure(error).type === 'Conflict') throw error;
    });
  }
  const node = aurora.nodes.find(({ name }) => name === said.writerNode)!;
  const forkPosition = await writerPlace(aurora, seen, node, number - 1);
  return {
    already,
    at: context.now(),
    summary: `${node.name} is the writer in generation ${number}; it took a write in ${Math.round(ms)} ms`,
    facts: { probeMs: Math.round(ms), endpoint: said.endpoint, others: said.strangers },
    promote: { region: target.region, node: node.name, timeline: number, forkPosition },
  };
}

/** @throws PreconditionFailed or NotApplied while it does not */
export async function assertTakesWrites(aurora: Aurora, seen: Look, said: Agreed, region: RegionName): Promise<number> {
  const fail = (why: string): never => {
    throw new RampartError('PreconditionFailed', `${aurora.name} in ${region}: ${why}`, {
      remedy: 'Look at the cluster in the console of its region.',
    });
  };
  if (said.operation !== null) fail(`Aurora is still switching (${said.operation.status})`);
  if (said.writer !== region) fail(`the writer is ${said.writer ?? 'in no side of the topology'}`);
  const cluster = seen.clusters[region]!;
  if (cluster instanceof RampartError) throw cluster;
  if (cluster.Status !== 'available') fail(`cluster ${cluster.DBClusterIdentifier} is ${cluster.Status}`);
  const node = aurora.nodes.find(({ name }) => name === said.writerNode)!;
  const server = serverOf(aurora, node, cluster, 'writer');
  if (server === null) return fail('the cluster names no endpoint');
  if ((await ask(aurora, server)).recovering) fail('its database is read-only');
  return probe(aurora.sql, server);
}

function checkClaims(
  aurora: Aurora,
  seen: Look,
  said: Agreed,
  token: Token,
  mode: Mode,
  [from, to]: [RegionName, RegionName],
): void {
  const moved = said.writer !== from;
  const generation = said.writer === null || moved ? null : generationOf(allTags(aurora, seen), said.writer).number;
  for (const region of [from, to]) {
    const kept = tagsAt(seen, region);
    if (kept !== null) {
      const place = where(aurora, nodeOfSide(aurora, region));
      checkToken(place, kept, token, { systemId: said.systemId, timeline: generation });
    } else if (region === to || mode === 'planned') {
      // Only a source that does not answer is what an unplanned switch is for.
      throw seen.clusters[region] as RampartError;
    }
  }
}

/** Planned: the source must take the token, too. Unplanned: where it answers. */
async function touchSource(
  aurora: Aurora,
  from: RegionName,
  to: RegionName,
  identity: { systemId: string | null; timeline: number | null },
  mode: Mode,
): Promise<void> {
  if (aurora.globalCluster === null || from === to) return;
  await mutate(aurora, from, identity).catch((error: unknown) => {
    if (mode === 'planned' || asFailure(error).type === 'Conflict') throw error;
  });
}

/** A waiting attempt takes over: the one before it is refused from now on. */
async function remember(aurora: Aurora, target: AuroraNode, token: Token): Promise<void> {
  const { seq } = token;
  await mutate(aurora, target.region, { systemId: null, timeline: null });
  aurora.context.log.debug('a switch is under way already; waiting for it', { seq });
}

/** Writes the later token; revoked only when nothing is under way and nothing that was sent can still begin. */
export async function revokePromote(aurora: Aurora, to: At): Promise<Receipt> {
  const target = nodeOfSide(aurora, to.region);
  const { intent } = await mutate(aurora, to.region, { systemId: null, timeline: null });
  const said = agreed(await look(aurora), aurora);
  const idle = said.operation === null && said.writer !== null && said.writer !== to.region;
  const nodes = aurora.nodes.filter(({ region }) => region === to.region || region === said.writer);
  const open = intent?.state === 'begun' && intent.epoch === tokenOf(aurora.context).epoch;
  const bad =
    open && idle ? badEnd((await milestones(aurora, nodes, intent.at)).filter(({ at }) => at >= intent.at)) : undefined;
  const revoked = idle && (!open || bad !== undefined);
  if (revoked && open) await end(aurora, target);
  return {
    already: false,
    at: aurora.context.now(),
    summary: revoked
      ? `no switch of ${aurora.name} is under way, and none that was asked for can begin: ${said.writer} is the writer`
      : `a switch of ${aurora.name} was begun, and Aurora has not said that it is over`,
    facts: { revoked },
  };
}
