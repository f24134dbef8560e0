/**
 * The lab's service, one process per region: orders in a database behind the writer endpoint.
 *
 *   POST /orders {"id": "<uuid>", "amount": 12}   201 created or 200 known already; only after the commit
 *   GET  /orders/<id>                             200 or 404
 *   GET  /healthz  GET /readyz                    alive; able to serve
 *   GET  /metrics                                 whether it can place orders, for Prometheus
 *   GET  /rampart  PUT /rampart {"desired": "active" | "standby" | "drained", "token"}    the contract for failover
 *
 * Environment: REGION, PORT, WRITER_URL; STATE (standby when absent), HOST (127.0.0.1 when absent).
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Writer, WriterUnavailable } from './writer.ts';

/** How long a request waits for a writer before it is refused, milliseconds: longer than any switchover. */
const REQUEST_MS = 10_000;
const STATES = ['active', 'standby', 'drained'] as const;
type State = (typeof STATES)[number];

const region = required('REGION');
const port = Number(required('PORT'));
const writer = new Writer(required('WRITER_URL'));
let state: State = process.env.STATE === 'active' ? 'active' : 'standby';
let inflight = 0;
/** The greatest token taken: an attempt that comes late, or from a run that another one has overtaken, is refused. */
let newest: Token = { epoch: 0, runId: '', seq: 0 };

interface Token {
  epoch: number;
  runId: string;
  seq: number;
}

class BadRequest extends Error {}

const server = createServer((request, response) => {
  // Tells who answered, so that a client can count the split of the edge.
  response.setHeader('x-region', region);
  response.setHeader('content-type', 'application/json');
  handle(request, response).catch((error: unknown) => {
    const status = error instanceof BadRequest ? 400 : error instanceof WriterUnavailable ? 503 : 500;
    if (status === 500) console.error(error);
    if (status === 503) response.setHeader('retry-after', '1');
    answer(response, status, { error: (error as Error).message });
  });
});
server.keepAliveTimeout = 60_000;
server.listen(port, process.env.HOST ?? '127.0.0.1', () => console.log(`app ${region} on ${port}`));
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    void writer.close().finally(() => process.exit(0));
  });
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://app').pathname;
  if (path === '/healthz') return answer(response, 200, { status: 'alive' });
  if (path === '/readyz') {
    const ready = await isReady();
    return answer(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', region, state });
  }
  if (path === '/metrics') return metrics(response);
  if (path === '/rampart') return contract(request, response);
  if (path !== '/orders' && !path.startsWith('/orders/')) return answer(response, 404, { error: 'no such page' });
  if (state === 'drained') {
    response.setHeader('connection', 'close');
    response.setHeader('retry-after', '1');
    return answer(response, 503, { error: `${region} is drained` });
  }
  inflight += 1;
  try {
    if (request.method === 'POST' && path === '/orders') await placeOrder(request, response);
    else if (request.method === 'GET') await showOrder(path.slice('/orders/'.length), response);
    else answer(response, 405, { error: 'POST /orders or GET /orders/<id>' });
  } finally {
    inflight -= 1;
  }
}

async function contract(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'PUT') {
    const { desired, token = newest } = (await body(request)) as { desired?: unknown; token?: Token };
    if (!STATES.includes(desired as State)) throw new BadRequest(`desired must be one of ${STATES.join(', ')}`);
    const late = token.runId === newest.runId ? token.seq < newest.seq : token.epoch === newest.epoch;
    if (token.epoch < newest.epoch || late)
      return answer(response, 409, {
        error: `run ${newest.runId} (epoch ${newest.epoch}, step ${newest.seq}) is in charge`,
      });
    newest = token;
    state = desired as State;
  }
  // Of this service alone: a database that is away must not keep its region from being prepared as the new one.
  const ready = state !== 'drained';
  const told = newest.epoch > 0 ? { token: newest } : {};
  answer(response, 200, { state, inflight, ready, capacity: { present: ready ? 1 : 0, wanted: 1 }, ...told });
}

async function placeOrder(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { id, amount } = await body(request);
  if (typeof id !== 'string' || !/^[0-9a-f-]{36}$/.test(id))
    throw new BadRequest('id must be a UUID made by the client');
  if (!Number.isInteger(amount)) throw new BadRequest('amount must be a whole number of cents');
  const deadline = Date.now() + REQUEST_MS;
  // A repeat, of the client or of our own after a broken session, finds the row and changes nothing.
  const { rows } = await writer.run(
    `WITH placed AS (
       INSERT INTO orders (id, amount, region) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING RETURNING id, amount
     )
     SELECT amount, true AS created FROM placed
     UNION ALL SELECT amount, false FROM orders WHERE id = $1`,
    [id, amount, region],
    deadline,
  );
  const order = rows[0] as { amount: number; created: boolean } | undefined;
  // Another session is committing the same id at this moment: the row is there once that is done.
  if (!order) return answer(response, 503, { error: 'the same order is being placed; ask again' });
  if (order.amount !== amount) return answer(response, 409, { error: 'this id was used with another amount' });
  answer(response, order.created ? 201 : 200, { id, amount });
}

async function showOrder(id: string, response: ServerResponse): Promise<void> {
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new BadRequest('not an order id');
  const { rows } = await writer.run(
    'SELECT id, amount, region FROM orders WHERE id = $1',
    [id],
    Date.now() + REQUEST_MS,
  );
  answer(response, rows.length === 1 ? 200 : 404, rows[0] ?? { error: 'no such order' });
}

/** In Prometheus' text form: what people alert on. */
async function metrics(response: ServerResponse): Promise<void> {
  const writes = state !== 'drained' && writer.reachable && (await answersNow());
  const lines = [
    '# HELP shop_writer_up Whether orders can be placed from here.',
    '# TYPE shop_writer_up gauge',
    `shop_writer_up{region="${region}"} ${writes ? 1 : 0}`,
    '# HELP shop_requests_in_flight Requests that are being answered.',
    '# TYPE shop_requests_in_flight gauge',
    `shop_requests_in_flight{region="${region}"} ${inflight}`,
  ];
  response.setHeader('content-type', 'text/plain; version=0.0.4');
  response.end(`${lines.join('\n')}\n`);
}

/** Able to serve: not drained, and the writer endpoint answers now. */
async function isReady(): Promise<boolean> {
  // Known to be away: whoever asks gets the answer at once, not after a wait for it to return.
  if (state === 'drained' || !writer.reachable) return false;
  return answersNow();
}

async function answersNow(): Promise<boolean> {
  try {
    await writer.run('SELECT 1', [], Date.now() + 500);
    return true;
  } catch {
    return false;
  }
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new BadRequest('too long');
  }
  try {
    const value: unknown = JSON.parse(text);
    if (value && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the refusal.
  }
  throw new BadRequest('the body must be one JSON object');
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.statusCode = status;
  response.end(JSON.stringify(value));
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
