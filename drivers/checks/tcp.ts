/** Whether something listens: a connection, and what it says first where that is known. */
import { connect } from 'node:net';
import { z } from 'zod';
import type { Component } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import type { Check, Driver, DriverContext } from '../ports.ts';
import { judgeLatency, resultOf, together, type Verdict } from '../verdict.ts';

const configSchema = z.strictObject({
  banner: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .meta({
      description: 'How the text begins that the server sends first; absent: a connection is enough',
      examples: ['220 '],
    }),
  latency: durationBetween(1, 600_000)
    .optional()
    .meta({ description: 'Longest time to connect and read the banner', examples: ['200ms'] }),
  timeout: durationBetween(1, 600_000)
    .prefault('5s')
    .meta({ description: 'Longest wait; after it the outcome is unknown', examples: ['5s'] }),
});
type TcpConfig = z.output<typeof configSchema>;

const nodeSchema = z.strictObject({
  host: z
    .string()
    .min(1)
    .meta({ description: 'Address to connect to', examples: ['10.1.0.5'] }),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .meta({ description: 'Its port', examples: [5432] }),
});
type TcpNode = z.output<typeof nodeSchema>;

export const tcpCheck: Driver<'check'> = {
  type: 'tcp',
  role: 'check',
  summary: 'TCP: a connection, and the first text of the server',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  capabilities: () => ({ role: 'check' }),
  local: () => false,
  open: openTcp,
};

function openTcp(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as TcpConfig;
  return {
    async run(region) {
      const nodes = component.sides[region]?.nodes ?? [];
      const verdicts = await Promise.all(
        nodes.map(async ({ name, config: node }) => ({
          name,
          verdict: await ask(config, node as unknown as TcpNode, context.signal),
        })),
      );
      return resultOf(verdicts, context.now());
    },
  };
}

/** Closes before it has said as much as was asked for. */
const CLOSED = 'the connection was closed at once';

function ask(config: TcpConfig, { host, port }: TcpNode, signal: AbortSignal): Promise<Verdict> {
  const { banner, latency, timeout } = config;
  const threshold = banner === undefined ? 'connected' : `banner ${JSON.stringify(banner)}`;
  const where = `${host}:${port}`;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const started = performance.now();
    const socket = connect({ host, port });
    let connected = false;
    let said = '';
    const end = (verdict: Verdict): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.destroy();
      resolve(verdict);
    };
    const unknown = (detail: string): void =>
      end({
        ...{ outcome: 'unknown', observed: connected ? 'no banner' : 'no answer', threshold, detail },
        unserved: connected ? 'answered' : 'silent',
      });
    const abort = (): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(signal.reason);
    };
    const judged = (outcome: 'pass' | 'fail', observed: string): void =>
      end(together([{ outcome, observed, threshold, detail: '' }, judgeLatency(performance.now() - started, latency)]));
    const timer = setTimeout(() => unknown(`${where}: nothing within ${timeout} ms`), timeout);
    signal.addEventListener('abort', abort, { once: true });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      unknown(
        `${where}: ${error.code === 'ECONNREFUSED' ? 'connection refused (nothing listens there)' : error.message || error.code}`,
      ),
    );
    socket.on('connect', () => {
      connected = true;
      if (banner === undefined) judged('pass', 'connected');
    });
    socket.on('close', () => unknown(`${where}: ${CLOSED}`));
    socket.on('data', (chunk: Buffer) => {
      if (banner === undefined) return;
      said += chunk.toString('latin1');
      const shown = `banner ${JSON.stringify(said.slice(0, 200))}`;
      if (said.startsWith(banner)) judged('pass', shown);
      else if (!banner.startsWith(said)) judged('fail', shown);
    });
  });
}
