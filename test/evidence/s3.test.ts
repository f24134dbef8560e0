/**
 * The report store in a bucket. On a stand-in always; on a real S3-compatible server as well where RAMPART_TEST_S3 holds
 * `{"endpoint":"http://127.0.0.1:5566","bucket":"reports","accessKeyId":"test","secretAccessKey":"test"}`.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fileReport } from '../../clients/reports/file.ts';
import { openStorage } from '../../clients/reports/open.ts';
import type { ReportStorage } from '../../clients/reports/storage.ts';
import { verifyReports } from '../../clients/reports/verify.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { ReportStore } from '../../topology/model.ts';
import { type FakeS3, fakeS3, KEY } from './fake-s3.ts';
import { plannedFailover, waiting } from './records.ts';

type S3 = Extract<ReportStore, { kind: 's3' }>;
interface Given {
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}

const SECRETS: Record<string, string> = {};
const secret = async (reference: string): Promise<string> => SECRETS[reference]!;
const run = (n: number | string): RunRecord => ({ ...plannedFailover(), runId: `run-${n}` });
const real = process.env.RAMPART_TEST_S3;

function storeIn({ endpoint, bucket, accessKeyId, secretAccessKey }: Given, prefix: string): ReportStorage {
  Object.assign(SECRETS, { '${env:ID}': accessKeyId, '${env:SECRET}': secretAccessKey });
  const keys = { accessKeyId: '${env:ID}', secretAccessKey: '${env:SECRET}' };
  const config: S3 = { kind: 's3', bucket, prefix, endpoint, region: 'us-east-1', pathStyle: true, ...keys };
  return openStorage(config, secret);
}

let fake: FakeS3;
let fresh = 0;
const onFake = (over: Partial<Given> = {}) =>
  storeIn(
    { endpoint: fake.endpoint, bucket: 'reports', accessKeyId: KEY.id, secretAccessKey: KEY.secret, ...over },
    `t${fresh}/`,
  );
beforeAll(async () => {
  fake = await fakeS3('reports');
});
afterAll(() => fake.close());
afterEach(() => {
  fresh += 1;
  fake.faults.ignoresConditions = false;
});

describe.each([
  ['a stand-in', () => onFake()],
  ...(real === undefined
    ? []
    : [['a real server', () => storeIn(JSON.parse(real) as Given, `t${Date.now()}-${fresh}/`)] as const]),
] as const)('a bucket on %s', (_, open) => {
  it('keeps reports as they were filed, in a chain', async () => {
    const storage = open();
    expect(await storage.services()).toBeNull();
    for (const n of [1, 2, 3, 4, 5]) expect((await fileReport(storage, run(n))).number).toBe(n);
    expect(await fileReport(storage, run(2))).toMatchObject({ number: 2, already: true });
    await expect(fileReport(storage, waiting())).rejects.toThrow(/is not over/);
    expect(await storage.services()).toEqual(['checkout']);
    expect(await storage.files('checkout', 3)).toEqual([
      ...['manifest.json', 'report.html', 'report.json', 'report.junit.xml', 'report.md'],
    ]);
    expect(await verifyReports(storage, 'checkout')).toMatchObject({ reports: 5, problems: [], notes: [] });
  });

  it('gives every number once when many file at the same time, each through a connection of its own', async () => {
    const storages = Array.from({ length: 4 }, open);
    // What the workers of several regions do: all of them file all runs.
    await Promise.all(storages.flatMap((storage) => [1, 2, 3].map((n) => fileReport(storage, run(n)))));
    const { reports, problems } = await verifyReports(storages[0]!, 'checkout');
    expect([reports, problems]).toEqual([3, []]);
  });
});

describe('in a bucket', () => {
  const names = async (storage: ReportStorage): Promise<string[]> =>
    (await verifyReports(storage, 'checkout')).problems.map(({ kind, file }) => `${kind} ${file}`);
  const keyOf = (part: string): string =>
    [...fake.objects.keys()].find((key) => key.startsWith(`t${fresh}/`) && key.includes(part))!;
  const three = async (): Promise<ReportStorage> => {
    const storage = onFake();
    for (const n of [1, 2, 3]) await fileReport(storage, run(n));
    return storage;
  };

  it('one changed byte is found, of a file and of a manifest', async () => {
    const storage = await three();
    const html = keyOf('000002-');
    const before = fake.objects.get(html)!;
    fake.objects.set(html, Buffer.concat([before.subarray(0, 99), Buffer.from('~'), before.subarray(100)]));
    expect(await names(storage)).toEqual([expect.stringMatching(/^changed checkout\/000002-\*\/report\./)]);
    fake.objects.set(html, before);
    const manifest = keyOf('000002.manifest.json');
    fake.objects.set(manifest, Buffer.from(String(fake.objects.get(manifest)).replace('planned', 'plannee')));
    expect(await names(storage)).toContain('changed checkout/000002.manifest.json');
  });

  it('a report that is gone is missing, in the middle and at the end, and its number is not given again', async () => {
    const storage = await three();
    fake.objects.delete(keyOf('000003.manifest.json'));
    expect(await names(storage)).toEqual(['missing checkout/000003.manifest.json']);
    // Known by its files: filed again it would be there twice once that is mended.
    expect(await fileReport(storage, run(3))).toMatchObject({ number: 3, already: true });
    expect((await fileReport(storage, run(4))).number).toBe(4);
    for (const key of [...fake.objects.keys()]) if (key.includes('/000001')) fake.objects.delete(key);
    expect(await names(storage)).toContain('missing checkout/000001-*');
  });

  it('two that changed places, and one that was put in, are found', async () => {
    const storage = await three();
    const [a, b] = [keyOf('000001.manifest.json'), keyOf('000002.manifest.json')];
    const [one, two] = [fake.objects.get(a)!, fake.objects.get(b)!];
    fake.objects.set(a, two);
    fake.objects.set(b, one);
    expect((await names(storage)).filter((name) => name.startsWith('reordered'))).toHaveLength(2);
    fake.objects.set(a, one);
    fake.objects.set(b, two);
    fake.objects.set(`t${fresh}/checkout/notes.txt`, Buffer.from('x'));
    expect(await names(storage)).toEqual(['inserted checkout/notes.txt']);
  });

  it('an answer that is lost after the write files the run once', async () => {
    const storage = onFake();
    fake.faults.losesAnswers = { ending: '000001.manifest.json', times: 1 };
    expect(await fileReport(storage, run(1))).toMatchObject({ number: 1, already: true });
    expect(await verifyReports(storage, 'checkout')).toMatchObject({ reports: 1, problems: [], notes: [] });
  });

  it('a conflict of two at one moment is tried again', async () => {
    const storage = onFake();
    await fileReport(storage, run(1));
    fake.faults.conflicts = 2;
    expect(await fileReport(storage, run(2))).toMatchObject({ number: 2, already: false });
  });

  it('nothing is filed where the store would let two filings overwrite each other', async () => {
    fake.faults.ignoresConditions = true;
    const storage = onFake();
    await expect(fileReport(storage, run(1))).rejects.toThrow(/does not honour conditional writes/);
    expect([...fake.objects.keys()].filter((key) => key.includes(`t${fresh}/checkout`))).toEqual([]);
  });

  it.each([
    [{ bucket: 'nowhere' }, /^s3:\/\/nowhere at http.*: cannot list .*NoSuchBucket.*create the bucket/],
    [{ accessKeyId: 'WRONG' }, /AccessDenied.*the credentials need s3:ListBucket/],
  ])('%j is said so that somebody can mend it, without a key', async (over, text) => {
    const error = await onFake(over)
      .services()
      .catch((thrown: unknown) => thrown);
    expect(String((error as Error).message)).toMatch(text);
    expect(String((error as Error).stack)).not.toContain(KEY.secret);
  });
});
