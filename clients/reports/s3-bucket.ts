/** The few calls of S3 that the report store needs. The AWS SDK is loaded when a bucket is named, and only then. */
import type { S3Config } from './s3.ts';

/** Version the exact install command names. */
const SDK = '@aws-sdk/client-s3';
/** Attempts of one call: a store that is away for longer is tried again by whoever files. */
const ATTEMPTS = 3;
const CALL_MS = 20_000;

export interface Bucket {
  /** Everything below a prefix; with a delimiter only what is directly in it. */
  list(prefix: string, delimiter?: string): Promise<{ keys: string[]; folders: string[] }>;
  /** @returns `null` when there is no such object */
  get(key: string): Promise<Uint8Array | null>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Creates an object that there is not. @returns false when there is one */
  create(key: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * @param key an object of the store's own, which stays
   * @throws Error when the store takes a second `If-None-Match: *` of the same key: two filings could overwrite each other
   */
  mustBeExclusive(key: string): Promise<void>;
}

/** @throws Error with the install command when the SDK is missing */
export async function openBucket(config: S3Config, secret: (reference: string) => Promise<string>): Promise<Bucket> {
  const { S3Client, GetObjectCommand, PutObjectCommand, ListObjectsV2Command } = await loadSdk();
  const { bucket: Bucket, accessKeyId, secretAccessKey } = config;
  const credentials =
    accessKeyId === undefined
      ? {}
      : {
          credentials: { accessKeyId: await secret(accessKeyId), secretAccessKey: await secret(secretAccessKey!) },
        };
  const client = new S3Client({
    ...credentials,
    ...(config.region === undefined ? {} : { region: config.region }),
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
    forcePathStyle: config.pathStyle,
    maxAttempts: ATTEMPTS,
    // Stores that are not Amazon's know no checksums in trailers; TLS and the chain's own hashes guard the bytes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const call = async <T>(what: string, work: (abortSignal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await work(AbortSignal.timeout(CALL_MS));
    } catch (error) {
      throw statusOf(error) === 404 || [409, 412].includes(statusOf(error)) ? error : said(error, what, config);
    }
  };
  const send = (Key: string, Body: Uint8Array, condition: { IfNoneMatch?: string }): Promise<unknown> =>
    call(`write ${Key}`, (abortSignal) =>
      client.send(
        new PutObjectCommand({ Bucket, Key, Body, ContentType: typeOf(Key), ContentLength: Body.length, ...condition }),
        { abortSignal },
      ),
    );
  const get = async (Key: string): Promise<Uint8Array | null> => {
    try {
      return await call(`read ${Key}`, async (abortSignal) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }), { abortSignal });
        return Body === undefined ? new Uint8Array() : await Body.transformToByteArray();
      });
    } catch (error) {
      if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return null;
      throw said(error, `read ${Key}`, config);
    }
  };
  const create = async (Key: string, bytes: Uint8Array): Promise<boolean> => {
    for (let i = 0; i < ATTEMPTS; i += 1) {
      try {
        await send(Key, bytes, { IfNoneMatch: '*' });
        return true;
      } catch (error) {
        if (statusOf(error) === 412) return false;
        // Another one is writing it at this moment: who of the two had it is known when it is there.
        if (statusOf(error) !== 409) throw said(error, `write ${Key}`, config);
        if ((await get(Key)) !== null) return false;
      }
    }
    throw new Error(`s3://${Bucket}/${Key}: others write it at the same time, and nobody succeeds`);
  };
  let exclusive = false;
  return {
    get,
    create,
    put: async (key, bytes) => {
      await send(key, bytes, {}).catch((error: unknown) => {
        throw said(error, `write ${key}`, config);
      });
    },
    list: async (Prefix, Delimiter) => {
      const keys: string[] = [];
      const folders: string[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await call(`list ${Prefix}`, (abortSignal) =>
          client.send(new ListObjectsV2Command({ Bucket, Prefix, Delimiter, ContinuationToken }), { abortSignal }),
        ).catch((error: unknown) => {
          throw said(error, `list ${Prefix}`, config);
        });
        keys.push(...(page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key])));
        folders.push(...(page.CommonPrefixes ?? []).flatMap(({ Prefix: one }) => (one === undefined ? [] : [one])));
        ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (ContinuationToken !== undefined);
      return { keys: keys.filter((key) => !key.endsWith('.rampart-exclusive')), folders };
    },
    mustBeExclusive: async (key) => {
      if (exclusive) return;
      await create(key, new Uint8Array());
      if (await create(key, new Uint8Array()))
        throw new Error(
          `${config.endpoint ?? 'the store'} does not honour conditional writes (If-None-Match): two workers could file over each other; use a store that does`,
        );
      exclusive = true;
    },
  };
}

async function loadSdk() {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(`a report store in a bucket needs the package ${SDK}: npm install ${SDK}@3.1169.0`);
  }
}

const statusOf = (error: unknown): number =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
const nameOf = (error: unknown): string => (error as { name?: string }).name ?? '';

const TYPES: Readonly<Record<string, string>> = {
  json: 'application/json',
  html: 'text/html; charset=utf-8',
  md: 'text/markdown; charset=utf-8',
  xml: 'application/xml',
};
const typeOf = (key: string): string => TYPES[key.slice(key.lastIndexOf('.') + 1)] ?? 'application/octet-stream';

/** An error of the SDK as a sentence for people; it holds no key and no signature. */
function said(error: unknown, what: string, { bucket, region, endpoint }: S3Config): Error {
  if (error instanceof Spoken) return error;
  const at = `s3://${bucket}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
  const name = nameOf(error);
  const message = error instanceof Error ? error.message.split('\n')[0]! : String(error);
  const hint =
    name === 'NoSuchBucket'
      ? 'create the bucket, or mend its name'
      : statusOf(error) === 403
        ? 'the credentials need s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on its objects'
        : statusOf(error) === 301
          ? `the bucket is not in ${region ?? 'the region of AWS_REGION'}`
          : /region/i.test(message)
            ? 'name the region of the bucket'
            : 'nothing is lost: what is not filed is tried again';
  return new Spoken(`${at}: cannot ${what}: ${name === '' ? '' : `${name}: `}${message} (${hint})`);
}

class Spoken extends Error {}
