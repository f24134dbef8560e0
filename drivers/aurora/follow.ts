/** What became of a switch: only what the provider shows afterwards is believed, and only a write says that it is done. */
import type { RegionName } from '../../topology/model.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { PromoteReceipt } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import { asFailure } from './api.ts';
import { mutate } from './claim.ts';
import type { Aurora, AuroraNode } from './config.ts';
import { badEnd, type Milestone, milestones } from './events.ts';
import { generationOf } from './generation.ts';
import { end, givenUp } from './intent.ts';
import { type Agreed, agreed, type Look, look, type Operation } from './look.ts';
import { allTags, writerPlace } from './observe.ts';
import { ask, serverOf } from './sql.ts';

export type Mode = 'planned' | 'unplanned';

/** Two looks in a row that show the old writer and nothing under way: one alone may be an older state of the API. */
const SURE = 2;
/** Clocks of the API and of this worker may differ by this much, in milliseconds. */
const CLOCKS_MS = 60_000;

/** What became of the call itself. */
export type Sent = 'accepted' | 'unknown';

export interface Following {
  mode: Mode;
  since: number;
  sent: Sent;
  /** The provider has shown the switch. */
  seen: boolean;
  /** The source's region, when it does not answer. */
  lost: RegionName | null;
}

/** What the looks have shown so far. */
interface Shown {
  operation: boolean;
  /** Looks in a row that showed nothing under way. */
  idle: number;
  trouble: string;
  milestone: string;
}

/** Waits until the provider says how it ended. Looks that fail are told by the heartbeat and tried again. */
export async function follow(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  begun: Following,
): Promise<PromoteReceipt> {
  const { config, context } = aurora;
  const waited = clock.monotonic();
  const shown: Shown = { operation: begun.seen, idle: 0, trouble: '', milestone: '' };
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
        return losesData(aurora, said.operation, begun.mode);
      }
      if (said.writer === target.region) return finish(aurora, source, target, false, begun.lost).catch(notYet(shown));
      shown.idle += 1;
      const over = clock.monotonic() - waited >= config.startGrace;
      return gaveUp(aurora, source, target, begun, { ...shown, writer: said.writer, over }, events);
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

/** Somebody has asked for a failover meanwhile: a planned run may not pass that off as a switch without loss. */
export function losesData(aurora: Aurora, operation: Operation, mode: Mode): RampartError | undefined {
  if (mode === 'unplanned' || !operation.allowsLoss) return undefined;
  return new RampartError(
    'PreconditionFailed',
    `Aurora is failing ${aurora.name} over${operation.to === null ? '' : ` to ${operation.to}`} (${operation.status}), and data may be lost by it: somebody else asked for that`,
    {
      remedy:
        'Find out who did. What has not arrived is lost, and only the snapshot that Aurora tries to keep has it; when it has ended, make a new plan.',
    },
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

/** The target is not the writer and nothing is under way: given up, failed, or never begun. */
async function gaveUp(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  begun: Following,
  shown: Shown & { writer: RegionName | null; over: boolean },
  events: readonly Milestone[],
): Promise<RampartError | undefined> {
  const bad = badEnd(events.filter(({ at }) => at >= begun.since));
  if (shown.idle < SURE || (!shown.operation && bad === undefined && !shown.over)) return undefined;
  await end(aurora, target);
  if (shown.writer !== source.region)
    return new RampartError(
      'PreconditionFailed',
      `the writer of ${aurora.name} is ${shown.writer ?? 'in no side of the topology'} now, neither ${source.region} nor ${target.region}`,
      { remedy: 'Find out who moved it, then make a new plan: it will name the present writer.' },
    );
  if (!shown.operation && bad === undefined && begun.sent === 'unknown')
    // The next attempt may send it: this one was not taken, or was and shows nothing; the API refuses a second one.
    return new RampartError(
      'ProviderUnavailable',
      `whether Aurora took the switch of ${aurora.name} is not known: nothing shows it`,
      {
        remedy: 'It is looked at again by itself.',
        details: { maybeApplied: true },
      },
    );
  const how = bad?.text ?? (shown.operation ? 'it does not say why' : 'it accepted the call and did nothing');
  return givenUp(aurora, target, how);
}

/** What the regions say. That they differ tells nothing of a switch, nor that it was given up: it is asked again. */
export function heard(seen: Look, aurora: Aurora, without: RegionName | null): Agreed {
  try {
    return agreed(seen, aurora, without);
  } catch (error) {
    const { type, message, remedy } = asFailure(error);
    if (type !== 'NotApplied') throw error;
    throw new RampartError('ProviderUnavailable', message, { remedy });
  }
}

/** Done: nothing under way, the target is the writer, its cluster is available, and it takes a write. */
export async function finish(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  already: boolean,
  lost: RegionName | null,
): Promise<PromoteReceipt> {
  const { context } = aurora;
  const seen = await look(aurora, lost);
  const said = heard(seen, aurora, source.region);
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
