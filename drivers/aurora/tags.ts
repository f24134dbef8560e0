/**
 * Claim, journal and what this driver must remember, in the tags of the side's own cluster. Tags have no conditional
 * write: calls of one process take turns, a claim is read back after a pause, and every change looks first. A value
 * holds 256 characters of a small alphabet, so that a journal is packed and cut.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { DBCluster, Tag } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Claim, Journal } from '../ports.ts';
import { rdsApi } from './api.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';

const CLAIM = 'rampart:claim';
const GENERATION = 'rampart:generation';
const SWITCH = 'rampart:switch';
const PART_LENGTH = 250;
/** A resource takes 50 tags; the owner's own need room. */
const MOST_PARTS = 24;

/** How often the writer has moved, as counted by runs: the provider has no such number. */
export interface Generation {
  number: number;
  /** The side that was the writer then. */
  writer: RegionName;
}

/** That a switch was asked for: what tells "given up" from "never sent" after an answer was lost. */
export interface Intent {
  state: 'begun' | 'ended';
  to: RegionName;
  epoch: number;
  at: number;
}

export interface Kept {
  claim: Claim | null;
  generation: Generation | null;
  intent: Intent | null;
  /** Of the side. */
  journal: Journal | null;
  /** How many parts its journal has. */
  parts: number;
}

export type Change = Partial<Pick<Kept, 'claim' | 'generation' | 'intent' | 'journal'>>;

const partOf = (region: RegionName, n: number): string => `rampart:journal:${region}:${n}`;

/** @throws RampartError ProviderUnavailable for a journal that is half written: another look finds it whole */
export function readTags(tags: readonly Tag[] | undefined, region: RegionName): Kept {
  const values = new Map((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));
  const [claimEpoch, seq, at, ...runId] = (values.get(CLAIM) ?? '').split(':');
  const [number, ...writer] = (values.get(GENERATION) ?? '').split(':');
  const [state, begunEpoch, begunAt, ...to] = (values.get(SWITCH) ?? '').split(':');
  const { journal, parts } = readJournal(values, region);
  return {
    claim:
      runId.length === 0
        ? null
        : { epoch: Number(claimEpoch), seq: Number(seq), at: Number(at), runId: runId.join(':') },
    generation: writer.length === 0 ? null : { number: Number(number), writer: writer.join(':') },
    intent:
      to.length === 0
        ? null
        : { state: state as Intent['state'], epoch: Number(begunEpoch), at: Number(begunAt), to: to.join(':') },
    journal,
    parts,
  };
}

function readJournal(values: Map<string, string>, region: RegionName): { journal: Journal | null; parts: number } {
  const first = values.get(partOf(region, 0));
  if (first === undefined) return { journal: null, parts: 0 };
  const parts = Number(first.slice(0, first.indexOf(':')));
  const texts = [first.slice(first.indexOf(':') + 1)];
  for (let n = 1; n < parts; n++) texts.push(values.get(partOf(region, n)) ?? '');
  try {
    return { journal: JSON.parse(inflateRawSync(Buffer.from(texts.join(''), 'base64')).toString('utf8')), parts };
  } catch (error) {
    throw new RampartError('ProviderUnavailable', `the journal in the tags of ${region} cannot be read whole`, {
      remedy: `If that stays so, remove the tags rampart:journal:${region}:* by hand: what they saved is lost then.`,
      cause: error,
    });
  }
}

function tagsOf(change: Change, region: RegionName): Tag[] {
  const { claim, generation, intent, journal } = change;
  const tags: Tag[] = [];
  if (claim) tags.push({ Key: CLAIM, Value: `${claim.epoch}:${claim.seq}:${claim.at}:${claim.runId}` });
  if (generation) tags.push({ Key: GENERATION, Value: `${generation.number}:${generation.writer}` });
  if (intent) tags.push({ Key: SWITCH, Value: `${intent.state}:${intent.epoch}:${intent.at}:${intent.to}` });
  if (journal) {
    const packed = deflateRawSync(JSON.stringify(journal)).toString('base64');
    const parts = Math.max(1, Math.ceil(packed.length / PART_LENGTH));
    if (parts > MOST_PARTS)
      throw new RampartError(
        'PreconditionFailed',
        `what this run saves needs ${parts} tags, and there is room for ${MOST_PARTS}`,
        {
          remedy: 'Make services with fewer routers and workloads out of this one.',
        },
      );
    for (let n = 0; n < parts; n++) {
      const part = packed.slice(n * PART_LENGTH, (n + 1) * PART_LENGTH);
      tags.push({ Key: partOf(region, n), Value: n === 0 ? `${parts}:${part}` : part });
    }
  }
  return tags;
}

/** Writes in one call, so that claim, journal and the rest never part. Does not read back. */
export async function writeTags(
  aurora: Aurora,
  node: AuroraNode,
  cluster: DBCluster,
  before: Kept,
  change: Change,
): Promise<void> {
  const [api, { AddTagsToResourceCommand, RemoveTagsFromResourceCommand }] = await Promise.all([
    rdsApi(aurora, node),
    import('@aws-sdk/client-rds'),
  ]);
  const Tags = tagsOf(change, node.region);
  const ResourceName = cluster.DBClusterArn;
  const limit = { timeoutMs: aurora.config.apiTimeout };
  await api.call(
    'AddTagsToResource',
    (rds, o) => rds.send(new AddTagsToResourceCommand({ ResourceName, Tags }), o),
    limit,
  );
  if (!change.journal) return;
  const written = Tags.filter(({ Key }) => Key?.startsWith(`rampart:journal:${node.region}:`)).length;
  const TagKeys = Array.from({ length: Math.max(0, before.parts - written) }, (_, n) =>
    partOf(node.region, written + n),
  );
  if (TagKeys.length === 0) return;
  const command = new RemoveTagsFromResourceCommand({ ResourceName, TagKeys });
  // They are not read any more; the next change removes them as well.
  await api
    .call('RemoveTagsFromResource', (rds, o) => rds.send(command, o), limit)
    .catch((error: unknown) => {
      if (!(error instanceof RampartError)) throw error;
      aurora.context.log.warn('parts of an older journal stay in the tags', {
        where: where(aurora, node),
        why: error.message,
      });
    });
}
