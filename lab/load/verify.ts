import pg from 'pg';
import type { Acknowledgement } from './ledger.ts';

export interface Verification {
  /** Acknowledged orders looked for. */
  acknowledged: number;
  /** Acknowledged orders that are not in the database. */
  lost: Acknowledgement[];
  /** Rows beyond the first of an order. */
  duplicated: number;
}

/**
 * Looks for every acknowledged order in the database itself, not through the service.
 * @param url connection string of the database that is to hold them
 */
export async function verifyOrders(url: string, acknowledgements: Acknowledgement[]): Promise<Verification> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    // A sequential scan of the table itself: an index could hide a duplicate or a lost row.
    await client.query('SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off');
    const { rows } = await client.query<{ id: string; copies: number }>(
      'SELECT id, count(*)::int AS copies FROM orders GROUP BY id',
    );
    const present = new Map(rows.map(({ id, copies }) => [id, copies]));
    return {
      acknowledged: acknowledgements.length,
      lost: acknowledgements.filter(({ id }) => !present.has(id)),
      duplicated: rows.reduce((sum, { copies }) => sum + copies - 1, 0),
    };
  } finally {
    await client.end().catch(() => {});
  }
}
