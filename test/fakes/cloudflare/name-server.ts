/** An authoritative name server over UDP for the fake's zone: answers A, AAAA and CNAME from the records it is given. */
import { createSocket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import type { FakeRecord } from './dns-records.ts';

export interface FakeNameServer {
  /** `127.0.0.1:port`. */
  address: string;
  /** Questions that were answered, `name type`. */
  asked: string[];
  close(): Promise<void>;
}

const TYPES: Record<number, string> = { 1: 'A', 5: 'CNAME', 28: 'AAAA' };
const HEADER = 12;

/** @param records what it serves now; asked anew for every question. `null`: it answers nobody */
export async function startNameServer(records: () => FakeRecord[] | null): Promise<FakeNameServer> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const served = records();
    if (served === null) return;
    const { name, type, end } = question(query);
    asked.push(`${name} ${type}`);
    const answers = served.filter((record) => record.name === name && record.type === type).map(answerOf);
    const header = Buffer.alloc(HEADER);
    query.copy(header, 0, 0, 2);
    // Response, authoritative; NXDOMAIN when the name does not exist at all.
    header.writeUInt16BE(0x8400 | (served.some((record) => record.name === name) ? 0 : 3), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    socket.send(Buffer.concat([header, query.subarray(HEADER, end), ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(socket.address() as AddressInfo).port}`,
    asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function question(query: Buffer): { name: string; type: string; end: number } {
  const labels: string[] = [];
  let at = HEADER;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  return { name: labels.join('.').toLowerCase(), type: TYPES[type] ?? String(type), end: at + 5 };
}

/** The name is a pointer to the question's. */
function answerOf({ type, content, ttl }: FakeRecord): Buffer {
  const data =
    type === 'A' ? Buffer.from(content.split('.').map(Number)) : type === 'CNAME' ? nameData(content) : ip6(content);
  const head = Buffer.alloc(HEADER);
  head.writeUInt16BE(0xc000 | HEADER, 0);
  head.writeUInt16BE(Number(Object.keys(TYPES).find((number) => TYPES[Number(number)] === type)), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl === 1 ? 300 : ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function nameData(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function ip6(text: string): Buffer {
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const gap = Array<number>(8 - words(head).length - words(tail).length).fill(0);
  const all = text.includes('::') ? [...words(head), ...gap, ...words(tail)] : words(text);
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}
