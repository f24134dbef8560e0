/** Aurora for the driver's tests: the fake of its API, with a real pair of PostgreSQL behind it that follows the writer. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aurora, auroraGlobal } from '../../../drivers/aurora/driver.ts';
import type { Driver, Json } from '../../../drivers/ports.ts';
import { freePort } from '../../../lab/ports.ts';
import { AURORA_FUNCTIONS } from '../../../lab/postgres/aurora.ts';
import { LAB_DATABASE, LAB_PASSWORDS, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import type { Component } from '../../../topology/model.ts';
import { Run, type StoreWorld } from '../../conformance/store/run.ts';
import { FakeAurora, FakeLag } from '../../fakes/aws/aurora.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { A, B, PASSWORD, type Pair, SECRETS, startPair, WRONG_PASSWORD } from '../postgres/pair.ts';

export { A, B };
export const CLUSTERS: Record<string, { region: string; id: string }> = {
  [A]: { region: `${A}-1`, id: 'orders-west' },
  [B]: { region: `${B}-1`, id: 'orders-central' },
};
export const GLOBAL = 'orders-global';
/** Settings under which a test waits for nothing. */
export const QUICK: Record<string, Json> = {
  ...{ database: LAB_DATABASE, user: 'rampart', password: PASSWORD, ssl: 'disable' },
  ...{ poll: 15, startGrace: 300, apiTimeout: 1_000, sampleEvery: 1, claimSettle: 0, switchTimeout: 20_000 },
  ...{ rejoinTimeout: 10_000 },
};

process.env.AWS_ACCESS_KEY_ID = '000000000000';
process.env.AWS_SECRET_ACCESS_KEY = 'of-no-use';

export interface AuroraWorld extends StoreWorld {
  fake: FakeAurora;
  aws: FakeAws;
  lag: FakeLag;
  pair: Pair;
  /** The component with another configuration of it or of its nodes. */
  with(config: Record<string, Json>, nodes?: Record<string, Record<string, Json>>): Component;
  newRun(): Promise<Run>;
  /** Everything as it was when it was made. Only where nothing was promoted. */
  reset(): Promise<void>;
}

let paths = 0;
/** Another path each time: the requests of this process to one endpoint are rationed. */
const pathOf = (url: string): string => `${url}/${++paths}`;

export interface Options {
  kind: 'global' | 'regional';
  /**
   * `promoted`: the databases change roles as the writer moves. `swapped`: the sides change databases, which is as good
   * where nobody looks at places, and costs nothing.
   */
  move: 'promoted' | 'swapped';
}

