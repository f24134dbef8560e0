/** Two regions of a fake RDS whose instances are real PostgreSQL servers, for the tests of the rds driver. */
import { rds } from '../../../drivers/rds/driver.ts';
import { closeSessions } from '../../../drivers/sql/session.ts';
import { freePort } from '../../../lab/ports.ts';
import { LAB_DATABASE } from '../../../lab/postgres/pair.ts';
import type { Component } from '../../../topology/model.ts';
import { Run, type StoreWorld } from '../../conformance/store/run.ts';
import { type DbInstance, FakeRds } from '../../fakes/aws/rds.ts';
import { countOrders, MANAGED_PASSWORDS, ManagedServers, writeOrder } from '../../fakes/aws/rds-servers.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

export const A = 'ireland';
export const B = 'frankfurt';
export const AWS: Record<string, string> = { [A]: 'eu-west-1', [B]: 'eu-central-1' };
export const ID: Record<string, string> = { [A]: 'orders-ireland', [B]: 'orders-frankfurt' };
export const PASSWORD = '${env:DB_PASSWORD}';
const WRONG_PASSWORD = '${env:WRONG_PASSWORD}';

export interface RdsWorld {
  aws: FakeAws;
  account: FakeRds;
  servers: ManagedServers;
  component: Component;
  world: StoreWorld;
  instance(region: string): DbInstance;
  port(region: string): number;
  newRun(): Promise<Run>;
  close(): Promise<void>;
}

export async function startRds(): Promise<RdsWorld> {
  process.env.AWS_ACCESS_KEY_ID = '111111111111';
  process.env.AWS_SECRET_ACCESS_KEY = 'not-a-secret';
  const account = new FakeRds();
  const aws = await FakeAws.start([account.service()]);
  const { servers, primary, replica } = await ManagedServers.startPair([A, B]);
  account.servers = servers;
  const source = account.add({ id: ID[A]!, region: AWS[A]!, endpoint: { address: '127.0.0.1', port: primary.port } });
  account.add({
    id: ID[B]!,
    region: AWS[B]!,
    endpoint: { address: '127.0.0.1', port: replica.port },
    source: account.arnOf(source),
    multiAz: true,
    secondaryAz: 'eu-central-1b',
  });
  const component = componentAt(aws.url);
  const closed = `http://127.0.0.1:${await freePort()}`;
  const instance = (region: string): DbInstance => account.get(AWS[region]!, ID[region]!);
  const port = (region: string): number => instance(region).endpoint!.port;
  let epoch = 1_000;
  const close = async (): Promise<void> => {
    await closeSessions();
    await aws.stop();
    await servers.close();
  };
  const world: StoreWorld = {
    driver: rds,
    component,
    from: A,
    to: B,
    secrets: { [PASSWORD]: MANAGED_PASSWORDS.rampart },
    dir: servers.dir,
    unreachable: () => componentAt(closed),
    wrongCredentials: () => ({
      component: { ...component, config: { ...component.config, password: WRONG_PASSWORD } },
      secrets: { [WRONG_PASSWORD]: 'wrong-password' },
    }),
    write: (region) => writeOrder(port(region)),
    count: (region) => countOrders(port(region)),
    close,
  };
  const newRun = async (): Promise<Run> => {
    const run = new Run(world, ++epoch);
    await run.claim();
    return run;
  };
  return { aws, account, servers, component, world, instance, port, newRun, close };
}

export function componentAt(endpoint: string): Component {
  return {
    name: 'orders-db',
    type: 'rds',
    role: 'store',
    queue: 'rampart',
    config: {
      database: LAB_DATABASE,
      user: 'rampart',
      password: PASSWORD,
      ssl: 'disable',
      poll: '30ms',
      apiTimeout: '1s',
    },
    sides: Object.fromEntries(
      [A, B].map((region) => [
        region,
        {
          region,
          nodes: [
            { name: region, queue: 'rampart', config: { awsRegion: AWS[region]!, instance: ID[region]!, endpoint } },
          ],
        },
      ]),
    ),
    capabilities: rds.capabilities({}),
  };
}
