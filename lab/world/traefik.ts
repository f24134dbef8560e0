import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderDefaultCertificate } from '../../drivers/traefik/default-certificate.ts';
import { renderTraefikFile } from '../../drivers/traefik/file.ts';
import { startProcess } from '../processes.ts';
import { HOME_REGION, type RegionSpec, recordOf, SERVICE, type WorldSpec } from './spec.ts';
import { untilAnswers } from './temporal.ts';

/** Folder that Traefik watches; one file per service. */
export const routesFolder = (spec: WorldSpec): string => join(spec.dir, 'traefik');

/** Starts the edge (HTTP) and the writer endpoint (TCP), both pointing at the home region. */
export function startTraefik(spec: WorldSpec, bin: string): ChildProcess {
  return startProcess({
    name: 'traefik',
    command: bin,
    args: [
      `--entrypoints.edge.address=127.0.0.1:${spec.edgePort}`,
      `--entrypoints.writer.address=127.0.0.1:${spec.writerPort}`,
      `--entrypoints.traefik.address=127.0.0.1:${spec.traefikApiPort}`,
      '--api.insecure=true',
      '--api.dashboard=false',
      `--providers.file.directory=${routesFolder(spec)}`,
      '--providers.file.watch=true',
      // Applied at once: the default waits up to 2 s between two changes.
      '--providers.providersthrottleduration=0',
      '--global.checknewversion=false',
      '--global.sendanonymoususage=false',
      '--log.level=ERROR',
    ],
    log: join(spec.dir, 'logs/traefik.log'),
    record: recordOf(spec.dir),
  });
}

export async function untilTraefikAnswers(spec: WorldSpec): Promise<void> {
  const url = `http://127.0.0.1:${spec.traefikApiPort}/api/http/services/${SERVICE}-edge@file`;
  await untilAnswers(url, 90_000, `Traefik; its log is ${join(spec.dir, 'logs/traefik.log')}`);
}

/** File of the edge's weights. */
export const edgeFile = (spec: WorldSpec): string => join(routesFolder(spec), `${SERVICE}-edge.yml`);
/** File of the writer endpoint. */
export const writerFile = (spec: WorldSpec): string => join(routesFolder(spec), `${SERVICE}-writer.yml`);

/**
 * Writes the first routes: all traffic and the writer endpoint at the home region, weight 0 elsewhere. And a default
 * certificate: without one, Traefik makes a new key at every change, which takes longer than all else it does then.
 */
export function writeFirstRoutes(spec: WorldSpec): void {
  mkdirSync(routesFolder(spec), { recursive: true });
  const weights = Object.fromEntries(spec.regions.map(({ name }) => [name, name === HOME_REGION ? 100 : 0]));
  const servers = (addressOf: (region: RegionSpec) => string): Record<string, string[]> =>
    Object.fromEntries(spec.regions.map((region) => [region.name, [addressOf(region)]]));
  const edge = renderTraefikFile({
    kind: 'weighted',
    service: `${SERVICE}-edge`,
    entryPoint: 'edge',
    servers: servers(({ links }) => `http://127.0.0.1:${links.app}`),
    weights,
  });
  const writer = renderTraefikFile({
    kind: 'endpoint',
    service: `${SERVICE}-writer`,
    entryPoint: 'writer',
    servers: servers(({ links }) => `127.0.0.1:${links.database}`),
    weights,
  });
  writeFileSync(join(routesFolder(spec), 'default-certificate.yml'), renderDefaultCertificate());
  writeFileSync(edgeFile(spec), edge);
  writeFileSync(writerFile(spec), writer);
}
