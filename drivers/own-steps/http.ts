/** A team's own HTTP call as a step of a run. */
import { type ErrorType, RampartError } from '../errors.ts';
import { displayUrl, type HttpAnswer, httpCall, NoAnswer } from '../http-call.ts';
import type { DriverContext, Json, Receipt } from '../ports.ts';
import { reveal } from '../secrets.ts';
import { fillIn, type Variables } from '../template.ts';
import { excerpt, HEARTBEAT_EVERY_MS, idempotencyKey, isObject, type OwnStepFacts, variablesOf } from './step.ts';

export interface OwnHttp {
  /** POST when absent. */
  method?: string;
  /** May be a whole secret reference; else `{{to}}` and the other variables are put in, escaped for a URL. */
  url: string;
  /** A value may be a whole secret reference. */
  headers?: Record<string, string>;
  /** Sent as JSON; variables are put into its strings. */
  body?: Json;
  /** Status codes that count as done; any 2xx when absent or empty. */
  expectStatus?: number[];
}

const MAX_ANSWER_BYTES = 65_536;

/**
 * Sends the request once, with the header `Idempotency-Key`; the engine repeats the step when the error says so.
 * @returns facts `status`, `ms`, `body` (cut, free of the step's secrets)
 * @throws ProviderUnavailable for no answer, 408, 425, 429 and 5xx; AccessDenied for 401 and 403; Conflict for 409;
 *   PreconditionFailed for any other status that was not expected; DeadlineExceeded
 */
export async function runOwnHttp(config: OwnHttp, context: DriverContext, facts: OwnStepFacts): Promise<Receipt> {
  const variables = variablesOf(facts, context);
  const secret = await reveal({ ...config.headers, '': config.url }, context);
  const { '': revealedUrl, ...given } = secret.values;
  const isSecretUrl = revealedUrl !== config.url;
  const url = isSecretUrl ? revealedUrl! : fillIn(config.url, escaped(variables));
  const headers: Record<string, string> = { 'idempotency-key': idempotencyKey(facts, context) };
  for (const [name, value] of Object.entries(given)) {
    headers[name.toLowerCase()] = value === config.headers?.[name] ? fillIn(value, variables) : value;
  }
  const body =
    config.body === undefined || config.body === null ? undefined : JSON.stringify(filled(config.body, variables));
  if (body !== undefined) headers['content-type'] ??= 'application/json';

  const method = config.method ?? 'POST';
  const name = `${facts.step}: ${method} ${isSecretUrl ? '(secret address)' : displayUrl(url)}`;
  const fail = (type: ErrorType, text: string, remedy: string) =>
    new RampartError(type, secret.redact(`${name} ${text}`), { remedy });
  if (!URL.canParse(url)) throw fail('InvalidInput', 'is no address', 'Check `url` and what its reference holds.');

  const heart = setInterval(() => context.heartbeat({ step: facts.step, waitingFor: name }), HEARTBEAT_EVERY_MS);
  let answer: HttpAnswer;
  try {
    const { signal } = context;
    const timeoutMs = facts.deadlineMs;
    answer = await httpCall({ url, method, headers, body, timeoutMs, signal, maxBytes: MAX_ANSWER_BYTES });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const why = isSecretUrl ? error.reason : error.message;
    if (error.reason === 'timeout') {
      throw fail(
        'DeadlineExceeded',
        `got no answer within ${facts.deadlineMs} ms`,
        'Raise the `deadline` of the step.',
      );
    }
    throw fail('ProviderUnavailable', `got no answer: ${why}`, 'See that it runs and that the worker reaches it.');
  } finally {
    clearInterval(heart);
  }

  const { status, ms } = answer;
  const said = excerpt(secret.redact(answer.body));
  if (isExpected(config.expectStatus, status)) {
    const summary = secret.redact(`${name} answered ${status} after ${Math.round(ms)} ms`);
    return { already: false, at: context.now(), summary, facts: { status, ms: Math.round(ms), body: said } };
  }
  const [type, remedy] = meaningOf(status);
  throw fail(type, `answered ${status}${said === '' ? '' : `: ${said}`}`, remedy);
}

function isExpected(expected: number[] | undefined, status: number): boolean {
  if (expected === undefined || expected.length === 0) return status >= 200 && status < 300;
  return expected.includes(status);
}

function meaningOf(status: number): [type: ErrorType, remedy: string] {
  if (status === 401 || status === 403) return ['AccessDenied', 'Check the secret that its headers refer to.'];
  if (status === 409) return ['Conflict', 'Somebody else acts on it: look there first.'];
  if ([408, 425, 429].includes(status) || status >= 500) return ['ProviderUnavailable', "Look into the service's log."];
  return ['PreconditionFailed', 'Mend the request, or name the status in `expectStatus` when it means done.'];
}

function escaped(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, encodeURIComponent(value)]));
}

function filled(value: Json, variables: Variables): Json {
  if (typeof value === 'string') return fillIn(value, variables);
  if (Array.isArray(value)) return value.map((entry) => filled(entry, variables));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, filled(entry, variables)]));
}
