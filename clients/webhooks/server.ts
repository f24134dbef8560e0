/** The web side of the webhooks: paths, limits of size and time, answers, one line of log for each message. */
import { type Context, Hono } from 'hono';
import type { DriverLog } from '../../drivers/ports.ts';
import { type Answer, type Result, unavailable } from './answer.ts';
import { answerTo, type DeliveryDeps, deliver } from './delivery.ts';
import type { Inbox } from './inbox.ts';
import { Secrets } from './secrets.ts';
import { interact, SLACK_PATH, type SlackDeps } from './slack.ts';
import { Certificates, type FetchText, fetchText } from './sns.ts';
import { Prepared } from './sources.ts';

/** More than any sender sends, in bytes. */
export const BODY_LIMIT = 512 * 1024;
/** From the headers to the answer, in milliseconds: the most impatient sender waits 3 s. */
export const DEADLINE_MS = 2_500;
/** Bodies that are being received at once, in bytes; more are told to come again. */
const BUFFER_LIMIT = 64 * 1024 * 1024;
/** Bodies up to this length, which most are, are read at once: a stream costs as much as all the rest. In bytes. */
const SMALL = 64 * 1024;

export interface WebhookOptions {
  inbox: Inbox;
  /** Gives the value of a secret reference; its errors name the reference and no value. */
  secret(reference: string): Promise<string>;
  /** What people press in Slack; absent: nothing is taken from there. */
  slack?: SlackDeps;
  /** Whether only this machine reaches the listener; sources without authentication need that. */
  loopback: boolean;
  log: DriverLog;
  /** Counts a message and the time to its answer. `source` is empty when there is none of the name. */
  count?(source: string, result: Result, ms: number): void;
  /** For tests; default Node's. */
  fetch?: FetchText;
  /** Milliseconds since the epoch; default the clock. */
  now?(): number;
  /** Default {@link DEADLINE_MS}. */
  deadlineMs?: number;
}

/** The application, without a listener. */
export function createWebhooks(options: WebhookOptions): Hono {
  const { inbox, loopback, now = Date.now, fetch = fetchText } = options;
  const secrets = new Secrets(options.secret, now);
  const certificates = new Certificates(fetch);
  const deps: DeliveryDeps = { inbox, secrets, prepared: new Prepared(), certificates, fetch, now, loopback };
  const buffers = { bytes: 0 };
  const take = (c: Context): Promise<Response> =>
    answer(c, options, c.req.param('source') ?? '', (signal) =>
      deliver(deps, {
        name: c.req.param('source') ?? '',
        token: c.req.param('token') ?? null,
        header: (wanted) => c.req.raw.headers.get(wanted),
        headers: () => c.req.raw.headers,
        body: () => readBody(c.req.raw, buffers, signal),
        signal,
      }),
    );
  const press = (c: Context, slack: SlackDeps): Promise<Response> =>
    answer(c, options, 'slack', async (signal) => {
      const body = await readBody(c.req.raw, buffers, signal);
      if (!(body instanceof Uint8Array)) return body;
      return interact(slack, secrets, { header: (wanted) => c.req.raw.headers.get(wanted), body, now: now() });
    });
  const app = new Hono();
  app.on(['POST', 'PUT'], ['/hooks/:source', '/hooks/:source/:token'], take);
  if (options.slack !== undefined) {
    const { slack } = options;
    app.post(SLACK_PATH, (c) => press(c, slack));
  }
  app.get('/healthz', (c) => c.json({ ok: true }));
  app.onError((error, c) => {
    options.log.error('webhook', { status: 503, result: 'unavailable', reason: error.message.slice(0, 300) });
    return respond(c, unavailable(''));
  });
  app.notFound((c) => c.json({ result: 'notFound' }, 404));
  return app;
}

async function answer(
  c: Context,
  options: WebhookOptions,
  name: string,
  take: (over: AbortSignal) => Promise<Answer>,
): Promise<Response> {
  const { log, count, deadlineMs = DEADLINE_MS } = options;
  const began = performance.now();
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(unavailable(`it was not done within ${deadlineMs} ms`)), deadlineMs);
  });
  const work = take(over.signal).catch(answerTo);
  const given = await Promise.race([work, late]);
  clearTimeout(timer);
  over.abort();
  // Names that nobody has given a source may be anything, a mistyped secret too.
  const source = given.result === 'unknownSource' ? '' : name;
  const took = performance.now() - began;
  count?.(source, given.result, took);
  const { status, result, alerts, reason } = given;
  const ms = Math.round(took);
  log[status < 300 ? 'info' : 'warn']('webhook', {
    ...(source === '' ? {} : { source }),
    ...{ status, result, ms },
    ...(alerts === undefined ? {} : { alerts }),
    ...(reason === undefined ? {} : { reason: reason.slice(0, 300) }),
  });
  return respond(c, given);
}

function respond(c: Context, { status, result, error, alerts, retryAfterS }: Answer): Response {
  if (retryAfterS !== undefined) c.header('retry-after', String(Math.max(1, Math.ceil(retryAfterS))));
  // Slack takes what a body says for a message.
  if (status === 200) return c.body(null, 200);
  return c.json(
    { result, ...(alerts === undefined ? {} : { alerts }), ...(error === undefined ? {} : { error }) },
    status,
  );
}

interface Buffers {
  bytes: number;
}

const TOO_LARGE: Answer = {
  ...{ status: 413, result: 'tooLarge', error: `a body has at most ${BODY_LIMIT} bytes` },
  reason: `its body has more than ${BODY_LIMIT} bytes`,
};

/** A body whose length was said before; HTTP ends it there. */
async function readSmall(request: Request): Promise<Uint8Array | Answer> {
  try {
    return new Uint8Array(await request.arrayBuffer());
  } catch {
    return unavailable('the body broke off');
  }
}

/** The raw body, or why it is not taken. Nothing of it is kept beyond the limits. */
async function readBody(request: Request, buffers: Buffers, over: AbortSignal): Promise<Uint8Array | Answer> {
  const length = Number(request.headers.get('content-length') ?? Number.NaN);
  if (length > BODY_LIMIT) return TOO_LARGE;
  if (length <= SMALL) return readSmall(request);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    while (!over.aborted) {
      const { done, value } = await reader.read();
      if (done) return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      size += value.byteLength;
      buffers.bytes += value.byteLength;
      if (size > BODY_LIMIT) return TOO_LARGE;
      if (buffers.bytes > BUFFER_LIMIT) return unavailable('too many bodies are being received', 1);
      chunks.push(value);
    }
    return unavailable('the body came too slowly');
  } catch {
    return unavailable('the body broke off');
  } finally {
    buffers.bytes -= size;
    // Not cancelled: that would close the connection before the answer is sent.
    reader.releaseLock();
  }
}
