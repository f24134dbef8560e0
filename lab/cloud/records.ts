/** Records of a hosted zone, served by a name server as the emulator has them. */
import type { FakeRecord } from '../../test/fakes/aws/route53.ts';
import { FakeDns } from '../../test/fakes/aws/route53-dns.ts';
import { HOME_REGION, regionOf, type WorldSpec } from '../world/spec.ts';
import type { ProviderClients } from './clients.ts';

const ZONE_NAME = 'example.com';
/** Seconds: longer than a run keeps it, so that there is something to lower, and short for the patience of the lab. */
const TTL = 2;

/** Records of one name. */
export interface LabRecords {
  name: string;
  type: 'A' | 'CNAME';
  /** One record for each region; else one, which points at the home region. */
  weighted: boolean;
  /** What they answer, by region. */
  targets: Record<string, string>;
}

/** @returns the id of the zone */
export async function createZone(spec: WorldSpec, { dns }: ProviderClients, records: LabRecords[]): Promise<string> {
  const { CreateHostedZoneCommand, ChangeResourceRecordSetsCommand } = await import('@aws-sdk/client-route-53');
  const { HostedZone } = await dns.send(new CreateHostedZoneCommand({ Name: ZONE_NAME, CallerReference: spec.name }));
  const Changes = records.flatMap(({ name, type, weighted, targets }) =>
    (weighted ? spec.regions : [regionOf(spec, HOME_REGION)]).map((region) => ({
      Action: 'CREATE' as const,
      ResourceRecordSet: {
        ...{ Name: name, Type: type, TTL, ResourceRecords: [{ Value: targets[region.name]! }] },
        ...(weighted ? { SetIdentifier: region.name, Weight: region.name === HOME_REGION ? 100 : 0 } : {}),
      },
    })),
  );
  await dns.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: HostedZone!.Id!, ChangeBatch: { Changes } }));
  return HostedZone!.Id!.replace('/hostedzone/', '');
}

export interface ZoneServer {
  /** `host:port`. */
  address: string;
  /** What is served now. */
  records(): FakeRecord[];
  look(): Promise<boolean>;
}

/** Answers as the emulator's zone says: of a weighted set one record, as often as its weight asks for. */
export async function openNameServer(clients: ProviderClients, zone: string): Promise<ZoneServer> {
  let served = await readZone(clients, zone);
  const server = await FakeDns.start({ records: () => served, isHealthy: () => true });
  return {
    address: server.address,
    records: () => served,
    async look() {
      served = await readZone(clients, zone);
      return true;
    },
  };
}

async function readZone({ dns }: ProviderClients, zone: string): Promise<FakeRecord[]> {
  const { ListResourceRecordSetsCommand } = await import('@aws-sdk/client-route-53');
  const { ResourceRecordSets } = await dns.send(new ListResourceRecordSetsCommand({ HostedZoneId: zone }));
  return (ResourceRecordSets ?? []).map((set) => ({
    name: (set.Name ?? '').replace(/\.$/, ''),
    type: set.Type ?? '',
    ...(set.SetIdentifier === undefined ? {} : { id: set.SetIdentifier }),
    ...(set.Weight === undefined ? {} : { weight: set.Weight }),
    ...(set.TTL === undefined ? {} : { ttl: set.TTL }),
    values: (set.ResourceRecords ?? []).map(({ Value }) => Value ?? ''),
  }));
}
