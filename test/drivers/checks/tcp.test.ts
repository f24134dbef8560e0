import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tcpCheck } from '../../../drivers/checks/tcp.ts';
import { freePorts } from '../../../lab/ports.ts';
import { checkComponent, describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const REGION = 'eu-west';
const servers: Server[] = [];
const sockets = new Set<Socket>();

/** Greets every connection in its own way. */
async function listen(greet: (socket: Socket) => void): Promise<number> {
  const [port] = (await freePorts(1)) as [number];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    greet(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  return port;
}

const ask = (port: number, config: object = {}) =>
  checkComponent(tcpCheck, { timeout: '300ms', ...config }, { [REGION]: [{ host: '127.0.0.1', port }] });
const run = (...args: Parameters<typeof ask>) => tcpCheck.open(ask(...args), driverContext()).run(REGION);

let mail: number;
let mute: number;
let closing: number;
let nobody: number;
let running: Promise<void> | undefined;
async function start(): Promise<void> {
  // Two pieces: a banner is a stream like any other.
  mail = await listen((socket) => socket.write('22', () => socket.write('0 mail.example.com ESMTP\r\n')));
  mute = await listen(() => undefined);
  closing = await listen((socket) => socket.end());
  [nobody] = (await freePorts(1)) as [number];
}
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

describeCheck('tcp', async () => {
  running ??= start();
  await running;
  const banner = { banner: '220 ' };
  return {
    driver: tcpCheck,
    region: REGION,
    secrets: {},
    good: ask(mail, banner),
    bad: ask(mail, { banner: '550 ' }),
    nobody: ask(nobody, banner),
    silent: ask(mute, banner),
    empty: ask(closing, banner),
    refused: { component: ask(nobody, banner), secrets: {} },
    close: async () => undefined,
  };
});

describe('tcp check', () => {
  beforeAll(async () => {
    running ??= start();
    await running;
  });

  test('a connection is enough where nothing is said first', async () => {
    expect(await run(mute)).toMatchObject({ outcome: 'pass', observed: expect.stringContaining('connected') });
  });

  test('who listens and does not greet has answered; where nobody listens nobody has', async () => {
    expect(await run(mute, { banner: 'x' })).toMatchObject({ outcome: 'unknown', unserved: 'answered' });
    expect(await run(nobody)).toMatchObject({
      ...{ outcome: 'unknown', observed: 'no answer', unserved: 'silent' },
      detail: `127.0.0.1:${nobody}: connection refused (nothing listens there)`,
    });
  });

  test('one of two that does not listen: unknown, and yet somebody answers', async () => {
    const both = checkComponent(
      tcpCheck,
      {},
      { [REGION]: [mute, nobody].map((port) => ({ host: '127.0.0.1', port })) },
    );
    expect(await tcpCheck.open(both, driverContext()).run(REGION)).toMatchObject({
      ...{ outcome: 'unknown', unserved: 'answered' },
    });
  });
});
