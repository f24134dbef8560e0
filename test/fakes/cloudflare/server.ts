/**
 * A stateful fake of the parts of Cloudflare's API v4 that Rampart drives, with the real JSON of requests and answers.
 * What it cannot know of the real one, it does not invent: see docs/drivers/cloudflare.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DnsRecords } from './dns-records.ts';
import { type Fault, type FaultRule, Faults } from './faults.ts';
import { LoadBalancers } from './load-balancers.ts';
import { ApiError, type Call, envelope, failure } from './wire.ts';

export const ACCOUNT = 'a'.repeat(32);
export const ZONE = 'c'.repeat(32);
export const TOKEN = 'cf-token-correct-horse';
const BASE = '/client/v4';

/** Refusals that are told to happen. */
const REFUSALS: Record<string, ApiError> = {
  throttled: new ApiError(429, 971, 'Please wait and consider throttling your request speed'),
  denied: new ApiError(403, 10000, 'Authentication error'),
  expired: new ApiError(401, 1000, 'Invalid API Token'),
  unavailable: new ApiError(503, 7000, 'Service temporarily unavailable'),
};

interface Answer {
  status: number;
  body: string;
  arrives: 'whole' | 'half' | 'reset' | 'never';
}

/** Faults that lose the answer. */
const LOST: Partial<Record<Fault, Answer['arrives']>> = { hang: 'never', reset: 'reset', cut: 'half' };

export class FakeCloudflare {
  readonly balancing = new LoadBalancers(ACCOUNT);
  readonly dns = new DnsRecords();
  /** Every request, in order, with what it was given. */
  readonly calls: Call[] = [];
  /** Of every request. */
  readonly headers: IncomingMessage['headers'][] = [];
  readonly faults = new Faults();
  /** Seconds that a throttled call is told to wait. */
  retryAfter = 30;
  /** Requests that are answered before the limit throttles. */
  limit = 100_000;
  readonly #server: Server;
  #frozen: Array<() => void> | null = null;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeCloudflare> {
    const fake = new FakeCloudflare();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get baseURL(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${BASE}`;
  }

  /** Requests of one method to paths with this part. */
  sent(method: string, path = ''): Call[] {
    return this.calls.filter((call) => call.method === method && call.path.includes(path));
  }

  /** See {@link FaultRule}. @returns what takes it away */
  fault(rule: FaultRule): () => void {
    return this.faults.add(rule);
  }

  /** Takes connections and answers nobody, until it goes on. */
  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const waiting = this.#frozen ?? [];
    this.#frozen = null;
    for (const goOn of waiting) goOn();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.thaw();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString('utf8');
      if (this.#frozen !== null) await new Promise<void>((goOn) => this.#frozen!.push(goOn));
      const answer = this.#answer(request, text === '' ? {} : JSON.parse(text));
      if (response.destroyed || answer.arrives === 'never') return;
      if (answer.arrives === 'reset') response.destroy();
      else if (answer.arrives === 'half') cut(response, answer.body);
      else this.#write(response, answer);
    } catch (error) {
      // A fake that breaks by itself must be told from one that was told to break.
      if (!response.headersSent && !response.destroyed) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(`the fake itself failed: ${(error as Error).stack}`);
    }
  }

  /** What is answered, and how much of it arrives. */
  #answer(request: IncomingMessage, body: Record<string, unknown>): Answer {
    const url = new URL(request.url ?? '/', 'http://fake');
    const method = request.method ?? 'GET';
    const call: Call = { method, path: url.pathname.replace(BASE, ''), query: url.searchParams, body };
    this.calls.push({ ...call, body: structuredClone(body) });
    this.headers.push(request.headers);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return refused(REFUSALS.denied!);
    if (this.calls.length > this.limit) return refused(REFUSALS.throttled!);
    const rule = this.faults.meet(method, call.path);
    rule?.before?.();
    const lost = rule === undefined ? undefined : LOST[rule.fault];
    const refusal = rule === undefined ? undefined : REFUSALS[rule.fault];
    if (refusal !== undefined && !rule!.applied) return refused(refusal);
    if (rule?.fault === 'failed') return { ...refused(new ApiError(200, 1000, 'Internal error')), arrives: 'whole' };
    if (lost !== undefined && !rule!.applied && rule!.fault !== 'cut') return { status: 0, body: '', arrives: lost };
    const restore = rule?.fault === 'nothing' ? this.#snapshot() : undefined;
    try {
      const page = this.balancing.answer(call) ?? this.dns.answer(call);
      if (page === undefined) throw new ApiError(404, 7003, `Could not route to ${call.path}`);
      const answer = envelope(page);
      restore?.();
      rule?.after?.();
      if (refusal !== undefined) return refused(refusal);
      return { status: 200, body: answer, arrives: lost ?? 'whole' };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return refused(error);
    }
  }

  #write(response: ServerResponse, { status, body }: Answer): void {
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      ratelimit: `"default";r=${Math.max(0, this.limit - this.calls.length)};t=${this.retryAfter}`,
      'ratelimit-policy': '"default";q=1200;w=300',
      ...(status === 429 ? { 'retry-after': String(this.retryAfter) } : {}),
    });
    response.end(body);
  }

  #snapshot(): () => void {
    const { balancers, pools, health } = this.balancing;
    const before = structuredClone({ balancers, pools, health, records: this.dns.records });
    return () => {
      for (const [id, one] of before.balancers) balancers.set(id, one);
      for (const [id, one] of before.pools) pools.set(id, one);
      for (const [id, one] of before.health) health.set(id, one);
      this.dns.records = before.records;
    };
  }
}

function refused(error: ApiError): Answer {
  return { status: error.status, body: failure(error), arrives: 'whole' };
}

/** Promises the whole body, sends half of it and ends the connection. */
function cut(response: ServerResponse, body: string): void {
  const bytes = Buffer.from(body);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(bytes.length) });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
}
