/** The `reports` section: where control workers file the reports of runs that are over. */
import { z } from 'zod';
import { INVALID, type Validator } from './issues.ts';
import type { ReportStore } from './model.ts';
import { secretSchema } from './scalars.ts';

const s3Schema = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'expected the name of a bucket')
    .meta({ description: 'Bucket', examples: ['rampart-evidence'] }),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9._-]+\/)+$/, 'expected folders that end with a slash, such as prod/ or evidence/prod/')
    .optional()
    .meta({ description: 'Before every key, ending with a slash', examples: ['prod/'] }),
  region: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Region of the bucket; default AWS_REGION', examples: ['eu-west-1'] }),
  endpoint: z
    .string()
    .regex(/^https?:\/\/[^/\s]+\/?$/, 'expected an address such as https://s3.example.com')
    .optional()
    .meta({ description: 'Address of a store that is not Amazon’s', examples: ['https://s3.example.com'] }),
  pathStyle: z
    .boolean()
    .optional()
    .meta({
      description: 'Bucket in the path and not in the host name; default: with an endpoint of its own',
      examples: [true],
    }),
  accessKeyId: secretSchema.optional().meta({
    description:
      'Access key; absent: as the AWS SDK finds credentials (variables, profile, role of the machine or pod)',
  }),
  secretAccessKey: secretSchema.optional().meta({ description: 'Its secret' }),
});

export const reportsSchema = z
  .strictObject({
    folder: z
      .string()
      .regex(/^\//, 'expected an absolute path: every control worker files there')
      .optional()
      .meta({
        description: 'A folder, the same for every control worker (a shared file system) or one for each of them',
        examples: ['/var/lib/rampart/reports'],
      }),
    s3: s3Schema.optional().meta({ description: 'A bucket of Amazon S3 or of a store that speaks its language' }),
    key: secretSchema.optional().meta({ description: 'Private key that signs reports, ed25519 in PEM' }),
  })
  .meta({
    description:
      'Where control workers file the report of every run and drill that is over, by themselves; absent: `rampart report file` does it by hand',
  });

/** @returns `undefined` when there is none, or when something is wrong with it, which is reported */
export function readReports(raw: unknown, validator: Validator): ReportStore | undefined {
  if (raw === undefined) return undefined;
  const given = validator.fields(reportsSchema, raw, ['reports']);
  if (given === INVALID || validator.isBroken(['reports'])) return undefined;
  const { folder, s3, key } = given;
  if ((folder === undefined) === (s3 === undefined))
    validator.report(['reports'], 'report_stores', 'name exactly one of folder, s3');
  if ((s3?.accessKeyId === undefined) !== (s3?.secretAccessKey === undefined))
    validator.report(['reports', 's3'], 'half_a_key', 'accessKeyId and secretAccessKey belong together');
  if (validator.isBroken(['reports'])) return undefined;
  const signed = key === undefined ? {} : { key };
  if (folder !== undefined) return { kind: 'folder', path: folder, ...signed };
  const { prefix = '', pathStyle = s3?.endpoint !== undefined, ...rest } = s3!;
  return { kind: 's3', ...rest, prefix, pathStyle, ...signed };
}
