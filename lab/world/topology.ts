import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LAB_DATABASE, LAB_PASSWORDS } from '../postgres/pair.ts';
import { HOME_REGION, type RegionSpec, SERVICE, type WorldSpec } from './spec.ts';
import { edgeFile, writerFile } from './traefik.ts';

/** File with the password that Rampart uses in the lab; the topology holds only a reference to it. */
export const passwordFile = (spec: WorldSpec): string => join(spec.dir, 'state/rampart.password');

/** Writes the world's `rampart.yaml` and the password that it refers to. */
export function writeTopology(spec: WorldSpec, text: string): void {
  writeFileSync(passwordFile(spec), LAB_PASSWORDS.rampart, { mode: 0o600 });
  writeFileSync(join(spec.dir, 'rampart.yaml'), text);
}

/**
 * A topology without a provider.
 * @param bin folder of the PostgreSQL tools
 */
export function plainTopology(spec: WorldSpec, bin: string): string {
  const sides = (lines: (region: RegionSpec) => string[]): string =>
    spec.regions
      .map(
        (region) =>
          `      ${region.name}:\n${lines(region)
            .map((line) => `        ${line}\n`)
            .join('')}`,
      )
      .join('');
  const standby = spec.regions.map(({ name }) => name).filter((name) => name !== HOME_REGION);
  return `# The lab's world "${spec.name}", written by \`rampart lab up\`.
version: 1

regions:
${spec.regions.map(({ name }) => `  ${name}: {}\n`).join('')}
tiers:
  critical:
    rto: 5m
    rpo: 1m
    freezeBudget: 30s
    fenceProof: stopped

reports:
  folder: ${join(spec.dir, 'reports')}

services:
  ${SERVICE}:
    tier: critical
    owner: lab
    home: ${HOME_REGION}
    standby: [${standby.join(', ')}]
    components: [orders-db, writer, edge, app]
    checks: [app-ready]
    guard: { enabled: ${spec.guard} }
    ramp:
      steps: [10, 25, 50, 100]
      bake: ${spec.bake}
      interval: 500ms
      analysis: [app-ready]

components:
  orders-db:
    type: postgres
    database: ${LAB_DATABASE}
    user: rampart
    password: \${file:${passwordFile(spec)}}
    bin: ${bin}
    sides:
${sides((region) => [
  `host: 127.0.0.1`,
  `port: ${region.links.database}`,
  `dataDir: ${join(region.node, 'data')}`,
  `replication: { host: 127.0.0.1, port: ${region.links.replication} }`,
])}
  writer:
    type: traefik
    kind: endpoint
    file: ${writerFile(spec)}
    api: http://127.0.0.1:${spec.traefikApiPort}
    service: ${SERVICE}-writer
    entryPoint: writer
    sides:
${sides((region) => [`address: 127.0.0.1:${region.links.database}`])}
  edge:
    type: traefik
    kind: weighted
    file: ${edgeFile(spec)}
    api: http://127.0.0.1:${spec.traefikApiPort}
    service: ${SERVICE}-edge
    entryPoint: edge
    sample:
      url: http://127.0.0.1:${spec.edgePort}/healthz
      header: x-region
    sides:
${sides((region) => [`url: http://127.0.0.1:${region.links.app}`])}
  app:
    type: http-contract
    sides:
${sides((region) => [`url: http://127.0.0.1:${region.links.app}/rampart`])}
  app-ready:
    type: http
    sides:
${sides((region) => [`url: http://127.0.0.1:${region.links.app}/readyz`])}`;
}
