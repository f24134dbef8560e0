/**
 * Rows of a PostgreSQL table or query. Digests are made on the server, so that only counts and hashes travel; the order
 * of keys is the one that no collation changes, and uses an index over them where their type has that order natively
 * (numbers, uuid, text with the collation C). Read-only sessions with a statement time-out.
 */
import type { Pool, QueryConfig, QueryResult } from 'pg';
import { RampartError } from '../errors.ts';
import type { Digest, Key, KeyOrder, Range, Row, RowSource } from './source.ts';

export interface SqlSourceOptions {
  region: string;
  /** Connection string, or the parts; secrets are resolved already. */
  url: string | null;
  host: string | null;
  port: number;
  user: string;
  password: string | null;
  database: string;
  ssl: 'disable' | 'require' | 'verify-full';
  table: string | null;
  query: string | null;
  key: string[];
  columns: string[] | null;
  timestamp: string | null;
  concurrency: number;
  timeoutMs: number;
  signal: AbortSignal;
}

/** How a key column is ordered, and what its bounds are cast to. */
interface KeyColumn {
  order: KeyOrder;
  /** The column as it is ordered. */
  expression: string;
  type: string;
}

interface Shape {
  columns: string[];
  keys: KeyColumn[];
}

const WHOLE = [20, 21, 23];
const FLOAT = [700, 701];
const NUMERIC = 1700;
const UUID = 2950;
const MOMENTS = [1114, 1184];

