/** The processes of a world that are not databases: what each is called and how it is started. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { built } from '../paths.ts';
import { urlOf } from '../postgres/pair.ts';
import { startProcess } from '../processes.ts';
import { HOME_REGION, type RegionSpec, recordOf, temporalAddress, type WorldSpec, webUi } from './spec.ts';
import { untilAnswers } from './temporal.ts';

export interface Member {
  /** For example `app eu-west`, `worker control 1`, `temporal`. */
  name: string;
  kind: 'temporal' | 'router' | 'app' | 'worker' | 'load' | 'provider';
  /** Region it would be lost with; none for what stands outside both. */
  region: string | null;
  start(): ChildProcess;
}

export function appMember(spec: WorldSpec, region: RegionSpec): Member {
  return {
    name: `app ${region.name}`,
    kind: 'app',
    region: region.name,
    start: () =>
      startNode(spec, `app ${region.name}`, built('lab/app/main.js'), [], {
        REGION: region.name,
        PORT: String(region.appPort),
        WRITER_URL: urlOf({ port: region.links.writer }, 'app'),
        STATE: region.name === HOME_REGION ? 'active' : 'standby',
      }),
  };
}

/**
 * The workers of a place; `region` null is the control place.
 * @param credentials for the provider of the world, as environment variables
 */
export function workerMembers(
  spec: WorldSpec,
  region: RegionSpec | null,
  credentials: Record<string, string> = {},
): Member[] {
  const place = region?.name ?? 'control';
  return Array.from({ length: spec.workers }, (_, index) => {
    const name = `worker ${place} ${index + 1}`;
    const args = [
      'worker',
      ...(region ? ['--region', region.name] : []),
      '--health-address',
      healthOf(spec, region, index),
      '--metrics-address',
      metricsOf(spec, region, index),
    ];
    return {
      name,
      kind: 'worker' as const,
      region: region?.name ?? null,
      start: () =>
        startNode(spec, name, built('clients/cli/main.js'), args, {
          RAMPART_CONFIG: join(spec.dir, 'rampart.yaml'),
          RAMPART_STATE_DIR: join(spec.dir, 'state'),
          ...(spec.temporal.existing ? {} : { RAMPART_UI: webUi(spec) }),
          // A worker in a region reaches Temporal over a link that can be cut.
          TEMPORAL_ADDRESS: region ? `127.0.0.1:${region.links.temporal}` : temporalAddress(spec),
          TEMPORAL_NAMESPACE: spec.temporal.namespace,
          ...credentials,
        }),
    };
  });
}

/** Waits until every worker of a place polls its queue. */
export async function untilWorkersAnswer(spec: WorldSpec, region: RegionSpec | null): Promise<void> {
  const place = region?.name ?? 'control';
  await Promise.all(
    Array.from({ length: spec.workers }, (_, index) =>
      untilAnswers(
        `http://${healthOf(spec, region, index)}/readyz`,
        120_000,
        `a worker of ${place}; its log is ${logOf(spec, `worker ${place} ${index + 1}`)}`,
      ),
    ),
  );
}

/** `host:port` of a worker's health endpoint. */
const healthOf = (spec: WorldSpec, region: RegionSpec | null, index: number): string =>
  `127.0.0.1:${spec.workerPorts[placeOf(spec, region) * spec.workers + index]}`;

/** `host:port` of what a worker tells Prometheus. */
const metricsOf = (spec: WorldSpec, region: RegionSpec | null, index: number): string =>
  `127.0.0.1:${spec.metricsPorts[placeOf(spec, region) * spec.workers + index]}`;

const placeOf = (spec: WorldSpec, region: RegionSpec | null): number => (region ? spec.regions.indexOf(region) + 1 : 0);

export function loadMember(spec: WorldSpec): Member {
  return {
    name: 'load',
    kind: 'load',
    region: null,
    start: () =>
      startNode(spec, 'load', built('lab/load/main.js'), [], {
        EDGE_URL: `http://127.0.0.1:${spec.edgePort}`,
        ACKS: join(spec.dir, 'acknowledged.jsonl'),
        PORT: String(spec.loadPort),
        RATE: String(spec.load),
        READS: String(Math.round(spec.load / 2)),
      }),
  };
}

export async function untilAppAnswers(spec: WorldSpec, region: RegionSpec): Promise<void> {
  const what = `the app of ${region.name}; its log is ${logOf(spec, `app ${region.name}`)}`;
  await untilAnswers(`http://127.0.0.1:${region.appPort}/readyz`, 90_000, what);
}

export const logOf = (spec: WorldSpec, name: string): string =>
  join(spec.dir, 'logs', `${name.replaceAll(' ', '-')}.log`);

function startNode(
  spec: WorldSpec,
  name: string,
  file: string,
  args: string[],
  env: Record<string, string>,
): ChildProcess {
  return startProcess({
    name,
    command: process.execPath,
    args: [file, ...args],
    cwd: spec.dir,
    env,
    log: logOf(spec, name),
    record: recordOf(spec.dir),
  });
}
