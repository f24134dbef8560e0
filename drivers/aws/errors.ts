/**
 * What an AWS API can answer, as errors that say whether repeating is harmless. Names and shapes as the SDK v3 gives
 * them (measured with 3.1169.0): what is no XML or JSON becomes a nameless `Error`, `SyntaxError` or `Unknown`.
 */
import { RampartError } from '../errors.ts';

/** The provider looked at the call and said no. `code`: the SDK's name of it, e.g. `InvalidDBInstanceStateFault`. */
export class AwsRefusal extends RampartError {
  readonly code: string;

  constructor(code: string, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super('PreconditionFailed', message, { ...options, details: { code } });
    this.code = code;
  }
}

/** Wait before a throttled call is tried again, in milliseconds, when the answer names none. */
const THROTTLED_MS = 2_000;

const THROTTLED = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
  'SlowDown',
  'BandwidthLimitExceeded',
  // Route 53 works on an earlier change of the same zone.
  'PriorRequestNotComplete',
]);

const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'RequestExpired', 'TokenRefreshRequired']);

const DENIED = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'AuthFailure',
  'NotAuthorized',
  'InvalidClientTokenId',
  'InvalidAccessKeyId',
  'UnrecognizedClientException',
  'IncompleteSignature',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'OptInRequired',
]);

/** No answer, or one that says nothing about the call. */
const UNAVAILABLE = new Set([
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'InternalFailure',
  'InternalError',
  'RequestTimeout',
  'RequestTimeoutException',
]);

/** Names the SDK gives to what it could not read. */
const UNREADABLE = new Set(['Error', 'SyntaxError', 'TypeError', 'Unknown', 'UnknownError']);

interface SdkError extends Error {
  code?: string;
  $metadata?: { httpStatusCode?: number };
  $response?: { headers?: Record<string, string> };
  retryAfterSeconds?: number;
}

/**
 * @param what the call, for people: `rds DescribeDBInstances (orders-db in eu-west-1)`
 * @returns what to throw: a RampartError whose `details` say `notApplied: true` when the call was not even looked at
 *   (throttled, denied), and `maybeApplied: true` when nobody knows
 */
export function awsError(error: unknown, what: string): RampartError {
  if (error instanceof RampartError) return error;
  const failure = (error instanceof Error ? error : new Error(String(error))) as SdkError;
  const status = failure.$metadata?.httpStatusCode;
  const { name, message } = failure;

  if (THROTTLED.has(name) || status === 429) {
    return new RampartError('ProviderUnavailable', `${what} was throttled: ${name}`, {
      remedy: 'It is tried again by itself. See what else calls this API in the account.',
      details: { retryAfterMs: retryAfterMs(failure), notApplied: true },
      cause: error,
    });
  }
  if (EXPIRED.has(name)) {
    return new RampartError('AccessDenied', `${what}: the credentials have expired (${name})`, {
      remedy: "Renew the credentials of this worker's environment, then let the run go on.",
      details: { notApplied: true },
      cause: error,
    });
  }
  if (name === 'CredentialsProviderError') {
    return new RampartError('AccessDenied', `${what}: this worker has no credentials for AWS`, {
      remedy: "Give the worker's process credentials: a role, a profile (AWS_PROFILE) or environment variables.",
      details: { notApplied: true },
      cause: error,
    });
  }
  if (DENIED.has(name) || status === 401 || (status === 403 && UNREADABLE.has(name))) {
    return new RampartError('AccessDenied', `${what} was denied: ${name}${sentence(message)}`, {
      remedy: "Give this worker's role the rights in docs/aws-policies.md.",
      details: { notApplied: true },
      cause: error,
    });
  }
  const answered = status !== undefined && status < 500;
  if (answered && status >= 300 && !UNREADABLE.has(name) && !UNAVAILABLE.has(name)) {
    return new AwsRefusal(name, `${what} was refused: ${name}${sentence(message)}`, { cause: error });
  }
  return new RampartError('ProviderUnavailable', `${what}: ${plain(failure, status)}`, {
    remedy: 'It is looked at again by itself. See the status of this API and region, and the network from this worker.',
    details: { maybeApplied: true, ...(status === undefined ? {} : { status }) },
    cause: error,
  });
}

/**
 * Whether a system stays silent, which may mean that it is lost. One that throttles, or was not asked for want of
 * budget, is there: its state is not known.
 */
export function isSilence({ type, details }: RampartError): boolean {
  return type === 'ProviderUnavailable' && details.notApplied !== true;
}

function retryAfterMs(error: SdkError): number {
  const told = error.retryAfterSeconds ?? Number(error.$response?.headers?.['retry-after']);
  return Number.isFinite(told) && told > 0 ? told * 1000 : THROTTLED_MS;
}

function sentence(message: string): string {
  return message === '' || message === 'UnknownError' ? '' : `: ${message.replace(/\.$/, '')}`;
}

function plain({ name, message, code }: SdkError, status: number | undefined): string {
  if (status !== undefined && (status >= 500 || UNAVAILABLE.has(name))) return `answered HTTP ${status} (${name})`;
  if (status !== undefined) return `answered HTTP ${status} with a body that cannot be read (cut off?)`;
  // The SDK calls a closed connection a TimeoutError, too: the code says more than the name.
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused (nothing listens there)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host name not found';
    case 'ECONNRESET':
      return 'connection closed before an answer';
    default:
      if (name === 'TimeoutError' || name === 'AbortError') return 'no answer in time';
      return `no answer that can be read: ${message || name}`;
  }
}
