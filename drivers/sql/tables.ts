/** Rampart's own tables in a database it works on. */
import type { SqlComponent, SqlServer } from './server.ts';
import { query } from './session.ts';

/** Creates tables in schema `rampart`, by name and columns, where they are missing. */
export async function ensureTables(
  cluster: SqlComponent,
  node: SqlServer,
  database: string,
  tables: Record<string, string>,
): Promise<void> {
  const names = Object.keys(tables);
  const [found] = await query<{ schema: boolean; present: string[] }>(
    cluster,
    node,
    `SELECT to_regnamespace('rampart') IS NOT NULL AS schema,
       (SELECT coalesce(array_agg(tablename::text), '{}') FROM pg_tables WHERE schemaname = 'rampart') AS present`,
    [],
    { database },
  );
  const missing = names.filter((name) => !found!.present.includes(name));
  if (missing.length === 0) return;
  // Asked first because IF NOT EXISTS asks for the right to create even when there is nothing to create.
  const statements = [
    // The bookkeeping of a run must not wait for the synchronous replica that the run may be about.
    'SET LOCAL synchronous_commit = local',
    ...(found!.schema ? [] : ['CREATE SCHEMA IF NOT EXISTS rampart']),
    ...missing.map((name) => `CREATE TABLE IF NOT EXISTS rampart.${name} (${tables[name]})`),
  ];
  await query(cluster, node, statements.join('; '), [], { database });
}