export async function startAurora({ kind, move }: Options): Promise<AuroraWorld> {
  const pair = await startPair();
  await pair.sql(A, move === 'promoted' ? AURORA_FUNCTIONS : SWAPPED_FUNCTIONS, LAB_DATABASE);
  const fake = new FakeAurora();
  const lag = new FakeLag();
  const aws = await FakeAws.start([fake.service(), lag.service()], 2);
  // Behind the second listener nobody is known.
  aws.fault({ fault: 'denied', endpoint: 1 });
  const ports: Record<string, number> = { [A]: pair.nodes[A]!.port, [B]: pair.nodes[B]!.port };
  const regional = kind === 'regional';
  const fill = (): void => {
    fake.state = new FakeAurora().state;
    fake.next = { outcome: 'completes', looks: 1, resync: 1 };
    if (regional) {
      const instances = [A, B].map((region, i) => ({ id: `orders-${region}`, writer: i === 0 }));
      fake.addCluster({ region: 'eu-west-1', id: 'orders', instances, port: ports[A]! });
    } else {
      fake.addGlobal(GLOBAL, [A, B].map((region) => ({ ...CLUSTERS[region]!, port: ports[region]! }))); // biome-ignore format: one thought
    }
  };
  fill();
  fake.move = async (from, to) => {
    const [old, next] = regional ? [from, to].map((id) => id.slice('orders-'.length)) : [from, to].map(sideOfArn);
    if (move === 'promoted') return promote(pair, old!, next!);
    for (const { region, id } of Object.values(CLUSTERS)) {
      const cluster = fake.cluster(region, id);
      cluster.port = cluster.port === ports[A] ? ports[B]! : ports[A]!;
    }
    const turned = `UPDATE aurora_side SET region = '${CLUSTERS[next!]!.region}' WHERE role = 'primary';
      UPDATE aurora_side SET region = '${CLUSTERS[old!]!.region}' WHERE role = 'replica'`;
    await pair.sql(A, turned, LAB_DATABASE);
  };
  const driver: Driver<'store'> = regional ? aurora : auroraGlobal;
  const make = (
    url: string,
    config: Record<string, Json> = {},
    nodes: Record<string, Record<string, Json>> = {},
  ): Component => {
    const endpoint = pathOf(url);
    const node = (region: string): Record<string, Json> =>
      regional
        ? { instance: `orders-${region}`, host: '127.0.0.1', port: ports[region]!, ...nodes[region] }
        : { cluster: CLUSTERS[region]!.id, awsRegion: CLUSTERS[region]!.region, endpoint, ...nodes[region] };
    return {
      ...{ name: 'orders-db', type: driver.type, role: 'store', queue: 'rampart' },
      config: {
        ...QUICK,
        ...(regional ? { cluster: 'orders', awsRegion: 'eu-west-1', endpoint } : { globalCluster: GLOBAL }),
        ...config,
      },
      sides: Object.fromEntries(
        [A, B].map((region) => [region, { region, nodes: [{ name: region, queue: 'rampart', config: node(region) }] }]),
      ),
      capabilities: driver.capabilities({}),
    };
  };
  const portAt = (region: string): number =>
    regional ? ports[region]! : fake.cluster(CLUSTERS[region]!.region, CLUSTERS[region]!.id).port;
  const closed = await freePort();
  let epoch = 1_000;
  const world: AuroraWorld = {
    ...{ driver, fake, aws, lag, pair, from: A, to: B, dir: pair.dir, secrets: { [PASSWORD]: LAB_PASSWORDS.rampart } },
    get component() {
      return make(aws.url);
    },
    with: (config, nodes) => make(aws.url, config, nodes),
    reset: async () => {
      fill();
      aws.faults.clear();
      aws.fault({ fault: 'denied', endpoint: 1 });
      aws.calls.length = 0;
      lag.values = {};
      await pair.sql(A, `TRUNCATE aurora_side; ${SIDES}`, LAB_DATABASE);
    },
    newRun: async () => {
      const run = new Run(world, ++epoch);
      await run.claim();
      return run;
    },
    unreachable: () => make(`http://127.0.0.1:${closed}`),
    wrongCredentials: () => ({
      component: make(aws.urls[1]!, { password: WRONG_PASSWORD }),
      secrets: { [WRONG_PASSWORD]: SECRETS[WRONG_PASSWORD]! },
    }),
    write: (region) =>
      withClient(
        urlOf({ port: portAt(region) }, 'app'),
        async (client) => void (await client.query('INSERT INTO orders DEFAULT VALUES')),
      ),
    count: (region) =>
      withClient(urlOf({ port: portAt(region) }), async (client) =>
        Number((await client.query('SELECT count(*) AS n FROM orders')).rows[0].n),
      ),
    close: async () => {
      await aws.stop();
      await pair.close();
    },
  };
  return world;
}

/** Which region a server stands for is in a table there. */
const sideIn = (role: string): string => `(SELECT region FROM aurora_side WHERE role = '${role}')`;
const SIDES = `INSERT INTO aurora_side VALUES ('primary', '${CLUSTERS[A]!.region}'), ('replica', '${CLUSTERS[B]!.region}');`;
const SWAPPED_FUNCTIONS = `CREATE TABLE aurora_side (role text PRIMARY KEY, region text);
  ${SIDES}
  ${AURORA_FUNCTIONS.replace("current_setting('cluster_name') || '-1'", sideIn('primary')).replace("application_name || '-1'", sideIn('replica'))}`;

const sideOfArn = (arn: string): string => Object.keys(CLUSTERS).find((side) => arn.includes(CLUSTERS[side]!.id))!;

/** The old primary is stopped with everything sent, and comes back as the replica of the new one. */
async function promote(pair: Pair, from: string, to: string): Promise<void> {
  const [old, next] = [pair.nodes[from]!, pair.nodes[to]!];
  await stopPostgres(old.data);
  await pair.sql(to, 'SELECT pg_promote(true, 30)');
  const conninfo = `host=127.0.0.1 port=${next.port} user=rampart password=${LAB_PASSWORDS.rampart} application_name=${from}`;
  appendFileSync(join(old.data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\nprimary_slot_name = ''\n`);
  writeFileSync(join(old.data, 'standby.signal'), '');
  await startPostgres({ data: old.data, bin: old.bin });
}
