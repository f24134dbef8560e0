/** What an `rds` component says in the topology, and the instances a driver call works with. */
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import { awsEndpoint, awsRegion } from '../aws/schema.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Json } from '../ports.ts';
import type { SqlConfig } from '../sql/server.ts';

const identifier = z
  .string()
  .regex(/^[a-z](-?[a-z0-9])*$/, 'an identifier of RDS: lower case letters, digits and single hyphens')
  .max(63);

export const configSchema = z.strictObject({
  database: z
    .string()
    .min(1)
    .meta({ description: "The service's database; the write probe goes there, into the schema `rampart`" }),
  controlDatabase: z.string().min(1).default('postgres').meta({
    description: 'Where Rampart connects for administration, and which the fence never closes: not the service’s own',
  }),
  user: z
    .string()
    .min(1)
    .meta({ description: 'Role that Rampart works as; a member of rds_superuser is enough', examples: ['rampart'] }),
  password: secretSchema.optional().meta({ description: 'Its password' }),
  ssl: z
    .enum(['disable', 'require', 'verify-full'])
    .default('require')
    .meta({ description: 'require encrypts; verify-full also checks the certificate' }),
  sslRootCert: z
    .string()
    .regex(/^\//, 'expected an absolute path')
    .optional()
    .meta({ description: "File with Amazon's certificate authorities for verify-full" }),
  connectTimeout: durationBetween(50, 60_000).prefault('2s').meta({ description: 'Longest wait for a connection' }),
  lagFreshness: durationBetween(100, 600_000)
    .prefault('5s')
    .meta({ description: "Oldest reading of the primary's position that a lag may be measured against" }),
  apiTimeout: durationBetween(50, 30_000)
    .prefault('4s')
    .meta({ description: 'Longest wait for one answer of an API; a lost region answers nothing', examples: ['4s'] }),
  poll: durationBetween(1, 60_000)
    .prefault('2s')
    .meta({
      examples: ['2s'],
      description: 'Between two looks at an instance that changes; the pauses grow up to five times as long',
    }),
  promoteTimeout: durationBetween(60_000, 21_600_000)
    .prefault('1h')
    .meta({ description: 'Longest wait for a promotion; a backup that runs is waited for as well' }),
  rebuildTimeout: durationBetween(60_000, 172_800_000)
    .prefault('24h')
    .meta({ description: 'Longest wait for a new replica, which RDS makes from a snapshot that it copies' }),
});

export const nodeSchema = z.strictObject({
  name: z.string().min(1).optional(),
  awsRegion,
  instance: identifier.meta({
    description: 'Identifier of the DB instance on this side',
    examples: ['orders-ireland'],
  }),
  endpoint: awsEndpoint.optional(),
  host: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "Address for SQL. Default: as RDS says. With it the server can be asked and fenced while its region's API is dead",
      examples: ['orders-ireland.c1a2b3c4.eu-west-1.rds.amazonaws.com'],
    }),
  port: z.int().min(1).max(65_535).optional().meta({ description: 'Port for SQL. Default: as RDS says, else 5432' }),
});

/** For the failover between two zones: what has nothing to do with replicas. */
export const zoneConfigSchema = configSchema.omit({ lagFreshness: true, rebuildTimeout: true }).extend({
  showsWithin: durationBetween(10, 600_000)
    .prefault('60s')
    .meta({
      description:
        'Longest time until RDS shows a failover that it has accepted. Until then it is not asked for again, because a second one leads back',
      examples: ['60s'],
    }),
});

const zone = z
  .string()
  .regex(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/, 'expected an availability zone such as eu-west-1a')
  .meta({ description: 'Availability zone of this side', examples: ['eu-west-1a'] });

export const zoneNodeSchema = nodeSchema.extend({ zone });
const anyConfig = configSchema.extend({ showsWithin: zoneConfigSchema.shape.showsWithin });
const anyNode = nodeSchema.extend({ zone: zone.optional() });

export type RdsConfig = z.output<typeof configSchema> &
  SqlConfig &
  Pick<z.output<typeof zoneConfigSchema>, 'showsWithin'>;

/** One side: one DB instance in one region of AWS. */
export interface Side {
  name: string;
  region: RegionName;
  awsRegion: string;
  endpoint: string | undefined;
  instance: string;
  host: string | null;
  port: number | null;
  /** Multi-AZ: its availability zone. */
  zone: string | null;
}

