/** DNS records of the fake: one transaction for a batch, in the documented order; TTLs and contents validated. */
import { isIPv4, isIPv6 } from 'node:net';
import { ApiError, type Call, onlyFields, type Page, paged } from './wire.ts';

export interface FakeRecord {
  id: string;
  zone_id: string;
  name: string;
  type: string;
  content: string;
  proxied: boolean;
  /** Seconds; 1 = automatic. */
  ttl: number;
  comment: string | null;
  modified_on: string;
}

const FIELDS = ['id', 'name', 'type', 'content', 'proxied', 'ttl', 'comment', 'tags'];
/** The plan with the shortest comments. */
const LONGEST_COMMENT = 100;

export class DnsRecords {
  records: FakeRecord[] = [];
  #lastId = 0;

  answer({ method, path, query, body }: Call): Page | undefined {
    const match = /^\/zones\/([^/]+)\/dns_records(\/batch)?$/.exec(path);
    if (match === null) return undefined;
    const zone = match[1]!;
    if (method === 'GET' && match[2] === undefined) {
      const name = query.get('name.exact');
      const type = query.get('type');
      const found = this.records.filter(
        (record) =>
          record.zone_id === zone && (name ?? record.name) === record.name && (type ?? record.type) === record.type,
      );
      return paged(found, query);
    }
    if (method === 'POST' && match[2] !== undefined) return { result: this.#batch(zone, body) };
    return undefined;
  }

  add(record: Omit<FakeRecord, 'id' | 'modified_on'>): FakeRecord {
    this.#lastId++;
    const id = this.#lastId.toString(16).padStart(32, '0');
    const added = { ...record, id, modified_on: new Date().toISOString() };
    this.records.push(added);
    return added;
  }

  /** Deletes, patches, puts, posts; the first error undoes everything. */
  #batch(zone: string, body: Record<string, unknown>): Record<string, FakeRecord[]> {
    onlyFields(body, ['deletes', 'patches', 'puts', 'posts']);
    const before = structuredClone(this.records);
    try {
      return {
        deletes: list(body.deletes).map((one) => this.#take(zone, one)),
        patches: list(body.patches).map((one) => this.#change(this.#find(zone, one), one)),
        // An overwrite: what is not given gets its default, proxied too.
        puts: list(body.puts).map((one) => {
          const blank = { proxied: false, ttl: 1, comment: null };
          return this.#change(this.#find(zone, one), { ...blank, ...one });
        }),
        posts: list(body.posts).map((one) => {
          const blank = { name: '', type: '', content: '', proxied: false, ttl: 1, comment: null };
          return this.#change(this.add({ ...blank, zone_id: zone }), one);
        }),
      };
    } catch (error) {
      this.records = before;
      throw error;
    }
  }

  #find(zone: string, { id }: Record<string, unknown>): FakeRecord {
    const found = this.records.find((record) => record.id === id && record.zone_id === zone);
    if (found === undefined) throw new ApiError(404, 81044, 'Record does not exist.');
    return found;
  }

  #take(zone: string, one: Record<string, unknown>): FakeRecord {
    const found = this.#find(zone, one);
    this.records = this.records.filter((record) => record !== found);
    return found;
  }

  #change(record: FakeRecord, change: Record<string, unknown>): FakeRecord {
    onlyFields(change, FIELDS);
    Object.assign(record, change, { modified_on: new Date().toISOString() });
    const { type, content, ttl, comment } = record;
    if (type === 'A' && !isIPv4(content)) {
      throw new ApiError(400, 9005, 'Content for A record must be a valid IPv4 address.');
    }
    if (type === 'AAAA' && !isIPv6(content)) {
      throw new ApiError(400, 9005, 'Content for AAAA record must be a valid IPv6 address.');
    }
    if (ttl !== 1 && (ttl < 60 || ttl > 86_400)) {
      throw new ApiError(400, 9021, 'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.');
    }
    if ((comment ?? '').length > LONGEST_COMMENT) throw new ApiError(400, 9207, 'The comment is too long.');
    const same = this.records.filter(
      (one) =>
        one.name === record.name && one.type === type && one.content === content && one.zone_id === record.zone_id,
    );
    if (same.length > 1) throw new ApiError(400, 81058, 'An identical record already exists.');
    if (record.proxied) record.ttl = 1;
    return record;
  }
}

function list(value: unknown): Array<Record<string, unknown>> {
  return Array.isArray(value) ? value : [];
}
