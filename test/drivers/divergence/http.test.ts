/** Two HTTP sources on local servers: pages, a token, and everything that is no list of rows. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { compareOnce } from '../../../activities/divergence.ts';
import type { ComparisonRecord } from '../../../evidence/comparison-record.ts';
import type { Comparison } from '../../../topology/divergence.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/rows`;
}

const json = (body: unknown) => (_: IncomingMessage, response: ServerResponse) =>
  void response.end(JSON.stringify(body));

const compareHttp = (left: string, right: string, over: Partial<Comparison> = {}): Promise<ComparisonRecord> =>
  compareOnce(
    {
      ...{ name: 'orders', service: 'checkout', table: null, query: null, key: ['id'], columns: null, timestamp: 'at' },
      sides: [
        { region: 'west', source: { kind: 'http', url: left, token: '${env:TOKEN}' } },
        { region: 'central', source: { kind: 'http', url: right, token: null } },
      ],
      ...{
        samplePercent: 100,
        everyMs: 60_000,
        settleMs: 1,
        maxRows: 200,
        concurrency: 2,
        timeoutMs: 5_000,
        lagSloMs: 60_000,
      },
      ...over,
    },
    'round',
    {
      ...{ signal: new AbortController().signal, now: () => Date.now(), heartbeat: () => undefined },
      secret: async (ref) => (ref === '${env:TOKEN}' ? 's3cret' : ref),
    },
  );

const row = (id: number, total: number, at = '2026-11-01T10:00:00Z') => ({ id, total, at, note: null });

test('finds what differs, over pages, with a token, in whatever order rows come', async () => {
  const pages: Record<string, unknown> = {
    '': { rows: [row(10, 1), row(9, 1)], next: 'p2' },
    p2: { rows: [row(2, 5, '2026-11-01T09:00:00Z'), row(3, 7)], next: null },
  };
  const west = await serve((request, response) => {
    if (request.headers.authorization !== 'Bearer s3cret') return void response.writeHead(401).end();
    const cursor = new URL(request.url!, 'http://x').searchParams.get('cursor') ?? '';
    response.end(JSON.stringify(pages[cursor]));
  });
  const central = await serve(json([row(2, 6), row(3, 8), row(9, 1), row(11, 1)]));
  const record = await compareHttp(west, central);
  expect(record.keys).toEqual([
    {
      key: ['2'],
      kind: 'firstWriteWins',
      region: 'west',
      at: { west: Date.parse('2026-11-01T09:00:00Z'), central: Date.parse('2026-11-01T10:00:00Z') },
    },
    { key: ['3'], kind: 'conflict', region: null, at: expect.anything() },
    { key: ['10'], kind: 'missing', region: 'central', at: expect.anything() },
    { key: ['11'], kind: 'missing', region: 'west', at: expect.anything() },
  ]);
  expect(record).toMatchObject({
    complete: true,
    rows: { west: 4, central: 4 },
    counts: { missing: { west: 1, central: 1 } },
  });
  expect(JSON.stringify(record)).not.toContain('s3cret');
});

test('what arrives between two looks is no divergence, and is the lag', async () => {
  let asked = 0;
  const late = row(1, 1, new Date(Date.now() - 5_000).toISOString());
  const west = await serve(json([late]));
  const central = await serve((_, response) => {
    asked += 1;
    response.end(JSON.stringify(asked === 1 ? [] : [late]));
  });
  const record = await compareHttp(west, central);
  expect(record).toMatchObject({ keys: [], complete: true, counts: { settled: 1 } });
  expect(record.lagAtLeastMs).toBeGreaterThanOrEqual(5_000);
});

test.each([
  ['an error', (_: IncomingMessage, r: ServerResponse) => void r.writeHead(500).end(), /west: HTTP 500/],
  ['no JSON', (_: IncomingMessage, r: ServerResponse) => void r.end('<html>'), /the answer is no JSON/],
  ['no list', json({ items: [] }), /no list of objects/],
  ['a list of something else', json([1]), /no list of objects/],
  ['a row without its key', json([{ total: 1 }]), /no value for the key id/],
  ['a key twice', json([row(1, 1), row(1, 2)]), /more than one row with the key 1/],
  ['too many rows', json(Array.from({ length: 201 }, (_, i) => row(i, 1))), /more than 200 rows/],
  ['a next page for ever', json({ rows: [row(1, 1)], next: 'again' }), /more than 200 rows/],
  ['a refusal', (_: IncomingMessage, r: ServerResponse) => void r.writeHead(403).end(), /refused \(HTTP 403\)/],
])('%s is said', async (_, answer, said) => {
  await expect(compareHttp(await serve(answer), await serve(json([row(1, 1)])))).rejects.toThrow(said);
});

test('an address where nobody listens is said', async () => {
  const gone = await serve(json([]));
  await new Promise((resolve) => servers.shift()!.close(resolve));
  await expect(compareHttp(gone, await serve(json([])))).rejects.toThrow(/the rows of west are not to be had/);
});
