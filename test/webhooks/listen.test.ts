/** The listener itself: senders that are slow, that never end, and many at once. */
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isLoopback, type Listener, listen, parseAddress } from '../../clients/webhooks/listen.ts';
import { BODY_LIMIT } from '../../clients/webhooks/server.ts';
import { freePort } from '../../lab/ports.ts';
import { type Bench, bench } from './app.ts';
import { FIRING } from './fixtures.ts';

const AM = { type: 'alertmanager', auth: { kind: 'bearer', secrets: ['${env:AM}'] } } as const;
const TOKEN = { authorization: 'Bearer the-secret-of-AM' };

let listener: Listener | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener?.close();
  listener = undefined;
});

async function start(given: Parameters<typeof bench>[1] = {}): Promise<Bench & { url: string; port: number }> {
  const b = bench([{ ...AM, auth: { ...AM.auth, secrets: [...AM.auth.secrets] } }], given);
  const port = await freePort();
  const { inbox, secret, log, count, fetch, deadlineMs } = b.options;
  listener = await listen({ address: `127.0.0.1:${port}`, inbox, secret, log, count, fetch, deadlineMs });
  return { ...b, port, url: `http://127.0.0.1:${port}/hooks/alertmanager` };
}

/** Writes to a connection of its own; gives what came back when the server has closed it. */
function speak(port: number, ...first: string[]): { socket: Socket; closed: Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let heard = '';
  const closed = new Promise<string>((resolve) => {
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    // A connection that is cut while we write is closed as well.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(heard));
  });
  for (const part of first) socket.write(part);
  return { socket, closed };
}

const head = (length: string): string =>
  `POST /hooks/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: ${TOKEN.authorization}\r\n${length}\r\n\r\n`;

describe('one listener', () => {
  it('answers many messages over few connections, each of them', async () => {
    const b = await start();
    const body = { method: 'POST', body: FIRING, headers: TOKEN };
    const statuses = await Promise.all(Array.from({ length: 300 }, async () => (await fetch(b.url, body)).status));
    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(b.delivered).toHaveLength(300);
  });

  it('a body that comes in pieces is one body', async () => {
    const b = await start();
    const { socket, closed } = speak(b.port, head('Connection: close\r\nTransfer-Encoding: chunked'));
    for (const piece of FIRING.match(/[\s\S]{1,100}/g) ?? []) {
      await new Promise<void>((resolve) =>
        socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`, () => resolve()),
      );
    }
    socket.write('0\r\n\r\n');
    expect(await closed).toMatch(/^HTTP\/1\.1 202 /);
    expect(b.delivered).toHaveLength(1);
  });

  it.each([
    ['short', 'Content-Length: 1000', '{"alerts":'],
    ['long', 'Content-Length: 400000', '{"alerts":'],
    ['of no length', 'Transfer-Encoding: chunked', 'a\r\n{"alerts":\r\n'],
  ])('cuts off a sender that never ends its body, %s, and tells it to come again', async (_name, length, part) => {
    const b = await start({ deadlineMs: 50 });
    const { closed } = speak(b.port, head(length), part);
    const heard = await closed;
    expect(heard).toMatch(/^HTTP\/1\.1 503 /);
    expect(heard).toMatch(/retry-after: 2/i);
    expect(b.delivered).toEqual([]);
  });

  it('takes no more of a huge body than its limit, said before or not', async () => {
    const b = await start();
    const fits = FIRING.padEnd(BODY_LIMIT, ' ');
    expect((await fetch(b.url, { method: 'POST', body: fits, headers: TOKEN })).status).toBe(202);
    const large = 'x'.repeat(BODY_LIMIT + 1);
    expect((await fetch(b.url, { method: 'POST', body: large, headers: TOKEN })).status).toBe(413);
    const { socket, closed } = speak(b.port, head('Transfer-Encoding: chunked'));
    const piece = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const pour = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', pour);
    pour();
    expect(await closed).toMatch(/^HTTP\/1\.1 413 /);
    expect(b.delivered).toHaveLength(1);
    // It lives on.
    expect((await fetch(b.url, { method: 'POST', body: FIRING, headers: TOKEN })).status).toBe(202);
  });

  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400],
    [
      'a path that leads outside',
      `POST /hooks/../x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      404,
    ],
    ['no host', 'POST /hooks/alertmanager HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['another method', 'DELETE /hooks/alertmanager HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 404],
  ])('%s', async (_name, request, status) => {
    const { closed } = speak((await start()).port, request);
    expect(await closed).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('lets what it is answering end before it closes', async () => {
    let take: () => void = () => undefined;
    const asked: { resolve?: () => void } = {};
    const began = new Promise<void>((resolve) => {
      asked.resolve = resolve;
    });
    const b = await start({
      answer: () =>
        new Promise((resolve) => {
          take = () => resolve('accepted');
          asked.resolve!();
        }),
    });
    const answer = fetch(b.url, { method: 'POST', body: FIRING, headers: TOKEN });
    await began;
    const closed = listener!.close();
    take();
    expect((await answer).status).toBe(202);
    await closed;
    await expect(fetch(b.url, { method: 'POST', body: FIRING, headers: TOKEN })).rejects.toThrow();
  });

  it('says when the port is taken', async () => {
    const b = await start();
    const { inbox, secret, log } = b.options;
    await expect(listen({ address: `127.0.0.1:${b.port}`, inbox, secret, log })).rejects.toThrow('EADDRINUSE');
  });
});

it.each([
  ['127.0.0.1:8085', '127.0.0.1', true],
  ['127.8.0.1:1', '127.8.0.1', true],
  ['localhost:8085', 'localhost', true],
  ['[::1]:8085', '::1', true],
  ['[0:0:0:0:0:0:0:1]:8085', '0:0:0:0:0:0:0:1', true],
  ['0.0.0.0:8085', '0.0.0.0', false],
  ['[::]:8085', '::', false],
  ['[::2]:8085', '::2', false],
  ['10.0.0.1:8085', '10.0.0.1', false],
  ['127.example.com:80', '127.example.com', false],
  ['hooks:80', 'hooks', false],
])('%s is loopback: %s', (address, host, loopback) => {
  expect(parseAddress(address).host).toBe(host);
  expect(isLoopback(host)).toBe(loopback);
});

it.each(['8085', ':8085', 'host', 'host:', 'host:port', 'host:70000', '::1:8085', 'http://host:80', ''])(
  '%j is no address',
  (address) => {
    expect(() => parseAddress(address)).toThrow('write host:port');
  },
);
