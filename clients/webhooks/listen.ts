/** The listener of the webhooks: Node's HTTP server with limits for senders that are slow or never end. */
import type { Server } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { createWebhooks, DEADLINE_MS, type WebhookOptions } from './server.ts';

/** Headers, and whole messages, must have come within this time, in milliseconds. The application answers before that. */
const SLOWEST_MS = DEADLINE_MS + 2_500;
/** Longer than the senders keep their idle connections, so that none meets one that is just being closed. */
const KEEP_ALIVE_MS = 75_000;
const CHECK_EVERY_MS = 500;

export interface ListenOptions extends Omit<WebhookOptions, 'loopback'> {
  /** `host:port`; an IPv6 address in brackets. */
  address: string;
}

export interface Listener {
  host: string;
  port: number;
  /** Takes no new message, and lets those that are being answered end. */
  close(): Promise<void>;
}

/**
 * Listens.
 * @throws Error of Node (`EADDRINUSE`, `EACCES`, …) when it cannot; Error for an address that is none
 */
export async function listen({ address, ...options }: ListenOptions): Promise<Listener> {
  const { host, port } = parseAddress(address);
  const app = createWebhooks({ ...options, loopback: isLoopback(host) });
  const server = createAdaptorServer({
    fetch: app.fetch,
    hostname: host,
    serverOptions: {
      headersTimeout: SLOWEST_MS,
      requestTimeout: SLOWEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
    },
  }) as Server;
  server.on('clientError', refuse);
  const close = closer(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return { host, port, close };
}

/** Node would tell a slow sender 408, after which many do not send again. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  socket.end(
    `HTTP/1.1 ${slow ? '503 Service Unavailable\r\nRetry-After: 2' : '400 Bad Request'}\r\nConnection: close\r\n\r\n`,
  );
}

/** Node ends connections that are idle when it closes, but not those that become idle after that. */
function closer(server: Server): () => Promise<void> {
  let closing = false;
  server.on('request', (_request, response) =>
    response.once('close', () => closing && setImmediate(() => server.closeIdleConnections())),
  );
  return () =>
    new Promise((resolve) => {
      closing = true;
      // Every answer is due by then; who has not read it will not.
      const force = setTimeout(() => server.closeAllConnections(), SLOWEST_MS);
      server.close(() => {
        clearTimeout(force);
        resolve();
      });
    });
}

/** @throws Error when it is no `host:port` */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new Error(`${address} is no address: write host:port, such as 127.0.0.1:8085`);
  return { host: (match[1] ?? match[2])!, port };
}

/** Whether a listener on this host is reached from this machine only. Another name than localhost may mean anything. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  return isIP(host) === 4 ? host.startsWith('127.') : /^(0*:)*0*1$/.test(host) && isIP(host) === 6;
}
