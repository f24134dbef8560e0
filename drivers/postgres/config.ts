/** What a `postgres` component says in the topology, and the nodes a driver call works with. */
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Json } from '../ports.ts';

export { addressOf } from '../sql/server.ts';

const host = z
  .string()
  .min(1)
  .refine((text) => !text.includes('://') && !text.includes('@'), { error: 'a host name or address, not a URL' });
const port = z.int().min(1).max(65_535);
const folder = z.string().regex(/^\//, 'expected an absolute path');
const argv = z.array(z.string()).min(1);
const ssl = z.enum(['disable', 'require', 'verify-full']);

export const configSchema = z.strictObject({
  database: z
    .string()
    .min(1)
    .default('postgres')
    .meta({ description: "The service's database; the write probe goes there, into the schema `rampart`" }),
  controlDatabase: z.string().min(1).optional().meta({
    description:
      'Where Rampart connects for administration, and which a fence by SQL never closes. Default: `database`, or `postgres` when a node is fenced by SQL',
  }),
  user: z
    .string()
    .min(1)
    .default('postgres')
    .meta({ description: 'Role that Rampart works as', examples: ['rampart'] }),
  password: secretSchema.optional().meta({ description: 'Its password' }),
  ssl: ssl.default('disable').meta({ description: 'require encrypts; verify-full also checks the certificate' }),
  sslRootCert: folder.optional().meta({ description: 'File with the certificate authority for verify-full' }),
  replication: z
    .strictObject({
      user: z
        .string()
        .min(1)
        .optional()
        .meta({ description: 'Role with REPLICATION', examples: ['replicator'] }),
      password: secretSchema.optional().meta({ description: "Its password, written into the replica's settings" }),
      passFile: folder
        .optional()
        .meta({ description: 'libpq password file, when the password must not be in the settings' }),
    })
    .prefault({})
    .meta({ description: 'Role that replicas stream as. Absent: as in their present primary_conninfo, else `user`' }),
  bin: folder.optional().meta({
    description:
      'Folder with pg_ctl, pg_controldata, pg_rewind, pg_basebackup; found by itself beside a running server',
    examples: ['/usr/lib/postgresql/18/bin'],
  }),
  slot: z
    .string()
    .regex(/^$|^[a-z0-9_]*\{node\}[a-z0-9_]*$/, 'lower case letters, digits and _ around {node}, or "" for no slots')
    .default('rampart_{node}')
    .meta({ description: 'Name of the physical slot kept for each replica on its primary; "" = no slots' }),
  lagFreshness: durationBetween(100, 600_000)
    .prefault('5s')
    .meta({ description: "Oldest reading of the primary's position that a lag may be measured against" }),
  connectTimeout: durationBetween(50, 60_000).prefault('2s').meta({ description: 'Longest wait for a connection' }),
  stopTimeout: durationBetween(1_000, 3_600_000)
    .prefault('20s')
    .meta({ description: 'After this a fast stop becomes an immediate one, whose last position is unknown' }),
  repair: z.enum(['auto', 'rewind', 'basebackup']).default('auto').meta({
    description: 'How `rebuild` repairs a diverged node; auto = pg_rewind, and a base backup where that cannot work',
  }),
});

const control = z
  .strictObject({
    kind: z.enum(['pg_ctl', 'systemd', 'command']).default('pg_ctl'),
    unit: z
      .string()
      .min(1)
      .optional()
      .meta({ examples: ['postgresql@18-main.service'] }),
    fence: argv
      .optional()
      .meta({ description: 'Makes the server unable to write and to come back by itself; exit 0 = done' }),
    unfence: argv.optional().meta({ description: 'Takes that back' }),
    start: argv.optional().meta({ description: 'Starts the server, in place of what `kind` does' }),
    stop: argv.optional().meta({ description: 'Stops the server fast, in place of what `kind` does' }),
    status: argv.optional().meta({ description: 'Exit 0 = running, 3 = stopped, anything else = not known' }),
  })
  .meta({
    description:
      'How the server is started and stopped. Arguments may hold {dataDir}, {host}, {port}, {node}, {region}',
  });

export const nodeSchema = z.strictObject({
  name: z.string().min(1).optional(),
  place: z.string().min(1).optional(),
  host: host.meta({ description: 'Address that workers connect to', examples: ['10.0.0.5'] }),
  port: port.default(5432).meta({ description: 'Its port' }),
  user: z.string().min(1).optional().meta({ description: "In place of the component's `user`" }),
  password: secretSchema.optional().meta({ description: "In place of the component's `password`" }),
  replication: z
    .strictObject({
      host: host.optional().meta({ description: '`host` when absent' }),
      port: port.optional().meta({ description: '`port` when absent' }),
    })
    .optional()
    .meta({ description: 'Address that other nodes stream from, when it is not host and port' }),
  dataDir: folder.optional().meta({ description: 'Data directory, on the machine of the worker beside it' }),
  bin: folder.optional().meta({ description: "In place of the component's `bin`" }),
  control: control.optional(),
  fence: z.enum(['stop', 'command', 'sql']).optional().meta({
    description:
      'stop: fast stop proven by control data and standby.signal. command: control.fence. sql: no session can write. Default: stop with a dataDir, else sql',
  }),
  logFile: folder.optional().meta({ description: 'Where a server started by Rampart writes its first messages' }),
});

/** A component's configuration with every default filled in. */
export type PgConfig = z.output<typeof configSchema> & { controlDatabase: string };
type NodeConfig = z.output<typeof nodeSchema>;
export type Control = z.output<typeof control>;

export interface PgNode {
  name: string;
  region: RegionName;
  host: string;
  port: number;
  user: string;
  /** Secret reference. */
  password: string | undefined;
  /** Address that other nodes stream from. */
  replication: { host: string; port: number };
  dataDir: string | null;
  bin: string | null;
  control: Control;
  fence: 'stop' | 'command' | 'sql';
  logFile: string | null;
  /** Physical slot that its primary keeps for it; `null` = the component uses no slots. */
  slot: string | null;
  /** Whether this worker is the one beside it, so that its files and processes are ours to read. */
  here: boolean;
}

/** One component as a driver call sees it. */
export interface Cluster {
  component: string;
  config: PgConfig;
  /** Every node of every side, in the topology's order. */
  nodes: PgNode[];
  context: DriverContext;
}

/** Reads a component that the topology or a plan carries. Durations may already be milliseconds there. */
export function openCluster(component: Component, context: DriverContext): Cluster {
  const given = configSchema.parse(withDurations(component.config));
  const config: PgConfig = { ...given, controlDatabase: controlDatabaseOf(given, component) };
  const nodes = Object.values(component.sides).flatMap((side) =>
    side.nodes.map((node) => {
      const own: NodeConfig = nodeSchema.parse(node.config);
      const place = node.place ?? own.place ?? null;
      const here =
        context.place.region === side.region &&
        (place === null || place === context.place.place) &&
        (own.dataDir !== undefined || hasCommands(own));
      return {
        name: node.name,
        region: side.region,
        host: own.host,
        port: own.port,
        user: own.user ?? config.user,
        password: own.password ?? config.password,
        replication: { host: own.replication?.host ?? own.host, port: own.replication?.port ?? own.port },
        dataDir: own.dataDir === undefined ? null : own.dataDir.replace(/\/+$/, ''),
        bin: own.bin ?? config.bin ?? null,
        control: own.control ?? { kind: 'pg_ctl' as const },
        fence: own.fence ?? (own.dataDir === undefined ? ('sql' as const) : ('stop' as const)),
        logFile: own.logFile ?? null,
        slot: config.slot === '' ? null : slotName(config.slot, node.name),
        here,
      } satisfies PgNode;
    }),
  );
  return { component: component.name, config, nodes, context };
}

/**
 * One database for everything saves a connection in the freeze; a fence by SQL must not close the one that Rampart
 * is connected to.
 */
export function controlDatabaseOf(config: z.output<typeof configSchema>, component: Component): string {
  if (config.controlDatabase !== undefined) return config.controlDatabase;
  const nodes = Object.values(component.sides).flatMap((side) => side.nodes.map((node) => node.config));
  return nodes.some((node) => fenceOf(node) === 'sql') ? 'postgres' : config.database;
}

/** How a node is fenced: as it says, else by stop with a data directory, else by SQL. */
const fenceOf = (node: Record<string, Json>): Json => node.fence ?? (node.dataDir === undefined ? 'sql' : 'stop');

/** The nodes a call concerns. @throws InvalidInput for a region or node the component does not have */
export function nodesAt(cluster: Cluster, at: { region: RegionName; nodes?: string[] }): PgNode[] {
  const side = cluster.nodes.filter((node) => node.region === at.region);
  if (side.length === 0) {
    throw new RampartError('InvalidInput', `${cluster.component} has no side in ${at.region}`, {
      remedy: `Use one of ${[...new Set(cluster.nodes.map((node) => node.region))].join(', ')}.`,
    });
  }
  if (at.nodes === undefined) return side;
  return at.nodes.map((name) => {
    const found = side.find((node) => node.name === name);
    if (found !== undefined) return found;
    throw new RampartError('InvalidInput', `${cluster.component} has no node ${name} in ${at.region}`, {
      remedy: `Use one of ${side.map((node) => node.name).join(', ')}.`,
    });
  });
}

/** Whether the node's steps need a worker beside it. */
export function isLocal(node: Record<string, Json>): boolean {
  const parsed = nodeSchema.safeParse(node);
  return parsed.success ? parsed.data.dataDir !== undefined || hasCommands(parsed.data) : 'dataDir' in node;
}

/** A slot name: lower case letters, digits and underscores, at most 63. */
function slotName(template: string, node: string): string {
  const safe = node.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  return template.replace('{node}', safe).slice(0, 63);
}

function hasCommands(node: NodeConfig): boolean {
  const { control } = node;
  return control !== undefined && (control.kind !== 'pg_ctl' || control.fence !== undefined);
}

function withDurations(config: Record<string, Json>): Record<string, Json> {
  const result = { ...config };
  for (const key of ['lagFreshness', 'connectTimeout', 'stopTimeout']) {
    if (typeof result[key] === 'number') result[key] = `${result[key]}ms`;
  }
  return result;
}
