/**
 * What Cloudflare's API can answer, as errors that say whether repeating is harmless. Shapes as the package
 * `cloudflare` 7.3.0 gives them (measured): an answer with a status has `.status`, `.headers` and
 * `.errors: [{code, message}]`; a connection that ends in mid-body is a bare `TypeError: terminated`.
 */
import { RampartError } from '../errors.ts';

/** Cloudflare looked at the call and said no. `codes`: its own numbers, e.g. 81044 for a record that is gone. */
export class CloudflareRefusal extends RampartError {
  readonly status: number;
  readonly codes: number[];

  constructor(status: number, codes: number[], message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super('PreconditionFailed', message, { ...options, details: { status, codes } });
    this.status = status;
    this.codes = codes;
  }
}

/** Wait before a throttled call is tried again, in milliseconds, when the answer names none. */
const THROTTLED_MS = 5_000;

/** Answers with other statuses than 401 and 403 that still say: this token may not. 6003 and 6111 come with 400. */
const DENIED = new Set([1000, 1001, 6003, 6111, 9103, 9106, 9107, 9109, 10000, 10001]);

interface SdkError extends Error {
  status?: number;
  headers?: Headers;
  errors?: Array<{ code?: number; message?: string }>;
  code?: string;
}

/**
 * @param what the call, for people: `loadBalancers.edit (checkout-edge)`
 * @param redact takes secrets out of a text
 * @returns what to throw: its `details` say `notApplied: true` when the call was not even looked at (throttled,
 *   denied), and `maybeApplied: true` when nobody knows
 */
export function cloudflareError(error: unknown, what: string, redact: (text: string) => string): RampartError {
  if (error instanceof RampartError) return error;
  const failure = (error instanceof Error ? error : new Error(String(error))) as SdkError;
  const { status } = failure;
  const codes = (failure.errors ?? []).flatMap(({ code }) => (typeof code === 'number' ? [code] : []));
  const said = redact(told(failure));

  if (status === 429) {
    return new RampartError('ProviderUnavailable', `${what} was throttled by Cloudflare${said}`, {
      remedy:
        'It is tried again by itself. All tokens of one user share 1200 requests in five minutes: see who else asks.',
      details: { retryAfterMs: retryAfterMs(failure), notApplied: true },
    });
  }
  if (status === 401 || status === 403 || (status === 400 && codes.some((code) => DENIED.has(code)))) {
    return new RampartError('AccessDenied', `${what} was denied by Cloudflare (HTTP ${status})${said}`, {
      remedy: 'Let `apiToken` lead to a token that is valid and has the permissions in docs/drivers/cloudflare.md.',
      details: { notApplied: true, codes },
    });
  }
  // 408 and 409 are answers about the server's own state: the package itself would send the call again.
  if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 409) {
    return new CloudflareRefusal(status, codes, `${what} was refused by Cloudflare (HTTP ${status})${said}`);
  }
  return unclear(what, status === undefined ? silence(failure) : `Cloudflare answered HTTP ${status}${said}`, status);
}

/** Nobody knows whether the call was applied. */
export function unclear(what: string, why: string, status?: number): RampartError {
  return new RampartError('ProviderUnavailable', `${what}: ${why}`, {
    remedy: 'It is looked at again by itself. See cloudflarestatus.com and the network from this worker.',
    details: { maybeApplied: true, ...(status === undefined ? {} : { status }) },
  });
}

/** Whether a call that failed may still have changed something. */
export function maybeApplied(error: unknown): boolean {
  return error instanceof RampartError && error.details.maybeApplied === true;
}

function told({ errors = [] }: SdkError): string {
  const texts = errors.map(({ code, message }) => `${message ?? 'no message'} (${code ?? 'no code'})`);
  return texts.length === 0 ? '' : `: ${texts.join('; ')}`;
}

function retryAfterMs({ headers }: SdkError): number {
  const seconds = Number(headers?.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : THROTTLED_MS;
}

/** What happened when there is no answer. The package hides the reason one cause deep or two. */
function silence(failure: SdkError): string {
  let deepest: SdkError = failure;
  while (deepest.cause instanceof Error) deepest = deepest.cause as SdkError;
  switch (deepest.code) {
    case 'ECONNREFUSED':
      return 'connection refused (nothing listens there)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host name not found';
    case 'ECONNRESET':
    case 'UND_ERR_SOCKET':
      return 'connection closed before a whole answer';
  }
  const { name } = failure;
  if (name === 'TimeoutError' || name === 'AbortError' || /abort|timed out/i.test(failure.message)) {
    return 'no answer in time';
  }
  return `no answer that can be read (${deepest.message || name})`;
}
