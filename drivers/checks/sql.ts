/** A question asked of a PostgreSQL database: the first value of the first row, in a read-only transaction. */
import { z } from 'zod';
import type { Component } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import type { Check, Driver, DriverContext } from '../ports.ts';
import { reveal } from '../secrets.ts';
import { expectationSchema, judgeLatency, judgeValue, resultOf, showExpectation, together, type Verdict } from '../verdict.ts'; // biome-ignore format: one import

const configSchema = z.strictObject({
  query: z
    .string()
    .min(1)
    .meta({
      description: 'One statement; the first value of its first row counts',
      examples: ["SELECT count(*) FROM jobs WHERE state = 'stuck'"],
    }),
  expect: expectationSchema,
  user: z
    .string()
    .min(1)
    .default('postgres')
    .meta({ description: 'Role to connect as', examples: ['rampart'] }),
  password: secretSchema.optional().meta({ description: 'Its password' }),
  database: z.string().min(1).default('postgres').meta({ description: 'Database to connect to' }),
  ssl: z
    .enum(['disable', 'require', 'verify-full'])
    .default('disable')
    .meta({ description: 'require encrypts; verify-full also checks the certificate' }),
  latency: durationBetween(1, 600_000)
    .optional()
    .meta({ description: 'Longest time from connecting to the answer', examples: ['500ms'] }),
  timeout: durationBetween(10, 600_000)
    .prefault('5s')
    .meta({ description: 'Longest wait for an answer; after it the outcome is unknown', examples: ['5s'] }),
});
type SqlConfig = z.output<typeof configSchema>;

const nodeSchema = z.strictObject({
  url: secretSchema
    .optional()
    .meta({ description: 'Whole connection string, instead of the other fields', examples: ['${env:ORDERS_URL}'] }),
  host: z
    .string()
    .min(1)
    .optional()
    .meta({ examples: ['10.1.0.5'] }),
  port: z.int().min(1).max(65_535).optional().meta({ description: '5432 when absent' }),
});
type SqlNode = z.output<typeof nodeSchema>;

export const sqlCheck: Driver<'check'> = {
  type: 'sql',
  role: 'check',
  summary: 'PostgreSQL: one value of one query',
  config: configSchema,
  node: nodeSchema,
  secrets: ['password', 'url'],
  capabilities: () => ({ role: 'check' }),
  local: () => false,
  validate(component) {
    return Object.values(component.sides)
      .filter(({ nodes }) => nodes.some(({ config }) => config.url === undefined && config.host === undefined))
      .map(({ region }) => ({
        path: ['sides', region],
        message: 'needs a `host` or a `url`',
        code: 'check_address_missing',
      }));
  },
  open: openSql,
};

function openSql(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as SqlConfig;

  async function ask(node: SqlNode): Promise<Verdict> {
    const threshold = `value ${showExpectation(config.expect)}`;
    const given = { ...(node.url && { url: node.url }), ...(config.password && { password: config.password }) };
    const { values, redact } = await reveal(given, context);
    try {
      const { row, ms } = await firstRow(config, node, values, context.signal);
      if (row === undefined) return { outcome: 'fail', observed: 'no row', threshold, detail: '' };
      return together([judgeValue('value', row.value, config.expect), judgeLatency(ms, config.latency)]);
    } catch (error) {
      context.signal.throwIfAborted();
      const { message, code } = error as Error & { code?: string };
      const detail = redact(`${message || 'connection failed'}${code === undefined ? '' : ` (${code})`}`);
      const unserved = unservedBy(code);
      return { outcome: 'unknown', observed: 'no answer', threshold, detail, ...(unserved && { unserved }) };
    }
  }

  return {
    async run(region) {
      const nodes = component.sides[region]?.nodes ?? [];
      const verdicts = await Promise.all(
        nodes.map(async ({ name, config: node }) => ({ name, verdict: await ask(node as SqlNode) })),
      );
      return resultOf(verdicts, context.now());
    },
  };
}

/**
 * What an error says of the server. A SQLSTATE is its own word: 57P (it starts, stops or has crashed), 57014 (not done
 * in time), 53 (no room left) and 58 (its machine fails) say that it does not serve; every other one is about the
 * question. Without a SQLSTATE nobody answered. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
function unservedBy(code: string | undefined): Verdict['unserved'] {
  if (code === undefined || !/^(?=.*\d)[0-9A-Z]{5}$/.test(code)) return 'silent';
  return /^(57P|57014|53|58)/.test(code) ? 'answered' : undefined;
}

/** Type ids of `bigint` and `numeric`, which pg hands over as text because they may exceed a number. */
const BIGINT = 20;
const NUMERIC = 1700;

async function firstRow(
  config: SqlConfig,
  node: SqlNode,
  secrets: Record<string, string>,
  signal: AbortSignal,
): Promise<{ row: { value: unknown } | undefined; ms: number }> {
  signal.throwIfAborted();
  const { Client } = (await import('pg')).default;
  const { user, database, timeout } = config;
  const address =
    secrets.url === undefined
      ? { host: node.host, port: node.port ?? 5432, user, database, password: secrets.password }
      : { connectionString: secrets.url };
  const client = new Client({
    ...address,
    ...(config.ssl === 'disable' ? {} : { ssl: { rejectUnauthorized: config.ssl === 'verify-full' } }),
    application_name: 'rampart check',
    connectionTimeoutMillis: timeout,
  });
  // A server that hangs answers neither the query nor the goodbye, so the socket itself is closed.
  const cut = () => socketOf(client).destroy();
  const timer = setTimeout(cut, timeout);
  signal.addEventListener('abort', cut, { once: true });
  client.on('error', () => undefined);
  const started = performance.now();
  try {
    await client.connect();
    await client.query('BEGIN READ ONLY');
    await client.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.ceil(timeout))}`);
    // The extended protocol takes one statement only: nothing can end the transaction and go on.
    const query = { text: config.query, rowMode: 'array' as const, queryMode: 'extended' as const };
    const { rows, fields } = await client.query<unknown[]>(query);
    const ms = performance.now() - started;
    await client.end();
    const value = rows[0]?.[0];
    const numeric = [BIGINT, NUMERIC].includes(fields[0]?.dataTypeID ?? 0);
    const row = rows[0] && { value: numeric && typeof value === 'string' ? Number(value) : value };
    return { row, ms };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cut);
    cut();
  }
}

function socketOf(client: unknown): { destroy(): void } {
  return (client as { connection: { stream: { destroy(): void } } }).connection.stream;
}
