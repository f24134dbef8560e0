/** Whether a request may speak for its source: what its headers prove before the body is read, and what its body proves. */
import type { AlertSource } from '../../topology/alerts.ts';
import type { Secrets } from './secrets.ts';
import {
  basicCredentials,
  bearerToken,
  genericScheme,
  isOneOf,
  PAGERDUTY,
  PLAIN,
  type SignatureScheme,
  TOLERANCE_S,
  verifyHmac,
  verifyStandardWebhooks,
} from './verify.ts';

export type HeaderReader = (name: string) => string | null;

export interface Credentials {
  header: HeaderReader;
  /** The last part of the path, after the source's name. */
  token: string | null;
}

/**
 * `ok`; `refused`: the sender is wrong (401); `broken`: Rampart cannot tell, because of its own configuration (503).
 * The reasons are for the log and hold no secret.
 */
export type Verdict = { kind: 'ok' } | { kind: 'refused' | 'broken'; reason: string };

export const OK: Verdict = { kind: 'ok' };
export const refused = (reason: string): Verdict => ({ kind: 'refused', reason });
export const broken = (reason: string): Verdict => ({ kind: 'broken', reason });

/** Headers that hold what proves the sender; no mapping may see them. */
export function secretHeaders({ auth }: AlertSource): ReadonlySet<string> {
  const own = auth.kind === 'header' ? [auth.header.toLowerCase()] : [];
  return new Set(['authorization', 'proxy-authorization', 'cookie', ...own]);
}

/**
 * What can be told without the body. A source whose body is signed is `ok` here, and judged by {@link authenticateBody}.
 * @param loopback whether only this machine reaches the listener
 */
export async function authenticateHeaders(
  { auth }: AlertSource,
  { header, token }: Credentials,
  secrets: Secrets,
  loopback: boolean,
): Promise<Verdict> {
  if (auth.kind === 'hmac' || auth.kind === 'sns') return OK;
  if (auth.kind === 'none') {
    if (!loopback) return refused('it has no authentication, and the listener is not on loopback');
    // A page in a browser on this machine can send here too, but not without saying where it comes from.
    return header('origin') === null ? OK : refused('it has no authentication, and a browser sent this');
  }
  const resolved = await secrets.all(auth.secrets);
  const judge = (presented: string | null, what: string): Verdict => {
    if (isOneOf(presented, resolved.values)) return OK;
    // The secret that could not be read may be the right one: the sender shall try again.
    if (resolved.problems.length > 0) return broken(resolved.problems.join('; '));
    return refused(presented === null ? `there is no ${what}` : `the ${what} is wrong`);
  };
  switch (auth.kind) {
    case 'bearer':
      return judge(bearerToken(header('authorization')), 'bearer token');
    case 'header':
      return judge(header(auth.header), `header ${auth.header}`);
    case 'path':
      return judge(token, "token at the end of the URL's path");
    case 'basic': {
      const given = basicCredentials(header('authorization'));
      const verdict = judge(given?.password ?? null, 'user and password');
      return verdict.kind === 'ok' && !isOneOf(given?.user ?? null, [auth.user])
        ? refused('the user and password is wrong')
        : verdict;
    }
  }
}

/** What the signature over the raw body proves; `ok` for a source that signs nothing. SNS has its own. */
export async function authenticateBody(
  source: AlertSource,
  header: HeaderReader,
  body: Uint8Array,
  secrets: Secrets,
  now: number,
): Promise<Verdict> {
  if (source.auth.kind !== 'hmac') return OK;
  const { values, problems } = await secrets.all(source.auth.secrets);
  let problem: string | null;
  try {
    problem = verifySigned(source, header, body, values, now);
  } catch (error) {
    return broken((error as Error).message);
  }
  if (problem === null) return OK;
  return problems.length > 0 ? broken(problems.join('; ')) : refused(problem);
}

const OWN_HEADER: Partial<Record<AlertSource['type'], { header: string; scheme: SignatureScheme }>> = {
  grafana: { header: 'X-Grafana-Alerting-Signature', scheme: PLAIN },
  pagerduty: { header: 'X-PagerDuty-Signature', scheme: PAGERDUTY },
};

function verifySigned(
  { type, auth }: AlertSource,
  header: HeaderReader,
  body: Uint8Array,
  secrets: readonly string[],
  now: number,
): string | null {
  if (auth.kind !== 'hmac') return null;
  const own = OWN_HEADER[type];
  const name = auth.header ?? own?.header;
  if (name === undefined) return verifyStandardWebhooks(header, body, secrets, now);
  const value = header(name);
  let timestamp: string | null = null;
  if (auth.timestampHeader !== null) {
    timestamp = header(auth.timestampHeader);
    if (timestamp === null) return `there is no header ${auth.timestampHeader}, which is signed with the body`;
  }
  return verifyHmac({
    ...{ header: value, scheme: own?.scheme ?? genericScheme(value ?? '') },
    encoding: own === undefined ? 'either' : 'hex',
    signed: timestamp === null ? [body] : [`${timestamp}:`, body],
    ...{ secrets, timestamp, toleranceS: TOLERANCE_S, now },
  });
}
