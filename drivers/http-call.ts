/**
 * One HTTP request, as drivers need it: bounded in time and size, abortable, without redirects or retries,
 * and with failures that say whether anybody answered. Secrets may stand in headers; no error text repeats them.
 */
import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { RampartError } from './errors.ts';

export interface HttpCall {
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Limit for the whole exchange, connection to last byte, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Longest body read, in bytes; a longer one is cut and marked. Default 1 MiB. */
  maxBytes?: number;
  /** Keep-alive agent of a caller that asks often. */
  agent?: Agent;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** True when the body was longer than `maxBytes`. */
  cut: boolean;
  /** From the start of the request to the last byte, in milliseconds. */
  ms: number;
}

/** Nobody answered (in time). Callers translate it into their own outcome. */
export class NoAnswer extends Error {
  readonly reason: 'refused' | 'timeout' | 'broken';

  constructor(reason: NoAnswer['reason'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'NoAnswer';
    this.reason = reason;
  }
}

/**
 * Sends one request and reads the answer, whatever its status.
 * @throws NoAnswer when there was none or it broke off; the signal's reason when aborted
 */
export function httpCall(call: HttpCall): Promise<HttpAnswer> {
  const { signal, timeoutMs } = call;
  const where = displayUrl(call.url);
  const method = call.method ?? 'GET';
  const maxBytes = call.maxBytes ?? 2 ** 20;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const started = performance.now();
    const url = new URL(call.url);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers: Record<string, string | number> = { ...call.headers };
    if (call.body !== undefined) headers['content-length'] = Buffer.byteLength(call.body);
    const request = send(url, { method, headers, agent: call.agent });

    const timer = setTimeout(() => {
      fail(new NoAnswer('timeout', `${method} ${where}: no complete answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const onAbort = () => fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (reason: unknown) => {
      settle();
      reject(reason);
      request.destroy();
    };

    request.setNoDelay(true);
    request.on('error', (error: NodeJS.ErrnoException) => {
      const refused = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'].includes(
        error.code ?? '',
      );
      fail(new NoAnswer(refused ? 'refused' : 'broken', `${method} ${where}: ${plainCause(error)}`, error));
    });
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const finish = (cut: boolean) => {
        settle();
        const body = Buffer.concat(chunks).subarray(0, maxBytes).toString('utf8');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          cut,
          ms: performance.now() - started,
        });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size <= maxBytes) return;
        finish(true);
        request.destroy();
      });
      response.on('end', () => finish(false));
      response.on('error', (error) => fail(new NoAnswer('broken', `${method} ${where}: ${plainCause(error)}`, error)));
    });
    request.end(call.body);
  });
}

/** An URL for messages: no user, password, query or fragment, where secrets live. */
export function displayUrl(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/** `NoAnswer` as the driver error for an unreachable system; anything else is passed on. */
export function asUnavailable(error: unknown, what: string, remedy: string): unknown {
  if (!(error instanceof NoAnswer)) return error;
  return new RampartError('ProviderUnavailable', `${what} did not answer: ${error.message}`, { remedy, cause: error });
}

function plainCause(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused (nothing listens there)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host name not found';
    case 'ECONNRESET':
      return 'connection closed before an answer';
    default:
      return error.message || error.code || 'failed';
  }
}
