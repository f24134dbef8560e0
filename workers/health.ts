/** `/healthz` and `/readyz` of a worker, for orchestrators that restart and route by them. */
import { createServer, type Server } from 'node:http';
import type { NativeConnection, Worker } from '@temporalio/worker';

/** A health check of Temporal that takes longer than this counts as not ready, in milliseconds. */
const TEMPORAL_MS = 2_000;

/** @returns the listening server; `address` is `host:port`, port 0 picks a free one */
export async function serveHealth(address: string, worker: Worker, connection: NativeConnection): Promise<Server> {
  const [host, port] = splitAddress(address);
  const server = createServer((request, response) => {
    const answer = (ok: boolean, facts: Record<string, unknown>) => {
      response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ ok, ...facts })}\n`);
    };
    const state = worker.getState();
    if (request.url === '/healthz') return answer(state === 'RUNNING', { state });
    if (request.url !== '/readyz') {
      response.writeHead(404).end();
      return;
    }
    readiness(worker, connection).then(
      (facts) => answer(facts.ready, facts),
      (error: unknown) => answer(false, { state, temporal: String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
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
