/** What a world consists of: names, ports, folders. Decided once at `up` and kept in `world.json`. */
import { join } from 'node:path';
import { labHome, postgresHome } from '../paths.ts';
import { freePorts } from '../ports.ts';

export const REGIONS = ['eu-west', 'eu-central'] as const;
/** Where the service starts out. */
export const HOME_REGION = 'eu-west';
export const SERVICE = 'checkout';

/** Examples whose systems are a provider's: `rampart lab up --cloud` runs one against emulators. */
export const CLOUDS = ['aws-cloudflare', 'rds-postgres'] as const;
export type Cloud = (typeof CLOUDS)[number];

export interface RegionSpec {
  name: string;
  /** Folder of its PostgreSQL node. */
  node: string;
  databasePort: number;
  appPort: number;
  /** Ports of the links that lead into or out of the region, by what they carry. */
  links: {
    /** Everybody outside → the region's database. */
    database: number;
    /** The other region's replica → this region's database. */
    replication: number;
    /** The edge → the region's app. */
    app: number;
    /** The region's app → the writer endpoint. */
    writer: number;
    /** The region's workers → Temporal. */
    temporal: number;
  };
}

export interface WorldOptions {
  /** Name of the world; several can run side by side. */
  name: string;
  /** Orders per second of the load generator; 0 for none. */
  load: number;
  /** Workers per place (control and each region). */
  workers: number;
  /** How long the ramp holds each weight, as the topology writes durations. */
  bake: string;
  /** Whether a guard watches the service, and fences an old primary that comes back. */
  guard: boolean;
  /** Example that the world is built by; `null`: databases, router and apps are driven directly. */
  cloud: Cloud | null;
}

/** Ports of the emulated provider. */
export interface ProviderPorts {
  /** All its APIs, told apart by the path and by what calls are signed for. */
  api: number;
  /** The same for each region: a link that is cut with it. */
  regions: Record<string, number>;
  /** The emulator of AWS behind them. */
  emulator: number;
}

export interface WorldSpec extends WorldOptions {
  /** Folder of the world. */
  dir: string;
  /** Folder of the PostgreSQL nodes. */
  nodes: string;
  temporal: {
    /** An existing server's address, from TEMPORAL_ADDRESS; the world starts none then. */
    existing: string | null;
    port: number;
    uiPort: number;
    httpPort: number;
    namespace: string;
  };
  edgePort: number;
  writerPort: number;
  traefikApiPort: number;
  loadPort: number;
  /** Present when the world is built by an example. */
  provider: ProviderPorts | null;
  /** Health ports of the workers: the control place's first, then each region's. */
  workerPorts: number[];
  /** Where each of them serves `/metrics`, in the same order. */
  metricsPorts: number[];
  regions: RegionSpec[];
}

/** Folder of the world of that name. */
export function worldDirectory(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) {
    throw new Error(`"${name}" cannot be a world's name: use a-z, 0-9 and -, at most 31 characters`);
  }
  return join(labHome(), 'worlds', name);
}

/** Folder of the PostgreSQL nodes of the world of that name. */
export const nodesDirectory = (name: string): string => join(postgresHome(), 'worlds', name, 'postgres');

/** File of a world with everything that must be ended with it. */
export const recordOf = (dir: string): string => join(dir, 'processes.jsonl');

/** Data directory of a region's PostgreSQL. */
export const dataOf = (region: RegionSpec): string => join(region.node, 'data');
/** Name of a region's node, as the topology gives it by default. */
export const nodeName = (region: string): string => `orders-db-${region}`;
/** The slot on the primary that holds WAL for the replica in this region, named as the driver names it. */
export const slotOf = (region: string): string => `rampart_${nodeName(region).replaceAll('-', '_')}`;

/** Chooses folders and free ports for a new world. */
export async function decideWorld(options: WorldOptions): Promise<WorldSpec> {
  const dir = worldDirectory(options.name);
  const nodes = nodesDirectory(options.name);
  const workers = options.workers * (REGIONS.length + 1);
  const ports = await freePorts(9 + REGIONS.length * 8 + 2 * workers);
  const next = (): number => ports.pop() as number;
  return {
    ...options,
    dir,
    nodes,
    temporal: {
      existing: process.env.TEMPORAL_ADDRESS ?? null,
      port: next(),
      uiPort: next(),
      httpPort: next(),
      namespace: process.env.TEMPORAL_NAMESPACE ?? 'default',
    },
    edgePort: next(),
    writerPort: next(),
    traefikApiPort: next(),
    loadPort: next(),
    provider:
      options.cloud === null
        ? null
        : {
            api: next(),
            regions: Object.fromEntries(REGIONS.map((name) => [name, next()])),
            emulator: next(),
          },
    workerPorts: Array.from({ length: workers }, next),
    metricsPorts: Array.from({ length: workers }, next),
    regions: REGIONS.map((name) => ({
      name,
      node: join(nodes, name),
      databasePort: next(),
      appPort: next(),
      links: { database: next(), replication: next(), app: next(), writer: next(), temporal: next() },
    })),
  };
}

export function regionOf(spec: WorldSpec, name: string): RegionSpec {
  const region = spec.regions.find((candidate) => candidate.name === name);
  if (!region)
    throw new Error(`there is no region "${name}"; the world has ${spec.regions.map((r) => r.name).join(' and ')}`);
  return region;
}

/** Address of the Temporal server as seen from nowhere in particular. */
export const temporalAddress = (spec: WorldSpec): string => spec.temporal.existing ?? `127.0.0.1:${spec.temporal.port}`;

/** Temporal's Web UI of the world's own server. */
export const webUi = (spec: WorldSpec): string => `http://127.0.0.1:${spec.temporal.uiPort}`;
