/** The HTTP side of the AWS fakes: one server for all services, all regions and any number of listeners. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { type Fault, type FaultRule, Faults } from './faults.ts';
import {
  type AwsCall,
  AwsError,
  bodyXml,
  credentialScope,
  type FakeService,
  readCall,
  type WireAnswer,
  writeAnswer,
  writeError,
} from './protocol.ts';

/** A call that reached the server, in order. */
export interface CallRecord {
  service: string;
  operation: string;
  region: string;
  account: string;
  endpoint: number;
  input: unknown;
  /** The fault that it met. */
  fault?: Fault;
  /** Code of the error that was answered. */
  error?: string;
}

export class FakeAws {
  /** One per listener; clients take the first unless the service has several endpoints. */
  readonly urls: string[] = [];
  readonly calls: CallRecord[] = [];
  readonly faults = new Faults();
  readonly #services: Map<string, FakeService>;
  readonly #servers: Server[] = [];

  private constructor(services: FakeService[]) {
    this.#services = new Map(services.map((service) => [service.scope, service]));
  }

  /**
   * Starts listeners on free ports of the loopback.
   * @param services told apart by the service name that clients sign with
   * @param listeners how many endpoints, e.g. five for routing controls
   */
  static async start(services: FakeService[], listeners = 1): Promise<FakeAws> {
    const fake = new FakeAws(services);
    for (let endpoint = 0; endpoint < listeners; endpoint++) {
      const server = createServer((request, response) => void fake.#serve(request, response, endpoint));
      // A connection that is closed for being idle may meet the next call on its way.
      server.keepAliveTimeout = 0;
      // The system's own free port: the server lives as long as the test, nobody restarts it there.
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      fake.#servers.push(server);
      fake.urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    }
    return fake;
  }

  get url(): string {
    return this.urls[0] as string;
  }

  /** How often an operation was called, in one region or in all, whatever came of it. */
  count(operation: string, region?: string): number {
    return this.calls.filter((call) => call.operation === operation && (region ?? call.region) === call.region).length;
  }

  /** Adds a fault to calls that match; returns what takes it away. See {@link FaultRule}. */
  fault(rule: FaultRule): () => void {
    return this.faults.add(rule);
  }

  /** Ends every connection, those that hang too. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#servers.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  async #serve(request: IncomingMessage, response: ServerResponse, endpoint: number): Promise<void> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const raw = Buffer.concat(chunks);
      const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString('utf8');
      await this.#answer(request, body, response, endpoint);
    } catch (error) {
      // A fake that breaks by itself must be told from one that was told to break.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(`the fake itself failed: ${(error as Error).stack}`);
    }
  }

  async #answer(request: IncomingMessage, body: string, response: ServerResponse, endpoint: number): Promise<void> {
    const scope = credentialScope(request.headers.authorization);
    if (scope === undefined) return write(response, writeError('query', unsigned(), false));
    const service = this.#services.get(scope.service);
    if (service === undefined) return write(response, writeError('json1.1', unsupported(scope.service)));
    const url = new URL(request.url ?? '/', 'http://fake');
    const http = {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    const record: CallRecord = { ...scope, operation: '', endpoint, input: undefined };
    this.calls.push(record);
    const queryMode = request.headers['x-amzn-query-mode'] === 'true';
    const refuse = (error: AwsError): WireAnswer => {
      record.error = error.code;
      return writeError(service.protocol, error, queryMode);
    };
    let call: AwsCall;
    try {
      const { operation, input } = readCall(service, http);
      Object.assign(record, { operation, input });
      call = { ...scope, operation, input, endpoint, http, xml: () => bodyXml(body) };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return write(response, refuse(error));
    }
    const rule = await this.faults.meet(call);
    if (rule !== undefined) record.fault = rule.fault;
    const refusal = rule === undefined ? undefined : Faults.refusal(rule, service);
    if (refusal !== undefined) return write(response, refuse(refusal));
    if (rule?.fault === 'reset' && !rule.applied) return void response.destroy();
    if (rule?.fault === 'hang' && !rule.applied) return;
    const restore = rule?.fault === 'nothing' ? service.snapshot() : undefined;
    let answer: WireAnswer;
    try {
      answer = writeAnswer(service, call.operation, await service.operations[call.operation]?.(call));
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      answer = refuse(error);
    } finally {
      restore?.();
    }
    if (rule?.fault === 'hang') return;
    if (rule?.fault === 'reset') return void response.destroy();
    if (rule?.fault === 'cut') return cut(response, answer);
    write(response, answer);
  }
}

function write(response: ServerResponse, { status, headers, body }: WireAnswer): void {
  response.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) }).end(body);
}

/** Promises the whole body, sends half of it and ends the connection. */
function cut(response: ServerResponse, { status, headers, body }: WireAnswer): void {
  // An answer of two bytes has a half too.
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...headers, 'content-length': String(bytes.length) });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
}

function unsigned(): AwsError {
  return new AwsError('MissingAuthenticationToken', 'Request is missing Authentication Token', 403);
}

function unsupported(service: string): AwsError {
  return new AwsError('UnknownOperationException', `this fake has no service ${service}`);
}
