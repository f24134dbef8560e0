/** The provider of examples/aws-cloudflare. */
import { addFunctions, createGlobal, globalDatabase, withEndpoint } from './aurora.ts';
import { CLOUDFLARE, openEdge, poolOf } from './edge.ts';
import type { Provider, ProviderContext } from './provider.ts';
import { createZone, openNameServer, type ZoneServer } from './records.ts';
import { pointWriter } from './routes.ts';
import { createServices, followServices, startScaling } from './tasks.ts';

/** What the weighted records answer: addresses of the documentation, since nothing is asked there. */
const TARGETS: Record<string, string> = { 'eu-west': '192.0.2.10', 'eu-central': '198.51.100.10' };

export async function awsCloudflare(context: ProviderContext): Promise<Provider> {
  const { spec, clients, bin } = context;
  const edge = await openEdge(spec);
  const database = globalDatabase(spec, clients, bin, (region) => pointWriter(spec, region.name));
  let names: ZoneServer;
  return {
    upstreams: {
      cloudflare: new URL(edge.baseURL).origin,
      'application-autoscaling': await startScaling(spec),
    },
    hear: database.hear,
    amend: (service, operation, answer) => (service === 'rds' ? withEndpoint(operation, answer) : answer),
    async create() {
      const records = { name: 'api.example.com', type: 'A', weighted: true, targets: TARGETS } as const;
      const [zone] = await Promise.all([
        createZone(spec, clients, [records]),
        createGlobal(spec, clients),
        createServices(spec, clients),
      ]);
      names = await openNameServer(clients, zone);
      const { token, ...ids } = CLOUDFLARE;
      return {
        nameServer: names.address,
        names: {
          edge: { ...ids, ...Object.fromEntries(spec.regions.map(({ name }) => [name, poolOf(spec, name)])) },
          'api-dns': { hostedZone: zone },
        },
        env: { CLOUDFLARE_API_TOKEN: token },
      };
    },
    async begin() {
      await addFunctions(spec);
      return {
        rds: database.look,
        route53: names.look,
        cloudflare: edge.look,
        ecs: () => followServices(spec, clients),
      };
    },
  };
}
