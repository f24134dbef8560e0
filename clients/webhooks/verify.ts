/** Whether a message comes from who it says: shared secrets and HMAC. Every comparison takes the same time, wherever it differs. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** How signatures stand in a header. */
export interface SignatureScheme {
  /** What stands before each signature, for example `v1=`; parts that begin otherwise are of another version. */
  prefix: string;
  /** Between signatures, when there may be several; `null`: the whole header is one. */
  separator: string | null;
}

export const PLAIN: SignatureScheme = { prefix: '', separator: null };
export const PAGERDUTY: SignatureScheme = { prefix: 'v1=', separator: ',' };
export const STANDARD_WEBHOOKS: SignatureScheme = { prefix: 'v1,', separator: ' ' };

/** Clocks may differ, and networks be slow, by this much, in seconds. */
export const TOLERANCE_S = 300;

/** More signatures than a rotation needs are an attempt to make us compute. */
const MOST_SIGNATURES = 10;

export interface HmacCheck {
  /** The header's value; `null` or absent = it did not come. */
  header: string | null | undefined;
  scheme: SignatureScheme;
  /** `either`: told apart by the length, for senders that are not known by name. */
  encoding: 'hex' | 'base64' | 'either';
  /** The signed bytes, in parts. */
  signed: ReadonlyArray<string | Uint8Array>;
  /** Keys; several while they are rotated. */
  secrets: ReadonlyArray<string | Uint8Array>;
  /** What the sender says the time is, when it is signed too; `null`: it says none. */
  timestamp: string | null;
  /** Greatest distance of that time from `now`, in seconds. */
  toleranceS: number;
  /** Milliseconds since the epoch. */
  now: number;
}

/**
 * HMAC-SHA256 over the raw bytes.
 * @returns `null` when one signature is right for one secret, else one sentence, which holds no part of either
 */
export function verifyHmac(check: HmacCheck): string | null {
  const { header, scheme, encoding, signed, secrets, timestamp, toleranceS, now } = check;
  if (header === null || header === undefined || header === '') return 'there is no signature';
  if (timestamp !== null) {
    const problem = timestampProblem(timestamp, toleranceS, now);
    if (problem !== null) return problem;
  }
  const given = signatures(header, scheme, encoding);
  if (given.length === 0) return 'the signature has another form';
  let right = false;
  for (const secret of secrets) {
    const hmac = createHmac('sha256', secret);
    for (const part of signed) hmac.update(part);
    const expected = hmac.digest();
    for (const one of given) right = timingSafeEqual(one, expected) || right;
  }
  return right ? null : `the signature is right for none of ${secrets.length} secrets`;
}

/** What is wrong with a signed time in seconds since the epoch; `null` when it is near enough. */
export function timestampProblem(timestamp: string, toleranceS: number, now: number): string | null {
  if (!/^\d{1,12}$/.test(timestamp)) return 'the signed time is no number of seconds';
  const apart = Math.round(now / 1000) - Number(timestamp);
  if (Math.abs(apart) <= toleranceS) return null;
  return `the signed time is ${Math.abs(apart)} s ${apart > 0 ? 'ago' : 'ahead'}, more than ${toleranceS} s: a replay, or a wrong clock`;
}

/** The signatures of a header as bytes, only whole ones. */
function signatures(header: string, scheme: SignatureScheme, encoding: HmacCheck['encoding']): Buffer[] {
  const parts = scheme.separator === null ? [header] : header.split(scheme.separator, MOST_SIGNATURES);
  return parts.flatMap((part) => {
    const text = part.trim();
    if (!text.startsWith(scheme.prefix)) return [];
    const bytes = decode(text.slice(scheme.prefix.length), encoding);
    return bytes === null ? [] : [bytes];
  });
}

const HEX = /^[0-9a-f]{64}$/i;
const BASE64 = /^[A-Za-z0-9+/]{43}=?$/;

function decode(text: string, encoding: HmacCheck['encoding']): Buffer | null {
  if (encoding !== 'base64' && HEX.test(text)) return Buffer.from(text, 'hex');
  if (encoding !== 'hex' && BASE64.test(text)) return Buffer.from(text, 'base64');
  return null;
}

/** A signature of a sender that is not known by name: `sha256=<hex>` as GitHub writes it, or bare. */
export function genericScheme(header: string): SignatureScheme {
  const [, prefix = ''] = /^((?:sha256|v0|v1)=)/i.exec(header.trim()) ?? [];
  return { prefix, separator: ',' };
}

/** A secret of Standard Webhooks, `whsec_<base64>`, as key. @throws Error without the secret, when it is none */
export function standardWebhooksKey(secret: string): Buffer {
  const encoded = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret;
  if (!/^[A-Za-z0-9+/]{16,}={0,2}$/.test(encoded)) {
    throw new Error('a secret of Standard Webhooks is whsec_ and base64, of at least 12 bytes');
  }
  return Buffer.from(encoded, 'base64');
}

/** The three headers of Standard Webhooks over a body. @returns `null`, or one sentence */
export function verifyStandardWebhooks(
  header: (name: string) => string | null,
  body: Uint8Array,
  secrets: readonly string[],
  now: number,
): string | null {
  const id = header('webhook-id');
  const timestamp = header('webhook-timestamp');
  if (id === null || timestamp === null) return 'webhook-id or webhook-timestamp is missing';
  // What is signed is joined by dots: with one in the ID, another time and body could be read out of it.
  if (id.includes('.')) return 'webhook-id has a dot in it';
  return verifyHmac({
    ...{ header: header('webhook-signature'), scheme: STANDARD_WEBHOOKS, encoding: 'base64' },
    ...{ signed: [`${id}.${timestamp}.`, body], secrets: secrets.map(standardWebhooksKey) },
    ...{ timestamp, toleranceS: TOLERANCE_S, now },
  });
}

/** Whether a presented secret is one of several. Compared as digests: neither the length nor the place of a difference shows. */
export function isOneOf(presented: string | null, secrets: readonly string[]): boolean {
  if (presented === null) return false;
  const given = digest(presented);
  let right = false;
  for (const secret of secrets) right = timingSafeEqual(given, digest(secret)) || right;
  return right;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The token of `Authorization: Bearer …`; `null` when there is none. */
export function bearerToken(authorization: string | null): string | null {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** User and password of `Authorization: Basic …`; `null` when there are none. */
export function basicCredentials(authorization: string | null): { user: string; password: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
