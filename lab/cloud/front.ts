/**
 * One address for all APIs of the emulated provider: calls are passed on by what they are signed for. It sees every call
 * that changes something, so that what follows the provider's word need not keep asking for it.
 */
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { credentialScope } from '../../test/fakes/aws/protocol.ts';

/** A call that changed something, or may have. */
export interface Change {
  /** As calls are signed for: `rds`, `ecs`, `route53`, …; `cloudflare` for its API. */
  service: string;
  /** `SwitchoverGlobalCluster`; the method for APIs that tell operations by path. */
  operation: string;
  /** What was sent. */
  body: string;
}

export interface FrontOptions {
  port: number;
  /** Base URL that serves a service's calls. */
  upstream(service: string): string;
  /** What the emulator leaves out of an answer, and the lab has. */
  amend(service: string, operation: string, answer: Buffer): Buffer;
  /** Called once the answer is on its way, as a provider does first what it says and then what it means. */
  changed(change: Change): void;
  /** The lab's own pages, below `/_lab/`. */
  page(path: string): Promise<unknown> | unknown;
}

const READS = /^(Describe|List|Get|BatchGet)/;

export async function startFront(options: FrontOptions): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => {
      console.error(error);
      // As a region whose servers are there and do not answer: no protocol is invented.
      response.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    const body = await bytesOf(request);
    if (path.startsWith('/_lab/')) {
      const page = await options.page(path);
      response.writeHead(page === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(page ?? { error: 'no such page' }));
      return;
    }
    const service = serviceOf(request);
    const operation = operationOf(request, body);
    const answer = await pass(new URL(path, options.upstream(service)), request, body);
    const whole = options.amend(service, operation, answer.body);
    response.writeHead(answer.status, { ...answer.headers, 'content-length': whole.length }).end(whole);
    if (!READS.test(operation)) options.changed({ service, operation, body: body.toString('utf8') });
  }

  function pass(url: URL, from: IncomingMessage, body: Buffer) {
    return new Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>((resolve, reject) => {
      const request = httpRequest(url, { method: from.method, headers: from.headers, agent }, (answer) => {
        bytesOf(answer).then((bytes) => {
          // The length is the whole body's here, whatever way it came.
          const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers;
          resolve({ status: answer.statusCode ?? 502, headers, body: bytes });
        }, reject);
      });
      request.once('error', reject);
      request.end(body);
    });
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
}

function serviceOf(request: IncomingMessage): string {
  if (request.url?.startsWith('/client/v4/')) return 'cloudflare';
  return credentialScope(request.headers.authorization)?.service ?? 'unsigned';
}

/** @returns the name of the operation; for APIs that have none on the wire, `Get` or the method */
function operationOf(request: IncomingMessage, body: Buffer): string {
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') return target.split('.').at(-1)!;
  if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded'))
    return new URLSearchParams(body.toString('utf8')).get('Action') ?? '';
  return request.method === 'GET' ? 'Get' : (request.method ?? '');
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
