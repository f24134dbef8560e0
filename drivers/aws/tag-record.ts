/**
 * A small JSON value kept in the tags of a resource. Tag values take 256 characters of a narrow set, so it is compressed,
 * written as base64 and cut into pieces. All pieces are written by one call; a number and a checksum in the first tag say
 * which of them belong together, so pieces of an older, longer value may stay behind.
 *
 * Tags have no compare-and-set: who writes must look before it, and read back after it.
 */
import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { RampartError } from '../errors.ts';

const PIECE = 256;
/** A resource takes 50 tags, and most of them are somebody else's. */
const PIECES = 16;
const HEAD = 'rampart:record';

export type Tags = Record<string, string>;

/** @throws InvalidInput when it does not fit */
export function recordToTags(value: unknown): Tags {
  const text = deflateRawSync(JSON.stringify(value)).toString('base64');
  const pieces = text.match(new RegExp(`.{1,${PIECE}}`, 'g')) ?? [];
  if (pieces.length > PIECES) {
    throw new RampartError(
      'InvalidInput',
      `the journal of a run takes ${pieces.length} tags, ${PIECES} are its share`,
      {
        remedy: 'Save less in the journal, or split the component.',
      },
    );
  }
  const tags: Tags = { [HEAD]: `1 ${pieces.length} ${checksum(text)}` };
  for (const [i, piece] of pieces.entries()) tags[`${HEAD}.${i}`] = piece;
  return tags;
}

/**
 * @returns `null` when there is none
 * @throws PreconditionFailed for pieces that do not belong together: somebody changed them by hand
 */
export function recordFromTags(tags: Tags): unknown {
  const head = tags[HEAD];
  if (head === undefined) return null;
  const [version, count, sum] = head.split(' ');
  const text = Array.from({ length: Number(count) || 0 }, (_, i) => tags[`${HEAD}.${i}`] ?? '').join('');
  if (version === '1' && checksum(text) === sum) {
    return JSON.parse(inflateRawSync(Buffer.from(text, 'base64')).toString('utf8'));
  }
  throw new RampartError('PreconditionFailed', `the tags ${HEAD}* do not belong together`, {
    remedy: `Somebody changed them, or an older Rampart reads those of a newer one. See that no run is under way, then remove the tags ${HEAD}*.`,
  });
}

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
