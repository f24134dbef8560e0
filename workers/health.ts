/** `/healthz` and `/readyz` of a worker, for orchestrators that restart and route by them. */
import { createServer, type Server } from 'node:http';
import type { NativeConnection, Worker } from '@temporalio/worker';

/** A health check of Temporal that takes longer than this counts as not ready, in milliseconds. */
const TEMPORAL_MS = 2_000;

export interface Health {
  server: Server;
  /** From here on it is the worker that is looked at. Before, the process waits for Temporal, and watches: that is well. */
  attach(worker: Worker, connection: NativeConnection): void;
}

/** @param address `host:port`, port 0 picks a free one */
export async function serveHealth(address: string): Promise<Health> {
  const [host, port] = splitAddress(address);
  let attached: { worker: Worker; connection: NativeConnection } | null = null;
  const server = createServer((request, response) => {
    const answer = (ok: boolean, facts: Record<string, unknown>) => {
      response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ ok, ...facts })}\n`);
    };
    const state = attached?.worker.getState() ?? 'CONNECTING';
    if (request.url === '/healthz') return answer(state === 'RUNNING' || attached === null, { state });
    if (request.url !== '/readyz') {
      response.writeHead(404).end();
      return;
    }
    if (attached === null) return answer(false, { state, temporal: 'it has not answered yet' });
    readiness(attached.worker, attached.connection).then(
      (facts) => answer(facts.ready, facts),
      (error: unknown) => answer(false, { state, temporal: String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    server,
    attach: (worker, connection) => {
      attached = { worker, connection };
    },
  };
}

async function readiness(worker: Worker, connection: NativeConnection) {
  const status = worker.getStatus();
  const polling = status.activityPollerState === 'POLLING';
  const answered = await connection.withDeadline(Date.now() + TEMPORAL_MS, () => connection.healthService.check({}));
  return { ready: status.runState === 'RUNNING' && polling && answered.status === 1, state: status.runState, polling };
}

export function splitAddress(address: string): [string, number] {
  const at = address.lastIndexOf(':');
  return at === -1 ? ['127.0.0.1', Number(address)] : [address.slice(0, at), Number(address.slice(at + 1))];
}
