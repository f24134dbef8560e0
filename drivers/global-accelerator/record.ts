/**
 * The claim of the run that changed a component last, in tags of its accelerator. Tags have no compare-and-set: they
 * are written, read back, and looked at before every change. Letters, digits, spaces and `_.:/=+-@` are allowed, 256
 * characters a value.
 */
import type { Claim } from '../ports.ts';
import type { Values } from './values.ts';

export interface TurnRecord {
  claim: Claim;
  /** What the run found first. */
  began: Values;
  /** What the newest change found, and what it asked for. */
  before: Values;
  wanted: Values;
  /** Whether it was read back. */
  confirmed: boolean;
}

const NAMES = ['claim', 'began', 'before', 'wanted'] as const;
const tagOf = (component: string, name: (typeof NAMES)[number]): string => `rampart:${component}:${name}`;

export function tagsOf(component: string, record: TurnRecord): Array<{ Key: string; Value: string }> {
  const { claim, confirmed } = record;
  const text = [claim.epoch, claim.seq, claim.at, confirmed ? 'confirmed' : 'asked', encoded(claim.runId)].join('/');
  return [
    { Key: tagOf(component, 'claim'), Value: text },
    ...NAMES.slice(1).map((name) => ({ Key: tagOf(component, name), Value: packed(record[name as 'began']) })),
  ];
}

/** `null` when no run has claimed it, or somebody changed the tags into something else. */
export function recordIn(component: string, tags: ReadonlyMap<string, string>): TurnRecord | null {
  const [epoch, seq, at, state, ...runId] = (tags.get(tagOf(component, 'claim')) ?? '').split('/');
  const numbers = [epoch, seq, at].map(Number);
  if (runId.length !== 1 || !numbers.every(Number.isSafeInteger)) return null;
  const values = (name: (typeof NAMES)[number]) => unpacked(tags.get(tagOf(component, name)) ?? '');
  return {
    claim: { epoch: numbers[0]!, seq: numbers[1]!, at: numbers[2]!, runId: decoded(runId[0]!) },
    began: values('began'),
    before: values('before'),
    wanted: values('wanted'),
    confirmed: state === 'confirmed',
  };
}

const packed = (values: Values): string =>
  Object.entries(values)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

function unpacked(text: string): Values {
  const pairs = text.split(' ').map((pair) => pair.split('='));
  return Object.fromEntries(pairs.filter((pair) => pair.length === 2).map(([key, value]) => [key!, Number(value)]));
}

const encoded = (text: string): string =>
  text.replace(/[^A-Za-z0-9_.:@-]/g, (char) =>
    [...new TextEncoder().encode(char)].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join(''),
  );

const decoded = (text: string): string => decodeURIComponent(text.replaceAll('=', '%'));
