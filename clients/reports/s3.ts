/**
 * The report store in a bucket of Amazon S3 or of a store that speaks its language:
 *
 *     <prefix>checkout/000001.manifest.json            created with `If-None-Match: *`: this is what counts
 *     <prefix>checkout/000001-<12 digits>/report.html  files of the report; the digits begin its manifest's SHA-256
 *     <prefix>checkout/chain/000001-<SHA-256>          an empty object per report: the mark
 *
 * The files go first, into a folder that only this very manifest leads to. Creating the manifest fails when the number
 * is taken, so two processes never file under the same one, and a crash leaves nothing that counts.
 */
import type { ReportStore } from '../../topology/model.ts';
import { digits, named } from './folder.ts';
import { MANIFEST, sha256 } from './manifest.ts';
import { type Bucket, openBucket } from './s3-bucket.ts';
import type { Listed, Marks, ReportStorage } from './storage.ts';

/** Digits of a manifest's hash in the name of its folder: enough that no two of one number share it. */
const FOLDER_DIGITS = 12;

export type S3Config = Extract<ReportStore, { kind: 's3' }>;

/** @param secret gives the value of a reference; its errors name the reference and no value */
export function s3Storage(config: S3Config, secret: (reference: string) => Promise<string>): ReportStorage {
  const where = `s3://${config.bucket}/${config.prefix}`;
  let opened: Promise<Bucket> | null = null;
  const bucket = (): Promise<Bucket> => {
    opened ??= openBucket(config, secret).catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return opened;
  };
  const below = (service: string): string => `${config.prefix}${named(service)}/`;
  const manifestKey = (service: string, number: number): string => `${below(service)}${digits(number)}.${MANIFEST}`;
  const folder = (service: string, number: number, hash: string): string =>
    `${below(service)}${digits(number)}-${hash.slice(0, FOLDER_DIGITS)}/`;

  const marks = async (service: string): Promise<Marks> => {
    const base = `${below(service)}chain/`;
    const byNumber = new Map<number, string[]>();
    const garbled: Array<{ line: number; text: string }> = [];
    const { keys } = await (await bucket()).list(base);
    for (const [i, key] of keys.map((one) => one.slice(base.length)).entries()) {
      const [, number, hash] = /^(\d{6,15})-([0-9a-f]{64})$/.exec(key) ?? [];
      if (number === undefined) garbled.push({ line: i + 1, text: key.slice(0, 100) });
      else byNumber.set(Number(number), [...(byNumber.get(Number(number)) ?? []), hash!]);
    }
    return { byNumber, garbled };
  };

  /** Folders that a report's files may be in: as its manifest says now, and as it said when it was filed. */
  const folders = async (service: string, number: number): Promise<string[]> => {
    const [manifest, { byNumber }] = await Promise.all([
      (await bucket()).get(manifestKey(service, number)),
      marks(service),
    ]);
    const hashes = [...(byNumber.get(number) ?? []), ...(manifest === null ? [] : [sha256(manifest)])];
    return [...new Set(hashes.map((hash) => folder(service, number, hash)))];
  };

  return {
    where,
    nameOf: (service, number, file) =>
      file === MANIFEST
        ? `${service}/${digits(number)}.${MANIFEST}`
        : [service, `${digits(number)}-*`, ...(file === undefined ? [] : [file])].join('/'),
    marksName: (service) => `${service}/chain/`,

    async services() {
      const { folders: found } = await (await bucket()).list(config.prefix, '/');
      return found.length === 0 ? null : found.map((key) => key.slice(config.prefix.length, -1)).sort();
    },

    async list(service): Promise<Listed> {
      const base = below(service);
      const [{ keys, folders: found }, { byNumber }] = await Promise.all([
        (await bucket()).list(base, '/'),
        marks(service),
      ]);
      // A report that was filed and whose manifest is gone is still there.
      const filed = [...byNumber].filter(([number, hashes]) =>
        hashes.some((hash) => found.includes(folder(service, number, hash))),
      );
      const numbers = new Set(filed.map(([number]) => number));
      const strangers: string[] = [];
      for (const name of keys.map((key) => key.slice(base.length))) {
        const [, number] = /^(\d{6,15})\.manifest\.json$/.exec(name) ?? [];
        if (number !== undefined && digits(Number(number)) === number) numbers.add(Number(number));
        else strangers.push(name);
      }
      // A folder that no manifest leads to is what a filing left that came second, or was cut off.
      for (const name of found.map((key) => key.slice(base.length)))
        if (name !== 'chain/' && !/^\d{6,15}-[0-9a-f]{12}\/$/.test(name)) strangers.push(name);
      return { numbers: [...numbers].sort((a, b) => a - b), strangers: strangers.sort() };
    },

    async files(service, number) {
      const store = await bucket();
      const found = await Promise.all(
        (await folders(service, number)).map(async (base) =>
          (await store.list(base)).keys.map((key) => key.slice(base.length)),
        ),
      );
      return [...new Set(found.flat()), MANIFEST].sort();
    },

    async read(service, number, file) {
      const store = await bucket();
      if (file === MANIFEST) return store.get(manifestKey(service, number));
      for (const base of await folders(service, number)) {
        const bytes = await store.get(`${base}${file}`);
        if (bytes !== null) return bytes;
      }
      return null;
    },

    async put(service, number, files) {
      const store = await bucket();
      const manifest = files.get(MANIFEST)!;
      await store.mustBeExclusive(`${config.prefix}.rampart-exclusive`);
      const base = folder(service, number, sha256(manifest));
      for (const [name, bytes] of files) if (name !== MANIFEST) await store.put(`${base}${name}`, bytes);
      return store.create(manifestKey(service, number), manifest);
    },

    async mark(service, number, hash) {
      await (await bucket()).put(`${below(service)}chain/${digits(number)}-${hash}`, new Uint8Array());
    },

    marks,
  };
}
