/** One HTTP request and its answer. No redirects, no retries: Temporal retries the whole activity. */
import { request as plain } from 'node:http';
import { request as encrypted } from 'node:https';
import { isIP } from 'node:net';
import { ApplicationFailure } from '@temporalio/common';
import { within } from '../../drivers/within.ts';
import { type AddressCheck, AddressRefused, checkedLookup } from './network.ts';

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
  /** Judges each address before it is connected to; absent: the address is one of the topology's own services. */
  check?: AddressCheck;
}

export interface Answered {
  status: number;
  retryAfter: string | null;
  body: string;
}

/** From the beginning to the end of the answer, in milliseconds. Below the activity's own limit. */
const LONGEST_MS = 10_000;
/** Of an answer, in bytes: what is longer is nothing that one of these services says. */
const MOST_BYTES = 64 * 1024;
/** A service that asks for more patience than this gets the next event instead, in milliseconds. */
const LONGEST_WAIT_MS = 30_000;

/** @throws ApplicationFailure: retryable when nobody answered, for good when the address is refused */
export async function post({ url, headers, body, signal, check }: Post): Promise<Answered> {
  const target = new URL(url);
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const request = target.protocol === 'https:' ? encrypted : plain;
  try {
    // A literal address is not looked up.
    if (check !== undefined && isIP(host) !== 0) check(host);
    return await new Promise<Answered>((resolve, reject) => {
      const call = request(target, {
        ...{ method: 'POST', agent: false, signal: within(LONGEST_MS, signal) },
        headers: { 'user-agent': 'Rampart', 'content-length': Buffer.byteLength(body), ...headers },
        ...(check === undefined ? {} : { lookup: checkedLookup(check) }),
      });
      call.on('error', reject);
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MOST_BYTES) call.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const { statusCode = 0, headers: given } = response;
          resolve({
            status: statusCode,
            retryAfter: given['retry-after'] ?? null,
            body: Buffer.concat(chunks).toString('utf8'),
          });
        });
      });
      call.end(body);
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AddressRefused) throw forGood(error.message);
    const { code, name, message } = error as NodeJS.ErrnoException;
    const why =
      name === 'AbortError' || name === 'TimeoutError' ? `no answer in ${LONGEST_MS / 1000} s` : (code ?? message);
    throw ApplicationFailure.retryable(`${target.host} cannot be reached: ${why}`, 'ProviderUnavailable');
  }
}

/** Another attempt would meet the same answer. */
export const forGood = (message: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, 'PreconditionFailed');

/**
 * The failure that an answer other than 2xx means.
 * @param who for people; @param said what the service said, without secrets
 */
export function failureOf({ status, retryAfter }: Answered, who: string, said = ''): ApplicationFailure {
  const message = `${who} answers ${status}${said === '' ? '' : `: ${said}`}`;
  if (status !== 408 && status !== 429 && status < 500) return forGood(message);
  const wait = retryAfterMs(retryAfter);
  return ApplicationFailure.create({
    ...{ message, type: 'ProviderUnavailable' },
    ...(wait === null ? {} : { nextRetryDelay: Math.min(wait, LONGEST_WAIT_MS) }),
  });
}

/** Seconds or a date; `null` for anything else. */
function retryAfterMs(given: string | null): number | null {
  if (given === null) return null;
  if (/^\d{1,6}$/.test(given)) return Number(given) * 1000;
  const at = Date.parse(given);
  return Number.isNaN(at) ? null : Math.max(at - Date.now(), 0);
}

/** Whatever a library or a service puts into its words: no secret reaches a history or a log. */
export function withoutSecrets(error: unknown, secrets: readonly string[]): unknown {
  if (!(error instanceof Error) || !secrets.some((value) => error.message.includes(value))) return error;
  const message = secrets.reduce((text, value) => text.replaceAll(value, '•••'), error.message);
  const { type, nonRetryable } =
    error instanceof ApplicationFailure ? error : { type: 'Unexpected', nonRetryable: true };
  return ApplicationFailure.create({ message, type: type ?? 'Unexpected', nonRetryable: nonRetryable ?? true });
}
