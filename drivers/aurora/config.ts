/** What `aurora-global` and `aurora` components say in the topology, and the one form in which the driver works with both. */
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import type { AwsPlace } from '../aws/client.ts';
import { awsEndpoint, awsRegion } from '../aws/schema.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Json } from '../ports.ts';
import type { SqlComponent } from '../sql/server.ts';

const identifier = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]{0,62}$/, 'expected an identifier of RDS: letters, digits and hyphens');
const host = z
  .string()
  .min(1)
  .refine((text) => !text.includes('://') && !text.includes('@'), { error: 'a host name or address, not a URL' })
  .optional()
  .meta({ description: "Address of the database, when workers cannot use the provider's own endpoint", examples: ['10.0.0.5'] }); // biome-ignore format: one thought
const port = z.int().min(1).max(65_535).optional().meta({ description: "Its port; the cluster's own when absent" });

/** What both types share: the way to the database, and how long things may take. */
const common = {
  database: z
    .string()
    .min(1)
    .default('postgres')
    .meta({
      description: "The service's database; the write probe goes there, into the schema `rampart`",
      examples: ['orders'],
    }),
  user: z
    .string()
    .min(1)
    .default('postgres')
    .meta({ description: 'Role that Rampart works as', examples: ['rampart'] }),
  password: secretSchema.optional().meta({ description: 'Its password', examples: ['${env:AURORA_PASSWORD}'] }),
  ssl: z
    .enum(['disable', 'require', 'verify-full'])
    .default('require')
    .meta({ description: 'require encrypts; verify-full also checks the certificate', examples: ['verify-full'] }),
  sslRootCert: z
    .string()
    .regex(/^\//, 'expected an absolute path')
    .optional()
    .meta({ description: "File with Amazon's certificate authorities", examples: ['/etc/rampart/rds-global.pem'] }),
  connectTimeout: durationBetween(50, 60_000)
    .prefault('2s')
    .meta({ description: 'Longest wait for a connection to the database', examples: ['2s'] }),
  apiTimeout: durationBetween(50, 30_000)
    .prefault('4s')
    .meta({ description: 'Longest wait for one answer of an API; a lost region answers nothing', examples: ['4s'] }),
  poll: durationBetween(1, 60_000)
    .prefault('5s')
    .meta({ description: 'Pause between two looks while a switch is under way', examples: ['5s'] }),
  startGrace: durationBetween(1, 600_000)
    .prefault('2m')
    .meta({
      description: 'How long an accepted switch may show nothing before it counts as not made',
      examples: ['2m'],
    }),
  switchTimeout: durationBetween(100, 1_740_000)
    .prefault('28m')
    .meta({
      description: 'Longest wait for a switch; then the run holds, and the switch may still end by itself',
      examples: ['28m'],
    }),
  rejoinTimeout: durationBetween(100, 570_000)
    .prefault('9m')
    .meta({
      description: 'Longest wait in one step until the provider has brought a side back',
      examples: ['9m'],
    }),
  lagFreshness: durationBetween(100, 600_000)
    .prefault('30s')
    .meta({ description: "Oldest reading of the lag that counts as one, by the database's clock", examples: ['30s'] }),
  metricAge: durationBetween(60_000, 3_600_000)
    .prefault('5m')
    .meta({ description: 'Oldest value of CloudWatch that counts as a reading of the lag', examples: ['5m'] }),
  sampleEvery: durationBetween(1, 600_000)
    .prefault('30s')
    .meta({
      description: 'How often the sampler asks the APIs; in between it shows what they said, with its age',
      examples: ['30s'],
    }),
  claimSettle: durationBetween(0, 10_000)
    .prefault('500ms')
    .meta({
      description:
        'Wait before a claim is read back: tags have no conditional write, so a second claimer must show first',
      examples: ['500ms'],
    }),
};

export const globalConfigSchema = z.strictObject({
  globalCluster: identifier.meta({ description: 'Identifier of the global cluster', examples: ['orders-global'] }),
  ...common,
});

export const globalNodeSchema = z.strictObject({
  name: z.string().min(1).optional(),
  place: z.string().min(1).optional(),
  cluster: identifier.meta({ description: "Identifier of the side's cluster", examples: ['orders-eu-west-1'] }),
  awsRegion,
  endpoint: awsEndpoint.optional(),
  cloudwatchEndpoint: awsEndpoint.optional(),
  host,
  port,
});

export const regionalConfigSchema = z.strictObject({
  cluster: identifier.meta({ description: 'Identifier of the cluster', examples: ['orders'] }),
  awsRegion,
  endpoint: awsEndpoint.optional(),
  ...common,
});

export const regionalNodeSchema = z.strictObject({
  name: z.string().min(1).optional(),
  place: z.string().min(1).optional(),
  instance: identifier.meta({ description: 'Identifier of a DB instance of the cluster', examples: ['orders-1'] }),
  host: host.meta({ description: "The instance's own address, to be found in the console; the sides are told apart by it", examples: ['orders-1.abc.eu-west-1.rds.amazonaws.com'] }), // biome-ignore format: one thought
  port,
});

type Common = z.output<z.ZodObject<typeof common>>;

export interface AuroraNode {
  name: string;
  region: RegionName;
  cluster: string;
  /** Regional: the instance this node is; `null`: the node is a whole cluster. */
  instance: string | null;
  place: AwsPlace;
  cloudwatch: AwsPlace;
  host: string | null;
  port: number | null;
}

/** One component as a driver call sees it. */
export interface Aurora {
  name: string;
  /** Identifier of the global cluster; `null`: one cluster in one region of AWS. */
  globalCluster: string | null;
  config: Common;
  context: DriverContext;
  regions: RegionName[];
  nodes: AuroraNode[];
  sql: SqlComponent;
}

export function openAurora(component: Component, context: DriverContext): Aurora {
  const isGlobal = component.type === 'aurora-global';
  const given = withDurations(component.config);
  const global = isGlobal ? globalConfigSchema.parse(given) : null;
  const regional = isGlobal ? null : regionalConfigSchema.parse(given);
  const config = (global ?? regional)!;
  const nodes = Object.values(component.sides).flatMap((side) =>
    side.nodes.map(({ name, config: raw }): AuroraNode => {
      if (regional !== null) {
        const node = regionalNodeSchema.parse(raw);
        const place = { region: regional.awsRegion, endpoint: regional.endpoint };
        const at = { name, region: side.region, cluster: regional.cluster, instance: node.instance };
        return { ...at, place, cloudwatch: place, host: node.host ?? null, port: node.port ?? null };
      }
      const node = globalNodeSchema.parse(raw);
      return {
        ...{ name, region: side.region, cluster: node.cluster, instance: null },
        place: { region: node.awsRegion, endpoint: node.endpoint },
        cloudwatch: { region: node.awsRegion, endpoint: node.cloudwatchEndpoint ?? node.endpoint },
        ...{ host: node.host ?? null, port: node.port ?? null },
      };
    }),
  );
  const { database, ssl, sslRootCert, connectTimeout, lagFreshness } = config;
  return {
    name: component.name,
    globalCluster: global?.globalCluster ?? null,
    config,
    context,
    regions: Object.keys(component.sides),
    nodes,
    sql: {
      component: component.name,
      config: { database, controlDatabase: database, ssl, sslRootCert, connectTimeout, lagFreshness },
      context,
    },
  };
}

/** A plan carries durations as milliseconds, a test as it is written. */
function withDurations(config: Record<string, Json>): Record<string, Json> {
  const isDuration = ([key, value]: [string, Json]): boolean => typeof value === 'number' && key in common;
  return Object.fromEntries(
    Object.entries(config).map((entry) => (isDuration(entry) ? [entry[0], `${entry[1]}ms`] : entry)),
  );
}

/** The nodes of a side, or some of them. @throws InvalidInput for a side that the component does not have */
export function nodesAt(aurora: Aurora, at: { region: RegionName; nodes?: string[] }): AuroraNode[] {
  const side = aurora.nodes.filter(({ region }) => region === at.region);
  if (side.length === 0)
    throw new RampartError('InvalidInput', `${aurora.name} has nothing in ${at.region}`, {
      remedy: `Its regions are ${aurora.regions.join(', ')}.`,
    });
  return at.nodes === undefined ? side : side.filter(({ name }) => at.nodes!.includes(name));
}

/** For error texts and API clients. */
export const where = (aurora: Aurora, node: AuroraNode): string => `${aurora.name} in ${node.region}`;