/** One component as a driver call sees it. */
export interface Fleet {
  component: string;
  config: RdsConfig;
  sides: Side[];
  context: DriverContext;
}

/** Reads a component that the topology or a plan carries. Durations may already be milliseconds there. */
export function openFleet(component: Component, context: DriverContext): Fleet {
  const config = anyConfig.parse(withDurations(component.config)) as RdsConfig;
  const sides = Object.values(component.sides).flatMap((side) =>
    side.nodes.map((node) => {
      const own = anyNode.parse(node.config);
      return {
        name: node.name,
        region: side.region,
        awsRegion: own.awsRegion,
        endpoint: own.endpoint,
        instance: own.instance,
        host: own.host ?? null,
        port: own.port ?? null,
        zone: own.zone ?? null,
      };
    }),
  );
  return { component: component.name, config, sides, context };
}

/** The side of a region. @throws InvalidInput for one that the component does not have */
export function sideOf(fleet: Fleet, region: RegionName): Side {
  const found = fleet.sides.find((side) => side.region === region);
  if (found !== undefined) return found;
  throw new RampartError('InvalidInput', `${fleet.component} has no side in ${region}`, {
    remedy: `Use one of ${fleet.sides.map((side) => side.region).join(', ')}.`,
  });
}

export const othersOf = (fleet: Fleet, side: Side): Side[] => fleet.sides.filter((other) => other !== side);

/** `orders-db in eu-central`, for messages. */
export const whereOf = (fleet: Fleet, side: Side): string => `${fleet.component} in ${side.region}`;

const DURATIONS = [
  'connectTimeout',
  'lagFreshness',
  'poll',
  'showsWithin',
  'apiTimeout',
  'promoteTimeout',
  'rebuildTimeout',
];

function withDurations(config: Record<string, Json>): Record<string, Json> {
  const result = { ...config };
  for (const key of DURATIONS) if (typeof result[key] === 'number') result[key] = `${result[key]}ms`;
  return result;
}

/** What the fields alone cannot say. */
export function validateRds(component: Component): Array<{ path: (string | number)[]; message: string; code: string }> {
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const { database, controlDatabase } = component.config;
  if (database === (controlDatabase ?? 'postgres')) {
    const message = `the fence closes every database but controlDatabase: ${database} must not be both`;
    problems.push({ path: ['config', 'controlDatabase'], message, code: 'RDS_CONTROL_DATABASE' });
  }
  for (const side of Object.values(component.sides)) {
    if (side.nodes.length === 1) continue;
    const message = `${side.region} has ${side.nodes.length} nodes: an rds side is one DB instance`;
    problems.push({ path: ['sides', side.region], message, code: 'RDS_ONE_INSTANCE' });
  }
  const seen = new Set<string>();
  for (const side of Object.values(component.sides)) {
    for (const { config } of side.nodes) {
      const key = `${config.awsRegion} ${config.instance}`;
      if (seen.has(key)) {
        const message = `${config.instance} in ${config.awsRegion} is named twice`;
        problems.push({ path: ['sides', side.region], message, code: 'RDS_SAME_INSTANCE' });
      }
      seen.add(key);
    }
  }
  return problems;
}

/** Two zones of one instance. */
export function validateZones({
  sides,
}: Component): Array<{ path: (string | number)[]; message: string; code: string }> {
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const nodes = Object.values(sides).flatMap((side) =>
    side.nodes.map(({ config }) => ({ region: side.region, config })),
  );
  const [first] = nodes;
  if (Object.keys(sides).length !== 2 || nodes.length !== 2) {
    const message = 'a Multi-AZ instance has two sides with one node each: the zones of the primary and of the standby';
    problems.push({ path: ['sides'], message, code: 'RDS_TWO_ZONES' });
  }
  for (const { region, config } of nodes.slice(1)) {
    const path = ['sides', region];
    if (config.instance !== first!.config.instance || config.awsRegion !== first!.config.awsRegion) {
      const message = 'both sides are zones of the same instance; for a replica in another region use the type rds';
      problems.push({ path, message, code: 'RDS_ONE_MULTI_AZ' });
    }
    if (config.zone === first!.config.zone) {
      problems.push({ path, message: `both sides are in ${config.zone}`, code: 'RDS_SAME_ZONE' });
    }
  }
  return problems;
}
