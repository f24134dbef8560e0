/** The world's edge and writer endpoint, as files of the Traefik that runs them. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderTraefikFile } from '../../drivers/traefik/file.ts';
import { SERVICE, type WorldSpec } from '../world/spec.ts';
import { edgeFile, writerFile } from '../world/traefik.ts';

/** @param shares percent by region */
export function setEdge(spec: WorldSpec, shares: Record<string, number>): void {
  const servers = spec.regions.map(({ name, links }) => [name, [`http://127.0.0.1:${links.app}`]]);
  const route = { service: `${SERVICE}-edge`, entryPoint: 'edge', servers: Object.fromEntries(servers) };
  replace(spec, edgeFile(spec), renderTraefikFile({ kind: 'weighted', ...route, weights: shares }));
}

/** Lets the writer endpoint lead to a region. */
export function pointWriter(spec: WorldSpec, region: string): void {
  const servers = spec.regions.map(({ name, links }) => [name, [`127.0.0.1:${links.database}`]]);
  const route = { service: `${SERVICE}-writer`, entryPoint: 'writer', servers: Object.fromEntries(servers) };
  const weights = Object.fromEntries(spec.regions.map(({ name }) => [name, name === region ? 100 : 0]));
  replace(spec, writerFile(spec), renderTraefikFile({ kind: 'endpoint', ...route, weights }));
}

/** Whole or not at all, and only when it changes: Traefik reads a file as soon as it does. */
function replace(spec: WorldSpec, path: string, text: string): void {
  if (readFileSync(path, 'utf8') === text) return;
  const draft = join(spec.dir, 'state', 'route.draft');
  writeFileSync(draft, text);
  renameSync(draft, path);
}
