/**
 * The load: places and reads orders at a steady rate, whatever the answers, and keeps every acknowledgement.
 *
 * Environment: EDGE_URL, ACKS (file), PORT (of the control interface), RATE (orders per second), READS
 * (reads per second).
 *
 *   GET  /report?from=<ms>&to=<ms>    what happened in a window, see WindowReport
 *   POST /verify {"url", "from", "to"}   looks for every order acknowledged in the window in that database
 *   POST /pause, POST /resume         stops and starts new requests; pause answers when none is under way
 */
import { randomUUID } from 'node:crypto';
import { Agent, createServer, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ledger } from './ledger.ts';
import { verifyOrders } from './verify.ts';

/** How long the client keeps asking for one order before it gives up, milliseconds. */
const GIVE_UP_MS = 30_000;
/** Requests under way at most: beyond that the service is so slow that more would only queue. */
const MOST_UNDER_WAY = 400;

const edge = new URL(required('EDGE_URL'));
const ledger = new Ledger(required('ACKS'));
const agent = new Agent({ keepAlive: true, maxSockets: MOST_UNDER_WAY });
const started = now();
let running = true;
let underWay = 0;

/** Calls `start` at a steady rate; late timers are caught up, so that the rate holds. */
async function atRate(perSecond: number, start: () => Promise<void>): Promise<void> {
  if (perSecond <= 0) return;
  let next = performance.now();
  for (;;) {
    await sleep(Math.max(0, next - performance.now()));
    next = Math.max(next + 1000 / perSecond, performance.now() - 100);
    if (!running || underWay >= MOST_UNDER_WAY) continue;
    underWay += 1;
    void start().finally(() => {
      underWay -= 1;
    });
  }
}

async function placeOrder(): Promise<void> {
  const id = randomUUID();
  const order = JSON.stringify({ id, amount: 100 + Math.floor(Math.random() * 9_900) });
  const giveUp = now() + GIVE_UP_MS;
  for (let attempts = 1; now() < giveUp; attempts += 1) {
    const sentAt = now();
    const answer = await call('POST', '/orders', order);
    if (answer && (answer.status === 201 || answer.status === 200)) {
      ledger.acknowledged({ id, sentAt, at: now(), region: answer.region, attempts });
      return;
    }
    ledger.error(now());
    await sleep(50);
  }
}

async function readOrder(): Promise<void> {
  const known = ledger.acknowledgements;
  const order = known[Math.floor(Math.random() * known.length)];
  if (!order) return;
  const sentAt = now();
  const answer = await call('GET', `/orders/${order.id}`);
  if (answer && (answer.status === 200 || answer.status === 404))
    ledger.read(sentAt, now(), answer.region, answer.status === 200);
  else ledger.error(now());
}

/** One request; undefined when there was no answer. */
function call(method: string, path: string, body?: string): Promise<{ status: number; region: string } | undefined> {
  return new Promise((resolve) => {
    const request = httpRequest(
      {
        host: edge.hostname,
        port: edge.port,
        method,
        path,
        agent,
        timeout: 15_000,
        headers: body ? { 'content-type': 'application/json' } : {},
      },
      (response) => {
        response.resume();
        response.once('error', () => resolve(undefined));
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, region: String(response.headers['x-region'] ?? 'none') }),
        );
      },
    );
    request.once('error', () => resolve(undefined));
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.end(body);
  });
}

/** Milliseconds since the epoch with fractions: gaps are measured in milliseconds. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://load');
  const reply = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const answer = async (): Promise<void> => {
    if (request.method === 'GET' && url.pathname === '/report') {
      reply(
        200,
        ledger.report(Number(url.searchParams.get('from') ?? started), Number(url.searchParams.get('to') ?? now())),
      );
    } else if (request.method === 'POST' && url.pathname === '/verify') {
      let text = '';
      for await (const chunk of request) text += chunk;
      const { url: database, from, to } = JSON.parse(text) as { url: string; from?: number; to?: number };
      const wanted = ledger.acknowledgements.filter(({ at }) => at >= (from ?? 0) && at <= (to ?? Infinity));
      reply(200, await verifyOrders(database, wanted));
    } else if (request.method === 'POST' && url.pathname === '/pause') {
      running = false;
      while (underWay > 0) await sleep(5);
      reply(200, { running });
    } else if (request.method === 'POST' && url.pathname === '/resume') {
      running = true;
      reply(200, { running });
    } else {
      reply(404, { error: 'GET /report, POST /verify, /pause or /resume' });
    }
  };
  answer().catch((error: unknown) => reply(500, { error: (error as Error).message }));
});
control.listen(Number(required('PORT')), '127.0.0.1', () => console.log('load is ready'));
void atRate(Number(process.env.RATE ?? 100), placeOrder);
void atRate(Number(process.env.READS ?? 30), readOrder);

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
