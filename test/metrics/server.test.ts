import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Registry } from '../../metrics/registry.ts';
import { exporterAddress, serveMetrics } from '../../workers/metrics-server.ts';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const open: Server[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function scrape(exporter: string, path = '/metrics'): Promise<Response> {
  const registry = new Registry();
  registry.set('rampart_guard_watching', { service: 'checkout' }, 1);
  const server = await serveMetrics({ address: '127.0.0.1:0', registry, exporter, log: quiet });
  open.push(server);
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
    headers: { connection: 'close' },
  });
}

it("gives Rampart's own, and Temporal's behind them", async () => {
  const exporter = createServer((_, response) => response.end('temporal_worker_task_slots_used 1\n'));
  await new Promise<void>((resolve) => exporter.listen(0, '127.0.0.1', resolve));
  open.push(exporter);
  const answer = await scrape(`127.0.0.1:${(exporter.address() as AddressInfo).port}`);
  expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  expect(await answer.text()).toMatch(
    /rampart_guard_watching\{service="checkout"\} 1\ntemporal_worker_task_slots_used 1\n$/,
  );
});

it("gives its own when Temporal's exporter does not answer", async () => {
  const answer = await scrape(await exporterAddress());
  expect(answer.status).toBe(200);
  expect(await answer.text()).toMatch(/rampart_guard_watching\{service="checkout"\} 1\n$/);
});

it('has nothing anywhere else', async () => {
  expect((await scrape('127.0.0.1:1', '/')).status).toBe(404);
});
