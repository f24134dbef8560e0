/** The provider of examples/rds-postgres. Its instances are a fake's: no emulator promotes a replica as RDS does. */
import { FakeRds } from '../../test/fakes/aws/rds.ts';
import { FakeAws } from '../../test/fakes/aws/server.ts';
import { HOME_REGION, type WorldSpec } from '../world/spec.ts';
import { ACCOUNT, AWS_REGIONS } from './clients.ts';
import { InstanceServers } from './instances.ts';
import type { Provider, ProviderContext } from './provider.ts';
import { createZone, openNameServer, type ZoneServer } from './records.ts';
import { pointWriter, setEdge } from './routes.ts';
import { createServices, followServices, startScaling } from './tasks.ts';

/** Names of the instances, as the example's records and sides have them. */
const INSTANCES: Record<string, string> = { 'eu-west': 'orders-ireland', 'eu-central': 'orders-frankfurt' };
const WRITER = 'orders-db.example.com';
const EDGE = 'checkout.example.com';
const WRITER_TARGETS = Object.fromEntries(
  Object.entries(INSTANCES).map(([region, id]) => [region, `${id}.c1a2b3c4.${AWS_REGIONS[region]}.rds.amazonaws.com`]),
);
const EDGE_TARGETS: Record<string, string> = { 'eu-west': '192.0.2.10', 'eu-central': '198.51.100.10' };

export async function rdsPostgres({ spec, clients, bin }: ProviderContext): Promise<Provider> {
  const rds = new FakeRds(ACCOUNT);
  const instances = await FakeAws.start([rds.service()]);
  let names: ZoneServer;
  return {
    upstreams: { rds: instances.url, 'application-autoscaling': await startScaling(spec) },
    hear: () => {},
    async create() {
      const [zone] = await Promise.all([
        createZone(spec, clients, [
          { name: WRITER, type: 'CNAME', weighted: false, targets: WRITER_TARGETS },
          { name: EDGE, type: 'A', weighted: true, targets: EDGE_TARGETS },
        ]),
        createServices(spec, clients),
      ]);
      names = await openNameServer(clients, zone);
      return { nameServer: names.address, names: { edge: { hostedZone: zone } }, env: {} };
    },
    async begin() {
      const servers = new InstanceServers(spec, bin, rds);
      await servers.takeOver();
      addInstances(spec, rds);
      rds.servers = servers;
      return {
        route53: async () => {
          await names.look();
          followRecords(spec, names);
          return true;
        },
        ecs: () => followServices(spec, clients),
      };
    },
  };
}

/** The home region's instance, and its replica in the other one. */
function addInstances(spec: WorldSpec, rds: FakeRds): void {
  const [home, other] = [...spec.regions].sort((a) => (a.name === HOME_REGION ? -1 : 1)) as [
    (typeof spec.regions)[0],
    (typeof spec.regions)[0],
  ];
  const common = { engineVersion: '18.4', parameterGroup: 'orders-pg18', multiAz: true, deletionProtection: true };
  const at = ({ name, links }: typeof home) => ({
    ...common,
    id: INSTANCES[name]!,
    region: AWS_REGIONS[name]!,
    endpoint: { address: '127.0.0.1', port: links.database },
  });
  const primary = rds.add(at(home));
  rds.add({ ...at(other), source: rds.arnOf(primary) });
}

/** Clients that ask for a name get there: the writer endpoint and the edge lead where the records say. */
function followRecords(spec: WorldSpec, names: ZoneServer): void {
  const records = names.records();
  const value = records.find(({ name, type }) => name === WRITER && type === 'CNAME')?.values?.[0]?.replace(/\.$/, '');
  const writer = spec.regions.find(({ name }) => WRITER_TARGETS[name] === value);
  if (writer) pointWriter(spec, writer.name);
  const weights = records.filter(({ name, type }) => name === EDGE && type === 'A');
  const total = weights.reduce((sum, { weight = 0 }) => sum + weight, 0);
  // All zero is all alike, as Route 53 answers.
  const shareOf = (weight: number): number => (total === 0 ? 100 / weights.length : (100 * weight) / total);
  const shares = spec.regions.map(({ name }) => {
    const own = weights.find(({ values }) => values?.[0] === EDGE_TARGETS[name]);
    return [name, own === undefined ? 0 : Math.round(shareOf(own.weight ?? 0))];
  });
  setEdge(spec, Object.fromEntries(shares));
}
