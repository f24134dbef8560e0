/** A real primary with replicas for the tests of the postgres driver. Every node is streamed from through a link. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Json } from '../../../drivers/ports.ts';
import { postgres } from '../../../drivers/postgres/driver.ts';
import { closeSessions } from '../../../drivers/sql/session.ts';
import { installPart } from '../../../lab/parts/install.ts';
import { freePorts } from '../../../lab/ports.ts';
import { dataDirectory } from '../../../lab/postgres/node.ts';
import {
  createReplica,
  LAB_DATABASE,
  LAB_PASSWORDS,
  type PostgresNode,
  urlOf,
  withClient,
} from '../../../lab/postgres/pair.ts';
import { freezePostgres, killPostgres } from '../../../lab/postgres/server.ts';
import { type Link, openLink } from '../../../lab/proxy.ts';
import type { Component } from '../../../topology/model.ts';
import { Run, type StoreWorld } from '../../conformance/store/run.ts';
import { copyPair, makeFolder, makePair, slotOf } from './template.ts';

export const A = 'eu-west';
export const B = 'eu-central';
export const PASSWORD = '${env:DB_PASSWORD}';
export const WRONG_PASSWORD = '${env:WRONG_PASSWORD}';
export const SECRETS: Record<string, string> = {
  [PASSWORD]: LAB_PASSWORDS.rampart,
  [WRONG_PASSWORD]: 'wrong-password',
};

export interface PairOptions {
  version?: 18 | 16;
  /** A database of its own, not a copy of the one that all tests share. */
  fresh?: boolean;
  /** Changes the component's configuration. */
  config?: Record<string, Json>;
  /** Changes one node's configuration, by name; `null` takes a field away. */
  nodes?: Record<string, Record<string, Json>>;
  /** Further replicas of eu-west: name → region. */
  replicas?: Record<string, string>;
}

export interface Pair {
  dir: string;
  nodes: Record<string, PostgresNode>;
  component: Component;
  /** By node: the way others stream from it. */
  links: Record<string, Link>;
  world: StoreWorld;
  /** A run with the next epoch that has claimed both sides. */
  newRun(): Promise<Run>;
  /** Writes a row as the service, on a node. */
  write(node: string): Promise<void>;
  rows(node: string): Promise<number>;
  /** Runs SQL as Rampart's superuser; the control database when none is named. */
  sql(node: string, text: string, database?: string): Promise<Array<Record<string, unknown>>>;
  /** The component with its nodes' configuration changed; `null` takes a field away. */
  changed(change: Record<string, Json>, only?: string): Component;
  close(): Promise<void>;
}

/** Starts eu-west (primary) and eu-central (replica), and further replicas when asked for. */
export async function startPair(options: PairOptions = {}): Promise<Pair> {
  const { bin18, bin16 } = await installPart('postgres');
  const bin = options.version === 16 ? bin16 : bin18;
  const dir = makeFolder();
  const regions: Record<string, string> = { [A]: A, [B]: B, ...options.replicas };
  const names = Object.keys(regions);
  const ports = await freePorts(names.length);
  const nodes: Record<string, PostgresNode> = {};
  const links: Record<string, Link> = {};
  for (const [i, name] of names.entries()) links[name] = await openLink({ to: { port: ports[i]! } });
  const pair = await pairOf(dir, bin, nodes, links, regions, ports, options);
  try {
    const first: [number, number] = [ports[0]!, ports[1]!];
    const make = options.fresh === true ? makePair : copyPair;
    await make(dir, bin, [A, B], first, links[A]!);
    for (const [i, name] of names.entries()) {
      const data = dataDirectory({ dir: join(dir, name) });
      nodes[name] = { dir: join(dir, name), data, port: ports[i]!, bin, url: urlOf({ port: ports[i]! }) };
      if (i < 2) continue;
      const further = { dir: join(dir, name), port: ports[i]!, slot: slotOf(name), name };
      await createReplica({ from: nodes[A]!, via: links[A]!, ...further });
    }
    return pair;
  } catch (error) {
    await pair.close();
    throw error;
  }
}

async function pairOf(
  dir: string,
  bin: string,
  nodes: Record<string, PostgresNode>,
  links: Record<string, Link>,
  regions: Record<string, string>,
  ports: number[],
  options: PairOptions,
): Promise<Pair> {
  const component = componentOf(dir, bin, links, regions, ports, options);
  const [closed] = await freePorts(1);
  let epoch = 0;
  const pair: Pair = {
    dir,
    nodes,
    links,
    component,
    world: {
      driver: postgres,
      component,
      from: A,
      to: B,
      secrets: { [PASSWORD]: LAB_PASSWORDS.rampart },
      dir,
      unreachable: () => pair.changed({ port: closed!, dataDir: null }),
      wrongCredentials: () => ({
        component: { ...component, config: { ...component.config, password: WRONG_PASSWORD } },
        secrets: { [WRONG_PASSWORD]: SECRETS[WRONG_PASSWORD]! },
      }),
      write: (region) => pair.write(region),
      count: (region) => pair.rows(region),
      close: () => pair.close(),
    },
    newRun: async () => {
      const run = new Run(pair.world, ++epoch);
      await run.claim();
      return run;
    },
    write: (node) =>
      withClient(
        urlOf(nodes[node]!, 'app'),
        async (client) => void (await client.query('INSERT INTO orders DEFAULT VALUES')),
      ),
    rows: async (node) => Number((await pair.sql(node, 'SELECT count(*) AS n FROM orders', LAB_DATABASE))[0]!.n),
    sql: (node, text, database = 'postgres') =>
      withClient(urlOf(nodes[node]!, 'rampart', database), async (client) => (await client.query(text)).rows),
    changed: (change, only) => withNodes(component, change, only),
    close: async () => {
      await closeSessions();
      for (const name of Object.keys(regions)) {
        const data = dataDirectory({ dir: join(dir, name) });
        freezePostgres(data, false);
        await killPostgres(data);
      }
      for (const link of Object.values(links)) await link.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return pair;
}

function componentOf(
  dir: string,
  bin: string,
  links: Record<string, Link>,
  regions: Record<string, string>,
  ports: number[],
  options: PairOptions,
): Component {
  const component: Component = {
    name: 'orders-db',
    type: 'postgres',
    role: 'store',
    queue: 'rampart',
    config: { database: LAB_DATABASE, user: 'rampart', password: PASSWORD, bin, ...options.config },
    sides: {},
    capabilities: postgres.capabilities({}),
  };
  for (const [i, [name, region]] of Object.entries(regions).entries()) {
    component.sides[region] ??= { region, nodes: [] };
    const replication = { host: '127.0.0.1', port: links[name]!.port };
    const dataDir = dataDirectory({ dir: join(dir, name) });
    const config = { host: '127.0.0.1', port: ports[i]!, dataDir, replication };
    component.sides[region].nodes.push({ name, queue: `rampart.${region}`, config });
  }
  return Object.entries(options.nodes ?? {}).reduce((all, [name, change]) => withNodes(all, change, name), component);
}

function withNodes(component: Component, change: Record<string, Json>, only?: string): Component {
  const copy = structuredClone(component);
  for (const side of Object.values(copy.sides)) {
    for (const node of side.nodes) {
      if (only !== undefined && node.name !== only) continue;
      for (const [key, value] of Object.entries(change)) {
        if (value === null) delete node.config[key];
        else node.config[key] = value;
      }
    }
  }
  return copy;
}
