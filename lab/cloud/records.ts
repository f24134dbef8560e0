/** Weighted records of the hosted zone, served by a name server as the emulator has them. */
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import type { FakeRecord } from '../../test/fakes/cloudflare/dns-records.ts';
import { startNameServer } from '../../test/fakes/cloudflare/name-server.ts';
import { HOME_REGION, type WorldSpec } from '../world/spec.ts';
import type { ProviderClients } from './clients.ts';

export const ZONE_NAME = 'example.com';
export const RECORD_NAME = 'api.example.com';
/** What the records answer: addresses of the documentation, since nothing is asked there. */
export const RECORD_TARGETS: Record<string, string> = { 'eu-west': '192.0.2.10', 'eu-central': '198.51.100.10' };
/** Seconds. As it would be in production before anybody thinks of a failover, but for the patience of the lab. */
const TTL = 2;

/** @returns the id of the zone */
export async function createZone(spec: WorldSpec, { dns }: ProviderClients): Promise<string> {
  const { CreateHostedZoneCommand, ChangeResourceRecordSetsCommand } = await import('@aws-sdk/client-route-53');
  const { HostedZone } = await dns.send(new CreateHostedZoneCommand({ Name: ZONE_NAME, CallerReference: spec.name }));
  const Changes = spec.regions.map(({ name }) => ({
    Action: 'CREATE' as const,
    ResourceRecordSet: {
      Name: RECORD_NAME,
      Type: 'A' as const,
      SetIdentifier: name,
      Weight: name === HOME_REGION ? 100 : 0,
      TTL,
      ResourceRecords: [{ Value: RECORD_TARGETS[name]! }],
    },
  }));
  await dns.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: HostedZone!.Id!, ChangeBatch: { Changes } }));
  return HostedZone!.Id!.replace('/hostedzone/', '');
}

export async function readZone({ dns }: ProviderClients, zone: string): Promise<ResourceRecordSet[]> {
  const { ListResourceRecordSetsCommand } = await import('@aws-sdk/client-route-53');
  const { ResourceRecordSets } = await dns.send(new ListResourceRecordSetsCommand({ HostedZoneId: zone }));
  return ResourceRecordSets ?? [];
}

export interface ZoneServer {
  /** `host:port`. */
  address: string;
  look(): Promise<boolean>;
}

/** Answers as the emulator's zone says: of a weighted set one record, as often as its weight asks for. */
export async function openNameServer(clients: ProviderClients, zone: string): Promise<ZoneServer> {
  let sets = await readZone(clients, zone);
  const credits = new Map<string, number>();
  const server = await startNameServer(() => served(sets, credits));
  return {
    address: server.address,
    async look() {
      sets = await readZone(clients, zone);
      return true;
    },
  };
}

function served(sets: readonly ResourceRecordSet[], credits: Map<string, number>): FakeRecord[] {
  const groups = new Map<string, ResourceRecordSet[]>();
  for (const set of sets) {
    const key = `${set.Name} ${set.Type}`;
    groups.set(key, [...(groups.get(key) ?? []), set]);
  }
  return [...groups.values()].flatMap((group) => recordsOf(group.length === 1 ? group[0]! : turn(group, credits)));
}

/** Smooth weighted round robin. With nothing but weights of 0 all are answered alike, as Route 53 does it. */
function turn(group: readonly ResourceRecordSet[], credits: Map<string, number>): ResourceRecordSet {
  const total = group.reduce((sum, set) => sum + (set.Weight ?? 0), 0);
  const shares = group.map((set) => {
    const weight = total === 0 ? 1 : (set.Weight ?? 0);
    const key = `${set.Name} ${set.Type} ${set.SetIdentifier}`;
    return { set, key, weight, credit: (credits.get(key) ?? 0) + weight };
  });
  const usable = shares.filter(({ weight }) => weight > 0);
  const chosen = usable.reduce((best, one) => (one.credit > best.credit ? one : best));
  const all = usable.reduce((sum, { weight }) => sum + weight, 0);
  for (const { key, weight, credit } of shares)
    credits.set(key, weight === 0 ? 0 : credit - (key === chosen.key ? all : 0));
  return chosen.set;
}

function recordsOf(set: ResourceRecordSet): FakeRecord[] {
  const name = (set.Name ?? '').replace(/\.$/, '');
  const type = set.Type ?? '';
  // Of what is in the zone, this is what clients of the lab ask for.
  if (!['A', 'AAAA', 'CNAME'].includes(type)) return [];
  const fields = { id: '', zone_id: '', proxied: false, comment: null, modified_on: '' };
  return (set.ResourceRecords ?? []).map(({ Value }) => ({
    ...fields,
    name,
    type,
    content: Value ?? '',
    ttl: set.TTL ?? 0,
  }));
}
