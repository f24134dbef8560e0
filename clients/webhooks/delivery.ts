/** One message from its headers to its answer: who sends it, what it says, and whether that is kept. */
import type { AlertSource } from '../../topology/alerts.ts';
import { type Answer, invalid, UNKNOWN_SOURCE, unauthorized, unavailable } from './answer.ts';
import { authenticateBody, authenticateHeaders, type HeaderReader, type Verdict } from './auth.ts';
import { type Inbox, Unavailable } from './inbox.ts';
import type { Message, Parsed } from './message.ts';
import type { Secrets } from './secrets.ts';
import { type Certificates, confirmSubscription, type FetchText, readSns, verifySns } from './sns.ts';
import type { Prepared, ReadySource } from './sources.ts';

export interface DeliveryDeps {
  inbox: Inbox;
  secrets: Secrets;
  prepared: Prepared;
  certificates: Certificates;
  fetch: FetchText;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Whether only this machine reaches the listener. */
  loopback: boolean;
}

export interface Incoming {
  /** Name of the source in the path. */
  name: string;
  /** What follows it in the path; `null`: nothing. */
  token: string | null;
  header: HeaderReader;
  headers(): Iterable<readonly [string, string]>;
  /** The raw body. An answer when it is not taken. */
  body(): Promise<Uint8Array | Answer>;
  /** Aborts when the sender has its answer already. */
  signal: AbortSignal;
}

/** @throws whatever the inbox throws; the sender is then told to send again */
export async function deliver(deps: DeliveryDeps, incoming: Incoming): Promise<Answer> {
  const sources = await deps.inbox.sources();
  const source = Object.hasOwn(sources, incoming.name) ? sources[incoming.name] : undefined;
  if (source === undefined || (incoming.token !== null && source.auth.kind !== 'path')) return UNKNOWN_SOURCE;
  const early = await authenticateHeaders(source, incoming, deps.secrets, deps.loopback);
  if (early.kind !== 'ok') return refusal(early);
  const raw = await incoming.body();
  if (!(raw instanceof Uint8Array)) return raw;
  const signed = await authenticateBody(source, incoming.header, raw, deps.secrets, deps.now());
  if (signed.kind !== 'ok') return refusal(signed);
  const body = parseJson(raw);
  if (source.auth.kind === 'sns') {
    const answer = await judgeSns(deps, source.auth.topics, body, incoming.signal);
    if (answer !== null) return answer;
  }
  if (body === undefined) return invalid('the body is no JSON in UTF-8');
  return keep(deps, source, incoming, body);
}

const refusal = (verdict: Exclude<Verdict, { kind: 'ok' }>): Answer =>
  verdict.kind === 'refused' ? unauthorized(verdict.reason) : unavailable(verdict.reason);

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** `undefined` when it is none. */
function parseJson(raw: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(raw));
  } catch {
    return undefined;
  }
}

/** The answer to a message that SNS did not sign, or that is about the subscription itself; `null`: an alarm to be read. */
async function judgeSns(
  { certificates, fetch, now }: DeliveryDeps,
  topics: string[],
  body: unknown,
  signal: AbortSignal,
): Promise<Answer | null> {
  const message = readSns(body);
  if (typeof message === 'string') return unauthorized(message);
  const verdict = await verifySns(message, topics, certificates, now(), signal);
  if (verdict.kind !== 'ok') return refusal(verdict);
  if (message.type === 'Notification') return null;
  if (message.type === 'UnsubscribeConfirmation') {
    const reason = `somebody ended the subscription of ${message.topicArn}: no more alarms of it will come`;
    return { status: 202, result: 'ignored', alerts: 0, reason };
  }
  const confirmed = await confirmSubscription(message, fetch, signal);
  if (confirmed.kind !== 'ok') return refusal(confirmed);
  return { status: 202, result: 'accepted', alerts: 0, reason: `the subscription of ${message.topicArn} is confirmed` };
}

async function keep(deps: DeliveryDeps, source: AlertSource, incoming: Incoming, body: unknown): Promise<Answer> {
  let ready: ReadySource;
  try {
    ready = deps.prepared.get(source);
  } catch (error) {
    return unavailable((error as Error).message);
  }
  const message: Message = { source, body, header: incoming.header, receivedAt: deps.now() };
  const { alerts, problem } = parseSafely(ready, message, incoming);
  // The sender has been told to send it again, and will.
  if (incoming.signal.aborted) return unavailable('it took too long');
  const delivered = alerts.length === 0 ? 'ignored' : await deps.inbox.deliver(alerts);
  if (problem === null) return { status: 202, result: delivered, alerts: alerts.length };
  // What could be read is kept, and yet the sender must not think that all of it was.
  return { ...invalid(problem), alerts: alerts.length };
}

/** A message nested deeper than the stack is long is the sender's fault, like any other that cannot be read. */
function parseSafely({ parse }: ReadySource, message: Message, incoming: Incoming): Parsed {
  try {
    return parse(message, () => incoming.headers());
  } catch (error) {
    if (error instanceof RangeError) return { alerts: [], problem: 'the body is nested too deeply' };
    throw error;
  }
}

/** What an error of the inbox means for the sender. */
export function answerTo(error: unknown): Answer {
  if (error instanceof Unavailable) return unavailable(error.message, error.retryAfterS);
  return unavailable(`it failed: ${error instanceof Error ? error.message : String(error)}`);
}
