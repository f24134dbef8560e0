/**
 * A stand-in for Amazon S3 that knows what the report store needs: objects, `If-None-Match: *`, listings in pages, the
 * store's own errors. It is no real S3: test/evidence/s3.test.ts runs against one where RAMPART_TEST_S3 names it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeS3 {
  endpoint: string;
  objects: Map<string, Buffer>;
  /** What it does wrong. */
  faults: {
    /** Takes every write, whatever its condition: as old stores do. */
    ignoresConditions: boolean;
    /** Does so many writes of a key that ends so, and breaks the connection instead of answering. */
    losesAnswers: { ending: string; times: number };
    /** Answers so many conditional writes with 409, having done nothing. */
    conflicts: number;
  };
  close(): Promise<void>;
}

/** Keys of a page of a listing: few, so that every listing has several. */
const PAGE = 3;
export const KEY = { id: 'AKIDEXAMPLE', secret: 'example-secret' };

export async function fakeS3(bucket: string): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const faults: FakeS3['faults'] = {
    ignoresConditions: false,
    losesAnswers: { ending: '', times: 0 },
    conflicts: 0,
  };
  const server = createServer((request, response) => {
    void answer(request, response).catch(() => request.socket.destroy());
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url!, 'http://localhost');
    const [, name, key] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(url.pathname)) ?? [];
    const body = await bodyOf(request);
    const fail = (status: number, code: string): void => {
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    };
    if (!request.headers.authorization?.includes(`Credential=${KEY.id}/`)) return fail(403, 'AccessDenied');
    if (name !== bucket) return fail(404, 'NoSuchBucket');
    if (request.method === 'GET' && key === '') return void response.end(listing(objects, url.searchParams));
    if (request.method === 'GET') {
      const found = objects.get(key!);
      return found === undefined ? fail(404, 'NoSuchKey') : void response.end(found);
    }
    const conditional = request.headers['if-none-match'] === '*';
    if (conditional && faults.conflicts > 0) {
      faults.conflicts -= 1;
      return fail(409, 'ConditionalRequestConflict');
    }
    if (conditional && objects.has(key!) && !faults.ignoresConditions) return fail(412, 'PreconditionFailed');
    objects.set(key!, body);
    if (faults.losesAnswers.times > 0 && key!.endsWith(faults.losesAnswers.ending)) {
      faults.losesAnswers.times -= 1;
      request.socket.destroy();
      return;
    }
    response.writeHead(200, { etag: '"0"' }).end();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    faults,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function listing(objects: ReadonlyMap<string, Buffer>, query: URLSearchParams): string {
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
  const entries = [...objects.keys()]
    .filter((key) => key.startsWith(prefix))
    .map((key) => {
      const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      return end < 0 ? key : key.slice(0, end + 1);
    });
  const all = [...new Set(entries)].sort();
  const from = Number(query.get('continuation-token') ?? 0);
  const page = all.slice(from, from + PAGE);
  const more = from + PAGE < all.length;
  const items = page.map((one) =>
    delimiter !== '' && one.endsWith(delimiter)
      ? `<CommonPrefixes><Prefix>${one}</Prefix></CommonPrefixes>`
      : `<Contents><Key>${one}</Key></Contents>`,
  );
  return `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${from + PAGE}</NextContinuationToken>` : ''}${items.join('')}</ListBucketResult>`;
}
