/**
 * A DNS server over UDP that answers from record sets by Route 53's rules: weights in turn instead of by chance, roles,
 * latency for one place of clients, and the rule that all unhealthy counts as all healthy ("How Amazon Route 53 chooses
 * records when health checking is configured", Developer Guide).
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import type { FakeRecord } from './route53.ts';

const TYPES: Record<number, string> = { 1: 'A', 2: 'NS', 5: 'CNAME', 16: 'TXT', 28: 'AAAA' };
const CODES = Object.fromEntries(Object.entries(TYPES).map(([code, type]) => [type, Number(code)]));
const NXDOMAIN = 3;
const REFUSED = 5;

export interface DnsSource {
  /** Record sets that are served now. */
  records(): FakeRecord[] | Promise<FakeRecord[]>;
  isHealthy(check: string | undefined): boolean;
  /** Regions of AWS, nearest to the askers first; decides between latency records. */
  nearest?: string[];
}

export class FakeDns {
  /** Nobody answers. */
  mute = false;
  /** Questions that were answered. */
  asked = 0;
  readonly #socket: Socket;
  readonly #source: DnsSource;
  /** What each weighted record is owed: the one that is owed most is answered next. */
  readonly #owed = new Map<string, number>();

  private constructor(socket: Socket, source: DnsSource) {
    this.#socket = socket;
    this.#source = source;
    socket.on('message', (message, from) => void this.#answer(message, from));
  }

  static async start(source: DnsSource): Promise<FakeDns> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new FakeDns(socket, source);
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #choose(found: readonly FakeRecord[]): FakeRecord | undefined {
    const well = found.filter((one) => this.#source.isHealthy(one.healthCheck));
    if (found.some((one) => one.weight !== undefined)) return this.#byWeight(found, well);
    if (found.some((one) => one.failover !== undefined)) {
      const primary = found.find((one) => one.failover === 'PRIMARY');
      const secondary = found.find((one) => one.failover === 'SECONDARY');
      if (primary && well.includes(primary)) return primary;
      return secondary && well.includes(secondary) ? secondary : (primary ?? secondary);
    }
    const from = well.length > 0 ? well : found;
    const far = (one: FakeRecord) => (this.#source.nearest ?? []).indexOf(one.region ?? '');
    return from.toSorted((a, b) => far(a) - far(b))[0];
  }

  /** Records of weight 0 count only when no healthy one has a weight; all zero is equal; none healthy is all healthy. */
  #byWeight(found: readonly FakeRecord[], well: readonly FakeRecord[]): FakeRecord | undefined {
    const loaded = well.filter((one) => one.weight! > 0);
    const idle = well.filter((one) => one.weight === 0);
    const positive = found.filter((one) => one.weight! > 0);
    const from = [loaded, idle, positive, found].find((group) => group.length > 0) ?? [];
    const key = (one: FakeRecord) => `${one.name} ${one.type} ${one.id}`;
    const sum = from.reduce((total, one) => total + (one.weight || 1), 0);
    for (const one of from) this.#owed.set(key(one), (this.#owed.get(key(one)) ?? 0) + (one.weight || 1));
    const next = from.toSorted((a, b) => this.#owed.get(key(b))! - this.#owed.get(key(a))!)[0];
    if (next !== undefined) this.#owed.set(key(next), this.#owed.get(key(next))! - sum);
    return next;
  }

  async #answer(message: Buffer, from: RemoteInfo): Promise<void> {
    if (this.mute) return;
    const { name, type, end } = readQuestion(message);
    const all = await this.#source.records();
    const records: Array<{ type: string; ttl: number; value: string }> = [];
    const known = this.#resolve(all, name, type, records, 60);
    const header = Buffer.from(message.subarray(0, 12));
    // An answer, authoritative, recursion as asked; one question, no additional records.
    header.writeUInt16BE((0x8400 | (message.readUInt16BE(2) & 0x0100)) + (known ? 0 : NXDOMAIN), 2);
    if (type === undefined) header.writeUInt16BE(0x8400 + REFUSED, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    header.writeUInt32BE(0, 8);
    const body = records.map(encodeRecord);
    this.asked += 1;
    this.#socket.send(Buffer.concat([header, message.subarray(12, end), ...body]), from.port, from.address);
  }

  #resolve(
    all: readonly FakeRecord[],
    name: string,
    type: string | undefined,
    into: Array<{ type: string; ttl: number; value: string }>,
    aliasTtl: number,
  ): boolean {
    const named = all.filter((one) => one.name === name);
    const found = named.filter((one) => one.type === type);
    const next = this.#choose(found);
    if (next?.alias !== undefined) return this.#resolve(all, next.alias.name, type, into, aliasTtl);
    for (const value of next?.values ?? []) into.push({ type: next!.type, ttl: next!.ttl ?? aliasTtl, value });
    return named.length > 0;
  }
}

function readQuestion(message: Buffer): { name: string; type: string | undefined; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES[message.readUInt16BE(at + 1)], end: at + 5 };
}

function encodeRecord({ type, ttl, value }: { type: string; ttl: number; value: string }): Buffer {
  const data = encodeValue(type, value);
  // The name is a pointer to the question.
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(CODES[type]!, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeValue(type: string, value: string): Buffer {
  if (type === 'A') return Buffer.from(value.split('.').map(Number));
  if (type === 'AAAA') return ipv6(value);
  const labels = value.replace(/\.$/, '').split('.');
  return Buffer.concat([
    ...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')),
    Buffer.alloc(1),
  ]);
}

function ipv6(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const middle = tail === undefined ? 0 : 8 - before.length - after.length;
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...before, ...new Array<number>(middle).fill(0), ...after].entries())
    bytes.writeUInt16BE(group, index * 2);
  return bytes;
}