const ident = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export function sqlSource(options: SqlSourceOptions): RowSource {
  const { region, key, timestamp } = options;
  let pool: Promise<Pool> | null = null;
  let shape: Promise<Shape> | null = null;
  const base =
    options.query !== null
      ? `(${options.query.trim().replace(/;$/, '')}) AS q`
      : `${options.table!.split('.').map(ident).join('.')} AS q`;

  const ask = async (text: string, values: unknown[] = []): Promise<QueryResult> => {
    options.signal.throwIfAborted();
    pool ??= open(options);
    try {
      // node-postgres knows a bound per query that its types do not mention.
      const bounded: QueryConfig & { query_timeout: number } = {
        text,
        values,
        query_timeout: options.timeoutMs + 1_000,
      };
      return await (await pool).query(bounded);
    } catch (error) {
      throw translate(region, error);
    }
  };
  const read = (): Promise<Shape> => {
    shape ??= shapeOf();
    return shape;
  };
  const shapeOf = async (): Promise<Shape> => {
    const { fields } = await ask(`SELECT * FROM ${base} LIMIT 0`);
    const types = new Map(fields.map((field) => [field.name, field.dataTypeID]));
    const columns = [...new Set([...key, ...(options.columns ?? types.keys())])].sort();
    const absent = [...columns, ...(timestamp === null ? [] : [timestamp])].filter((name) => !types.has(name));
    if (absent.length > 0)
      throw new RampartError(
        'InvalidInput',
        `${region} has no column ${absent.join(', ')}; it has ${[...types.keys()].join(', ')}`,
      );
    if (timestamp !== null && !MOMENTS.includes(types.get(timestamp)!))
      throw new RampartError('InvalidInput', `${timestamp} in ${region} is no timestamp`);
    const none = key.map((name) => `${ident(name)} IS NULL`).join(' OR ');
    const { rows } = await ask(`SELECT 1 FROM ${base} WHERE ${none} LIMIT 1`);
    if (rows.length > 0)
      throw new RampartError('InvalidInput', `${region} has rows without a value for the key ${key.join(', ')}`, {
        remedy: 'Leave them out with a WHERE in `query`.',
      });
    return { columns, keys: key.map((name) => keyColumn(name, types.get(name)!)) };
  };
  const keyList = key.map((name, i) => `${ident(name)}::text AS k${i}`).join(', ');
  const keyOf = (row: Record<string, string>): Key => key.map((_, i) => row[`k${i}`]!);
  const hash = ({ columns }: Shape): string => `md5(concat_ws(',', ${columns.map(textOf).join(', ')}))`;
  const at = timestamp === null ? 'NULL::float8' : `(extract(epoch FROM ${ident(timestamp)}) * 1000)::float8`;

  /** The range as a condition, and its values. */
  const where = ({ keys }: Shape, { from, to }: Range): { text: string; values: string[] } => {
    const left = `(${keys.map(({ expression }) => expression).join(', ')})`;
    const values: string[] = [];
    const bound = (key: Key): string =>
      `(${key.map((value, i) => `$${values.push(value)}::text::${keys[i]!.type}`).join(', ')})`;
    const parts = [
      ...(from === null ? [] : [`${left} >= ${bound(from)}`]),
      ...(to === null ? [] : [`${left} < ${bound(to)}`]),
    ];
    return { text: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
  };
  const order = ({ keys }: Shape): string => keys.map(({ expression }) => expression).join(', ');
  const asRow = (row: Record<string, string>): Row => ({
    key: keyOf(row),
    hash: row.hash!,
    at: row.at === null || row.at === undefined ? null : Math.round(Number(row.at)),
  });

  return {
    region,
    orders: async () => (await read()).keys.map((one) => one.order),
    columns: async () => (await read()).columns,
    digest: async (range): Promise<Digest> => {
      const known = await read();
      const { text, values } = where(known, range);
      const half = (from: number): string => `coalesce(sum(('x' || substr(h, ${from}, 16))::bit(64)::bigint), 0)::text`;
      const { rows } = await ask(
        `SELECT count(*)::text AS rows, ${half(1)} AS high, ${half(17)} AS low FROM (SELECT ${hash(known)} AS h FROM ${base} ${text}) s`,
        values,
      );
      return { rows: Number(rows[0].rows), hash: `${rows[0].high}/${rows[0].low}` };
    },
    split: async (range, parts) => {
      const known = await read();
      const { text, values } = where(known, range);
      const { rows } = await ask(
        `SELECT ${key.map((_, i) => `k${i}`).join(', ')} FROM (SELECT ${keyList}, row_number() OVER (ORDER BY ${order(known)}) - 1 AS n, count(*) OVER () AS total
           FROM ${base} ${text}) s WHERE n > 0 AND n % greatest(ceil(total / $${values.length + 1}::numeric), 1)::bigint = 0 ORDER BY n`,
        [...values, parts],
      );
      return distinct(rows.map(keyOf));
    },
    rows: async (range, limit) => {
      const known = await read();
      const { text, values } = where(known, range);
      const { rows } = await ask(
        `SELECT ${keyList}, ${hash(known)} AS hash, ${at} AS at FROM ${base} ${text} ORDER BY ${order(known)} LIMIT $${values.length + 1}`,
        [...values, limit],
      );
      return unique(region, rows.map(asRow));
    },
    find: async (keys) => {
      const known = await read();
      const wanted = known.keys.map(({ type }, i) => `w.k${i}::${type} = ${known.keys[i]!.expression}`).join(' AND ');
      const lists = known.keys.map((_, i) => `$${i + 1}::text[]`).join(', ');
      const { rows } = await ask(
        `SELECT ${keyList.replaceAll(/("(?:[^"]|"")*")::text AS/g, 'q.$1::text AS')}, ${hash(known)} AS hash, ${at} AS at
           FROM unnest(${lists}) AS w(${known.keys.map((_, i) => `k${i}`).join(', ')}) JOIN ${base} ON ${wanted}`,
        known.keys.map((_, i) => keys.map((one) => one[i]!)),
      );
      return unique(region, rows.map(asRow));
    },
    close: async () => {
      const opened = pool;
      pool = null;
      await (await opened?.catch(() => undefined))?.end();
    },
  };
}

/** The same text as `rowText` makes of it, column by column. */
function textOf(name: string): string {
  const column = `${ident(name)}::text`;
  return `coalesce(octet_length(${column}) || ':' || ${column}, '-')`;
}

function keyColumn(name: string, type: number): KeyColumn {
  const column = ident(name);
  if (WHOLE.includes(type)) return { order: 'number', expression: column, type: 'bigint' };
  if (FLOAT.includes(type)) return { order: 'number', expression: column, type: 'float8' };
  if (type === NUMERIC) return { order: 'number', expression: column, type: 'numeric' };
  // The bytes of a uuid and the text of it have the same order.
  if (type === UUID) return { order: 'text', expression: column, type: 'uuid' };
  return { order: 'text', expression: `${column}::text COLLATE "C"`, type: 'text' };
}

function distinct(keys: Key[]): Key[] {
  return keys.filter((key, i) => i === 0 || JSON.stringify(key) !== JSON.stringify(keys[i - 1]));
}

function unique(region: string, rows: Row[]): Row[] {
  const seen = new Set<string>();
  for (const { key } of rows) {
    const text = JSON.stringify(key);
    if (seen.has(text))
      throw new RampartError('InvalidInput', `${region} has more than one row with the key ${key.join(', ')}`, {
        remedy: 'Name as `key` the columns that are unique together.',
      });
    seen.add(text);
  }
  return rows;
}

async function open(options: SqlSourceOptions): Promise<Pool> {
  const { url, host, port, user, password, database, ssl, concurrency, timeoutMs } = options;
  const { default: pg } = await import('pg');
  const settings = {
    ...{
      default_transaction_read_only: 'on',
      statement_timeout: timeoutMs,
      TimeZone: 'UTC',
      DateStyle: 'ISO',
      bytea_output: 'hex',
    },
    ...{ IntervalStyle: 'iso_8601', extra_float_digits: 1, idle_in_transaction_session_timeout: timeoutMs },
  };
  const pool = new pg.Pool({
    ...(url === null
      ? { host: host ?? 'localhost', port, user, database, ...(password === null ? {} : { password }) }
      : { connectionString: url }),
    ...(ssl === 'disable' ? {} : { ssl: { rejectUnauthorized: ssl === 'verify-full' } }),
    max: concurrency,
    application_name: 'rampart compare',
    connectionTimeoutMillis: Math.min(timeoutMs, 5_000),
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  });
  // A session that breaks is replaced by the next query; without a listener its error would end the process.
  pool.on('error', () => {});
  return pool;
}

/** The server's words, but never a value: those may be anything. */
function translate(region: string, error: unknown): RampartError {
  const { code, message } = error as { code?: string; message?: string };
  const text = String(message ?? error);
  const denied = code?.startsWith('28') === true || code === '42501';
  if (denied)
    return new RampartError('AccessDenied', `${region}: ${text}`, {
      remedy: 'The role needs SELECT there.',
      cause: error,
    });
  if (code === '57014')
    return new RampartError('DeadlineExceeded', `${region}: a query took longer than the timeout of the comparison`, {
      remedy: 'Index the key columns, look at a sample, or allow more time.',
      cause: error,
    });
  // Syntax, unknown tables and columns, values that do not fit a type: another try gives the same.
  if (code !== undefined && /^(42|22|0A|25)/.test(code))
    return new RampartError('InvalidInput', `${region}: ${text}`, { cause: error });
  return new RampartError('ProviderUnavailable', `${region} does not answer: ${text}`, { cause: error });
}
