import { createServer, type Server, Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Link, openLink } from '../../lab/proxy.ts';

let echo: Server;
let link: Link;
let received: string;
const accepted = new Set<Socket>();

beforeEach(async () => {
  received = '';
  echo = createServer((socket) => {
    accepted.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk;
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const address = echo.address();
  if (!address || typeof address === 'string') throw new Error('no port');
  link = await openLink({ to: { port: address.port } });
});

afterEach(async () => {
  await link.close();
  for (const socket of accepted) socket.destroy();
  accepted.clear();
  await new Promise((resolve) => echo.close(resolve));
});

/** A client that remembers what came back and how it ended. */
function client(): { socket: Socket; got: () => string; ended: () => string | null } {
  const socket = new Socket();
  let got = '';
  let ended: string | null = null;
  socket.on('data', (chunk) => {
    got += chunk;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code ?? 'error';
  });
  socket.on('close', () => {
    ended ??= 'closed';
  });
  socket.connect({ host: '127.0.0.1', port: link.port });
  return { socket, got: () => got, ended: () => ended };
}

const soon = { timeout: 3_000, interval: 5 };

test('an open link carries both directions', async () => {
  const { socket, got } = client();
  socket.write('hello');
  await expect.poll(got, soon).toBe('hello');
  socket.destroy();
});

test('a black hole swallows old and new connections, and heals without losing bytes', async () => {
  const old = client();
  old.socket.write('a');
  await expect.poll(old.got, soon).toBe('a');
  link.set({ mode: 'blackhole' });
  old.socket.write('b');
  const fresh = client();
  fresh.socket.write('c');
  await expect.poll(() => link.connections(), soon).toBe(2);
  // A later connection on an open link is through while these still hang: order, not time, is what counts.
  expect([received, old.ended(), fresh.ended()]).toEqual(['a', null, null]);
  link.set({ mode: 'open' });
  await expect.poll(old.got, soon).toBe('ab');
  await expect.poll(fresh.got, soon).toBe('c');
  old.socket.destroy();
  fresh.socket.destroy();
});

test('refusing resets old and new connections', async () => {
  const old = client();
  old.socket.write('a');
  await expect.poll(old.got, soon).toBe('a');
  link.set({ mode: 'refuse' });
  await expect.poll(old.ended, soon).not.toBeNull();
  const fresh = client();
  await expect.poll(fresh.ended, soon).not.toBeNull();
  link.set({ mode: 'open' });
  const healed = client();
  healed.socket.write('x');
  await expect.poll(healed.got, soon).toBe('x');
  healed.socket.destroy();
});

test('what waits in a stalled link never arrives', async () => {
  const { socket, ended, got } = client();
  socket.write('a');
  await expect.poll(got, soon).toBe('a');
  link.set({ mode: 'stall' });
  socket.write('lost');
  await expect.poll(() => socket.bytesWritten, soon).toBe(5);
  expect(ended()).toBeNull();
  link.set({ mode: 'open' });
  await expect.poll(ended, soon).not.toBeNull();
  expect(received).toBe('a');
});

test('a delayed link is slow and keeps the order', async () => {
  link.set({ delayMs: 40 });
  const { socket, got } = client();
  const began = performance.now();
  socket.write('1');
  socket.write('2');
  await expect.poll(got, soon).toBe('12');
  expect(performance.now() - began).toBeGreaterThan(75);
  socket.destroy();
});

test('the end of one side reaches the other', async () => {
  const { socket, ended } = client();
  socket.write('a');
  await expect.poll(() => received, soon).toBe('a');
  for (const each of accepted) each.destroy();
  await expect.poll(ended, soon).not.toBeNull();
  socket.destroy();
});

test('nobody at the other end: the caller is told', async () => {
  await new Promise((resolve) => {
    for (const each of accepted) each.destroy();
    echo.close(resolve);
  });
  const { socket, ended } = client();
  socket.write('a');
  await expect.poll(ended, soon).not.toBeNull();
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
});
