/** A real Traefik with a protected API, in front of two regions that say who they are. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poll } from '../../../drivers/poll.ts';
import type { Weights } from '../../../drivers/ports.ts';
import { renderDefaultCertificate } from '../../../drivers/traefik/default-certificate.ts';
import { traefik } from '../../../drivers/traefik/driver.ts';
import { readFileState, renderTraefikFile, withClaim } from '../../../drivers/traefik/file.ts';
import { installPart } from '../../../lab/parts/install.ts';
import { freePorts } from '../../../lab/ports.ts';
import type { Component } from '../../../topology/model.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';

export const REGIONS = ['eu-west', 'eu-central'] as const;
const PASSWORD = 'correct horse battery staple';
const authorization = (password: string) => `Basic ${Buffer.from(`rampart:${password}`).toString('base64')}`;

export interface TraefikWorld extends RouterWorld {
  folder: string;
  file: string;
  edgeUrl: string;
  /** Where a TCP client of the writer endpoint connects. */
  writerPort: number;
  process: ChildProcess;
  /** Component with parts of its configuration replaced. */
  component: Component;
  with(config: Record<string, unknown>): Component;
}

export async function makeTraefikWorld(kind: 'weighted' | 'endpoint'): Promise<TraefikWorld> {
  const { bin } = await installPart('traefik');
  const root = await mkdtemp(join(tmpdir(), 'rampart-traefik-'));
  const folder = join(root, 'dynamic');
  await mkdir(folder);
  const [edge, writer, api] = (await freePorts(3)) as [number, number, number];
  const backends = await Promise.all(REGIONS.map((region) => (kind === 'weighted' ? httpBackend : tcpBackend)(region)));
  const portOf = (region: string) => (backends[REGIONS.indexOf(region as never)]!.server.address() as AddressInfo).port;

  await writeFile(join(folder, 'api.yml'), apiFile());
  await writeFile(join(folder, 'default-certificate.yml'), renderDefaultCertificate());
  const child = spawn(
    bin,
    [
      `--entrypoints.web.address=127.0.0.1:${edge}`,
      `--entrypoints.database.address=127.0.0.1:${writer}`,
      `--entrypoints.admin.address=127.0.0.1:${api}`,
      '--api=true',
      '--api.dashboard=false',
      `--providers.file.directory=${folder}`,
      '--providers.file.watch=true',
      '--providers.providersthrottleduration=0',
      '--global.checknewversion=false',
      '--global.sendanonymoususage=false',
      '--log.level=ERROR',
    ],
    { stdio: 'ignore' },
  );
  const file = join(folder, 'checkout.yml');
  const node = (region: string): Record<string, string> =>
    kind === 'weighted' ? { url: `http://127.0.0.1:${portOf(region)}` } : { address: `127.0.0.1:${portOf(region)}` };
  const config = {
    kind,
    file,
    api: `http://127.0.0.1:${api}`,
    apiAuthorization: '${env:TRAEFIK_API}',
    service: 'checkout',
    entryPoint: kind === 'weighted' ? 'web' : 'database',
    deadline: '5s',
    ...(kind === 'weighted' ? { sample: { url: `http://127.0.0.1:${edge}/`, requests: 200 } } : {}),
  };
  const component = (changes: Record<string, unknown> = {}): Component => ({
    name: 'edge',
    type: 'traefik',
    role: 'router',
    queue: 'rampart',
    config: traefik.config.parse({ ...config, ...changes }) as Component['config'],
    sides: Object.fromEntries(
      REGIONS.map((region) => [
        region,
        { region, nodes: [{ name: region, queue: `rampart.${region}`, config: node(region) }] },
      ]),
    ),
    capabilities: traefik.capabilities(config as Component['config']),
  });
  const servers = Object.fromEntries(REGIONS.map((region) => [region, Object.values(node(region))]));
  const render = (weights: Weights) =>
    renderTraefikFile({ kind, service: 'checkout', servers, entryPoint: config.entryPoint, weights });
  await writeFile(file, render({ 'eu-west': 100, 'eu-central': 0 }));

  const show = async () => {
    const headers = { authorization: authorization(PASSWORD) };
    const protocol = kind === 'weighted' ? 'http' : 'tcp';
    const answer = await fetch(`http://127.0.0.1:${api}/api/${protocol}/services/checkout@file`, { headers });
    return answer.ok ? await answer.text() : undefined;
  };
  await until('Traefik answers', () => show().catch(() => undefined));

  return {
    driver: traefik,
    component: component(),
    with: component,
    secrets: { '${env:TRAEFIK_API}': authorization(PASSWORD) },
    folder,
    file,
    edgeUrl: `http://127.0.0.1:${edge}/`,
    writerPort: writer,
    process: child,
    unreachable: () => component({ api: 'http://127.0.0.1:1' }),
    wrongCredentials: () => ({
      component: component(),
      secrets: { '${env:TRAEFIK_API}': authorization('an old password') },
    }),
    deaf: () => component({ file: join(root, 'elsewhere.yml'), service: 'unwatched', deadline: '300ms' }),
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    async changeByHand(weights) {
      const before = await show();
      const first = (await readFile(file, 'utf8')).split('\n', 1)[0]!;
      const body = render(weights);
      // As an editor leaves it: the claim's line untouched, the rest changed.
      const text = first.startsWith('# rampart-claim') ? `${first}\n${body}` : withClaim(body, readFileState('').claim);
      await writeFile(`${file}.edited`, text);
      await rename(`${file}.edited`, file);
      await until('the edit shows', async () => ((await show()) === before ? undefined : true));
    },
    measure: async () => {
      const counts: Record<string, number> = Object.fromEntries(REGIONS.map((region) => [region, 0]));
      for (let i = 0; i < 20; i++) {
        const region = kind === 'weighted' ? await askHttp(edge) : await askTcp(writer);
        counts[region] = (counts[region] ?? 0) + 5;
      }
      return counts;
    },
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await ended;
      for (const backend of backends) await backend.close();
      await rm(root, { recursive: true });
    },
  };
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const found = await poll({ signal: new AbortController().signal, deadlineMs: 20_000, intervalMs: 10 }, look);
  if (found === undefined) throw new Error(`not within 20 s: ${what}`);
  return found;
}

/** Only who knows the password gets at the API. */
function apiFile(): string {
  const hash = createHash('sha1').update(PASSWORD).digest('base64');
  return `http:
  routers:
    api: { rule: "PathPrefix(\`/api\`)", entryPoints: [admin], service: api@internal, middlewares: [people] }
  middlewares:
    people: { basicAuth: { users: ["rampart:{SHA}${hash}"] } }
`;
}

async function askHttp(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  await answer.text();
  return answer.headers.get('x-region') ?? 'nobody';
}

/** Opens a new connection, as an application does after its database has gone. */
export function askTcp(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(String(data));
    });
  });
}

interface Backend {
  server: Server;
  close(): Promise<void>;
}

async function httpBackend(region: string): Promise<Backend> {
  const server = createHttpServer((_request, response) => {
    response.setHeader('x-region', region);
    response.end(region);
  });
  return listening(server, () => server.closeAllConnections());
}

async function tcpBackend(region: string): Promise<Backend> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(region));
    socket.write(region);
  });
  return listening(server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

async function listening(server: Server, drop: () => void): Promise<Backend> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        drop();
      }),
  };
}
