/** Comparing what two regions hold: the sources as the topology names them, one round, its record, and word of it. */
import { appendFile, mkdir, open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clock } from '../drivers/clock.ts';
import { compare } from '../drivers/divergence/compare.ts';
import { httpSource } from '../drivers/divergence/http.ts';
import type { RowSource } from '../drivers/divergence/source.ts';
import { sqlSource } from '../drivers/divergence/sql.ts';
import type { DriverContext } from '../drivers/ports.ts';
import type { ComparisonRecord } from '../evidence/comparison-record.ts';
import type { Alert } from '../topology/alerts.ts';
import type { Comparison } from '../topology/divergence.ts';
import { GUARD_SOURCE } from '../topology/watches.ts';
import type { ComparingActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { perform } from './perform.ts';

export interface ComparingDeps {
  /** Hands alerts to triggers. @throws Error when that failed and is worth another try */
  tellTriggers(alerts: Alert[]): Promise<void>;
  /** Tells people. @throws Error when that failed and is worth another try */
  tell(notice: { comparison: string; service: string; state: 'opened' | 'cleared'; text: string }): Promise<void>;
  /** Shows a round in the metrics of the process: keys that differ, lag against its objective. */
  publish(record: ComparisonRecord): void;
}

export function createComparingActivities(deps: ActivityDeps, comparing: ComparingDeps): ComparingActivities {
  const nobody = (service: string) => ({ workflowId: '', runId: '', service, by: null });
  return {
    resolveComparison: ({ comparison }) =>
      perform(deps, nobody(''), null, async () => (await deps.topology()).divergence?.[comparison] ?? null),
    compareData: ({ comparison, id, again }) =>
      perform(deps, nobody(comparison.service), null, async (context) => {
        const record = await compareOnce(comparison, id, context, again);
        await keep(join(deps.stateDir, 'divergence'), record);
        comparing.publish(record);
        return record;
      }),
    reportComparison: ({ record, since, news }) =>
      perform(deps, nobody(record.service), null, async (context) => {
        await comparing.tellTriggers(alertsOf(record, since, context.now()));
        const { comparison, service } = record;
        if (news !== null) await comparing.tell({ comparison, service, state: news, text: textOf(record) });
      }),
  };
}

/** One round. @throws RampartError as the comparer and the sources do */
export async function compareOnce(
  comparison: Comparison,
  id: string,
  context: Pick<DriverContext, 'signal' | 'secret' | 'now' | 'heartbeat'>,
  again: string[][] = [],
): Promise<ComparisonRecord> {
  const startedAt = context.now();
  const [left, right] = await Promise.all(comparison.sides.map((side) => sourceOf(comparison, side, context)));
  try {
    const result = await compare(left!, right!, {
      ...comparison,
      again,
      signal: context.signal,
      now: context.now,
      sleep: (ms) => clock.sleep(ms, context.signal),
      random: Math.random,
      progress: context.heartbeat,
    });
    const { name, service, lagSloMs } = comparison;
    // Without a timestamp nobody can say for how long a row has been on its way.
    const lagAtLeastMs = comparison.timestamp === null ? null : (result.lagAtLeastMs ?? 0);
    const about = { version: 1 as const, id, comparison: name, service, startedAt, endedAt: context.now(), lagSloMs };
    return { ...about, ...result, lagAtLeastMs };
  } finally {
    await Promise.all([left!.close(), right!.close()]);
  }
}

async function sourceOf(
  comparison: Comparison,
  { region, source }: Comparison['sides'][number],
  { signal, secret }: Pick<DriverContext, 'signal' | 'secret'>,
): Promise<RowSource> {
  const { key, columns, timestamp, timeoutMs, concurrency, table, query, maxRows } = comparison;
  const shared = { region, key, columns, timestamp, timeoutMs, signal };
  const reveal = async (ref: string | null): Promise<string | null> => (ref === null ? null : secret(ref));
  if (source.kind === 'http')
    return httpSource({ ...shared, url: source.url, token: await reveal(source.token), mostRows: maxRows });
  const [url, password] = [await reveal(source.url), await reveal(source.password)];
  return sqlSource({ ...shared, ...source, url, password, table, query, concurrency });
}

/** Appended, never changed: a line for each round. A round that is tried again after it was kept is not kept twice. */
async function keep(folder: string, record: ComparisonRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${record.comparison}.ndjson`);
  if ((await lastLine(path)).includes(JSON.stringify(record.id))) return;
  await appendFile(path, `${JSON.stringify(record)}\n`, { mode: 0o600, flush: true });
}

/** Bytes of the end of a file in which its last line is looked for: no record is longer. */
const TAIL = 1_000_000;

async function lastLine(path: string): Promise<string> {
  const file = await openFile(path, 'r').catch(() => null);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, TAIL);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString().trimEnd().split('\n').at(-1) ?? '';
  } finally {
    await file.close();
  }
}

/** What speaks for and against: firing and resolved only where the round knows. */
export function alertsOf(
  record: ComparisonRecord,
  since: { diverged: number | null; lagging: number | null },
  now: number,
): Alert[] {
  const { comparison, service, lagAtLeastMs, lagSloMs, complete, limited = !complete } = record;
  // What stands is not resolved by a round that did not look at it.
  const calm = (stood: number | null): Alert['status'] => (stood === null && !limited ? 'resolved' : 'unknown');
  const alert = (
    what: string,
    alertname: string,
    status: Alert['status'],
    startsAt: number | null,
    summary: string,
  ): Alert => ({
    ...{ source: GUARD_SOURCE, delivery: `${record.id} ${what}`, key: `${what}/${comparison}`, status, startsAt },
    labels: { alertname, service, comparison },
    annotations: { summary },
    ...{ severity: 'warning', url: null, receivedAt: now },
  });
  const differs = record.keys.length > 0;
  const lagging = lagAtLeastMs !== null && lagAtLeastMs > lagSloMs;
  return [
    alert('divergence', 'Divergence', differs ? 'firing' : calm(since.diverged), since.diverged, textOf(record)),
    alert(
      'replicationLag',
      'ReplicationLag',
      lagging ? 'firing' : calm(since.lagging),
      since.lagging,
      lagAtLeastMs === null
        ? 'not known without a timestamp'
        : `at least ${lagAtLeastMs / 1000} s behind, the objective is ${lagSloMs / 1000} s`,
    ),
  ];
}

export function textOf({
  comparison,
  regions: [a, b],
  counts,
  keys,
  complete,
  notes,
  again,
}: ComparisonRecord): string {
  const { missing, firstWriteWins, conflict } = counts;
  const parts = [
    ...[a, b].filter((one) => missing[one]! > 0).map((one) => `${missing[one]} missing in ${one}`),
    ...[a, b].filter((one) => firstWriteWins[one]! > 0).map((one) => `${firstWriteWins[one]} written first in ${one}`),
    ...(conflict > 0 ? [`${conflict} in conflict`] : []),
  ];
  const mended = again === undefined || again === 0 ? '' : `; ${again} keys that differed are the same now`;
  const found =
    keys.length === 0
      ? complete
        ? `${a} and ${b} hold the same`
        : `nothing that differs was found between ${a} and ${b}${mended}`
      : `${keys.length} keys differ between ${a} and ${b}: ${parts.join(', ')}`;
  return `${comparison}: ${found}${complete ? '' : `; not everything was looked at: ${notes.join('; ')}`}`;
}
