/** The documented example service as a real process, and a link before it that can lose an answer. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpContract } from '../../../drivers/http-contract/driver.ts';
import { poll } from '../../../drivers/poll.ts';
import { repositoryRoot } from '../../../lab/paths.ts';
import { freePort } from '../../../lab/ports.ts';
import type { Component } from '../../../topology/model.ts';
import type { WorkloadWorld } from '../../conformance/workload/workload-suite.ts';

export const REGION = 'eu-west';
const TOKEN = 'a token only the service knows';
const REFERENCE = '${env:CHECKOUT_TOKEN}';

export interface Service {
  url: string;
  process: ChildProcess;
  close(): Promise<void>;
}

/** Compiles the example the way a team would, and starts it. */
export async function startExample(): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), 'rampart-contract-'));
  const source = join(repositoryRoot(), 'examples/http-contract-server.ts');
  const tsc = join(repositoryRoot(), 'node_modules/typescript/bin/tsc');
  const options = ['--ignoreConfig', '--noCheck', '--target', 'es2022', '--module', 'nodenext', '--outDir', folder];
  execFileSync(process.execPath, [tsc, ...options, source]);
  const port = await freePort();
  const child = spawn(process.execPath, [join(folder, 'http-contract-server.js')], {
    env: { PORT: String(port), RAMPART_TOKEN: TOKEN },
    stdio: 'ignore',
  });
  const url = `http://127.0.0.1:${port}`;
  const up = () =>
    fetch(url).then(
      () => true,
      () => undefined,
    );
  const wait = { signal: new AbortController().signal, deadlineMs: 10_000, intervalMs: 10 };
  if (!(await poll(wait, up))) throw new Error('the example service did not start');
  return {
    url,
    process: child,
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

export function contractComponent(urls: string[], config: object = {}, node: object = {}): Component {
  const nodes = urls.map((url, index) => ({
    name: `instance-${index + 1}`,
    queue: 'rampart',
    config: httpContract.node.parse({ url, ...node }) as Component['config'],
  }));
  return {
    name: 'checkout-app',
    type: 'http-contract',
    role: 'workload',
    queue: 'rampart',
    config: httpContract.config.parse({ timeout: '500ms', ...config }) as Component['config'],
    sides: { [REGION]: { region: REGION, nodes } },
    capabilities: httpContract.capabilities({}),
  };
}

export async function makeContractWorld(): Promise<WorkloadWorld> {
  const service = await startExample();
  const links: Array<{ close(): void }> = [];
  const component = contractComponent([service.url], { token: REFERENCE });
  return {
    driver: httpContract,
    component,
    secrets: { [REFERENCE]: TOKEN },
    region: REGION,
    unreachable: () => contractComponent(['http://127.0.0.1:1'], { token: REFERENCE }),
    wrongCredentials: () => ({ [REFERENCE]: 'the token of another service' }),
    impatient: () => contractComponent([service.url], { token: REFERENCE, deadline: '200ms', drainDeadline: '200ms' }),
    async losingAnswers() {
      const link = await losingLink(Number(new URL(service.url).port));
      links.push(link);
      return contractComponent([`http://127.0.0.1:${link.port}`], { token: REFERENCE });
    },
    freeze: () => service.process.kill('SIGSTOP'),
    thaw: () => service.process.kill('SIGCONT'),
    async hold(kind) {
      // In flight until its body is complete.
      const request = sendRequest(service.url, { method: kind === 'write' ? 'POST' : 'GET' });
      const answered = new Promise<void>((resolve, reject) => {
        request.once('error', reject);
        request.once('response', (response) => response.resume().once('end', resolve));
      });
      request.setHeader('transfer-encoding', 'chunked');
      request.write('half');
      const headers = { authorization: `Bearer ${TOKEN}` };
      const wait = { signal: new AbortController().signal, deadlineMs: 5_000, intervalMs: 5 };
      await poll(wait, async () => {
        const { inflight } = (await (await fetch(`${service.url}/rampart`, { headers })).json()) as {
          inflight: number;
        };
        return inflight > 0 ? true : undefined;
      });
      return async () => {
        request.end();
        await answered;
      };
    },
    serves: async (kind) => (await fetch(service.url, { method: kind === 'write' ? 'POST' : 'GET' })).status === 200,
    async close() {
      for (const link of links) link.close();
      await service.close();
    },
  };
}

/** A TCP link that passes everything on, and cuts the connection instead of the answer to the first PUT. */
async function losingLink(to: number): Promise<{ port: number; close(): void }> {
  let lost = false;
  const server = createServer((client) => {
    let swallow = false;
    const service = connect(to, '127.0.0.1');
    client.on('data', (data) => {
      if (!lost && data.toString('latin1').startsWith('PUT')) {
        lost = true;
        swallow = true;
      }
      service.write(data);
    });
    service.on('data', (data) => (swallow ? client.destroy() : client.write(data)));
    for (const [one, other] of [
      [client, service],
      [service, client],
    ] as const) {
      one.on('close', () => other.destroy());
      one.on('error', () => other.destroy());
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  return { port, close: () => server.close() };
}
