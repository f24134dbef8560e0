/** The records under a name as they are, and which region they point at. */
import type { RegionName } from '../../topology/model.ts';
import type { DriverContext, Weights } from '../ports.ts';
import type { DNS_CALLS } from './calls.ts';
import { digestOf, type Marked, readMark } from './claim.ts';
import type { CloudflareApi } from './client.ts';
import { askAuthorities, deviations } from './dns-authority.ts';
import { canonical, type DnsConfig } from './dns-config.ts';
import { wholeTo } from './weights.ts';

export type DnsApi = CloudflareApi<keyof typeof DNS_CALLS.calls>;

export interface DnsRecord {
  id: string;
  name: string;
  type: string;
  content?: string;
  proxied?: boolean;
  /** Seconds; 1 = automatic. */
  ttl: number;
  comment?: string | null;
  modified_on: string;
}

export interface DnsState {
  /** The one record of the type that is configured; `null` when there is none, or several. */
  record: DnsRecord | null;
  /** Every record under the name that decides where clients go. */
  records: DnsRecord[];
  weights: Weights | null;
  /** Why what the record says is not what clients get. */
  problems: string[];
  /** Why Rampart must not change it; `null` = it may. */
  obstacle: string | null;
  mark: Marked;
  digest: string;
}

/** Records that lead a client somewhere: the other kinds under a name are no concern of a move. */
const LEADING = ['A', 'AAAA', 'CNAME', 'HTTPS', 'SVCB'];
/** What an automatic TTL of a record that is not proxied is, in seconds. */
const AUTOMATIC_TTL_S = 300;

export async function readDns(
  api: DnsApi,
  config: DnsConfig,
  contents: Record<RegionName, string>,
  context: Pick<DriverContext, 'signal'>,
): Promise<DnsState> {
  const { zoneId: zone_id, name, recordType, nameServers } = config;
  const asking = askAuthorities(nameServers, name, recordType, context.signal);
  // Not left to itself when the list fails.
  asking.catch(() => undefined);
  const found = await api.list<DnsRecord>('dns.records.list', (client, page, options) =>
    client.dns.records.list({ zone_id, name: { exact: name }, ...page }, options),
  );
  const records = found.filter(({ type }) => LEADING.includes(type));
  const own = records.filter(({ type }) => type === recordType);
  const record = own.length === 1 ? own[0]! : null;
  const base = {
    record,
    records,
    mark: readMark(record?.comment),
    digest: record === null ? '' : settingsDigest(record),
  };
  if (record === null) {
    const obstacle =
      own.length === 0
        ? `the zone has no record ${name} of type ${recordType}`
        : `${name} has ${own.length} records of type ${recordType}, and clients get all of them`;
    return { ...base, weights: null, problems: [obstacle], obstacle };
  }
  const content = canonical(record.content ?? '');
  const region = Object.keys(contents).find((one) => canonical(contents[one]!) === content);
  const problems = deviations(await asking, content);
  if (region === undefined) problems.push(`${name} points at ${content}, which is no region of it`);
  const weights = region === undefined ? null : wholeTo(Object.keys(contents), region);
  return { ...base, weights, problems, obstacle: null };
}

/** Of what a move sets; the TTL is not part of it. */
export function settingsDigest({ type, content = '', proxied = false }: DnsRecord): string {
  return digestOf([type, canonical(content), proxied]);
}

/** How long resolvers keep the record, in milliseconds. */
export function ttlOf({ ttl, proxied }: DnsRecord): number {
  if (proxied) return 0;
  return (ttl === 1 ? AUTOMATIC_TTL_S : ttl) * 1000;
}
