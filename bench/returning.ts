/**
 * How long an old primary that comes back by itself takes writes from a client that still knows its address: with the
 * guard and refence alone, and with `rampart local-guard` before its start.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { OldClient } from '../lab/load/old-client.ts';
import { built } from '../lab/paths.ts';
import { withClient } from '../lab/postgres/pair.ts';
import type { BenchOptions, Result } from './statistics.ts';
import { type BenchWorld, openBenchWorld, settle, until } from './world.ts';

/** How long a start that the guard refused is watched for a write that must not come, in milliseconds. */
const WATCH_MS = 5_000;

export async function returning({ runs, say }: BenchOptions): Promise<Result> {
  const world = await openBenchWorld(`bench-${process.pid}`, say, { guard: true });
  const series = { open: [] as number[], rows: [] as number[], guarded: [] as number[] };
  try {
    for (let run = 1; run <= runs; run += 1) {
      const seen = await once(world);
      say(`run ${run}: without local-guard ${seen.open} ms, ${seen.rows} rows; with it ${seen.guarded} rows`);
      for (const name of ['open', 'rows', 'guarded'] as const) series[name].push(seen[name]);
      await goHome(world);
    }
  } finally {
    await world.close();
  }
  const alone = 'guard and refence';
  const both = 'local-guard, guard and refence';
  return {
    benchmark: 'returning',
    about:
      'A region that was given up in an unplanned failover starts again, database and worker together, while a client that still knows the old address writes as fast as it is answered.',
    measures: [
      { name: 'first to last acknowledged write on the old primary', subject: alone, unit: 'ms', values: series.open },
      { name: 'writes acknowledged by the old primary', subject: alone, unit: 'rows', values: series.rows },
      { name: 'writes acknowledged by the old primary', subject: both, unit: 'rows', values: series.guarded, aim: '0' },
    ],
    notes: [
      'The guard looks every 2 s, the default of `guard.interval`. The worker beside the old database starts with it, and most of the time without local-guard is the time it takes to be there.',
      `With local-guard the start is refused; the client tries for ${WATCH_MS / 1000} s and gets no session.`,
    ],
  };
}

async function once(world: BenchWorld): Promise<{ open: number; rows: number; guarded: number }> {
  const { active, other } = await world.sides();
  await world.lab.kill({ what: 'region', where: active });
  await world.run({ action: 'failover', to: other, mode: 'unplanned', reason: 'the region is gone' });
  const { database } = world.report.regions[active]!;
  const client = new OldClient(database);
  try {
    if (localGuardAllows(world, active)) throw new Error(`local-guard allowed ${active} to start`);
    await sleep(WATCH_MS);
    const guarded = client.acknowledged.length;
    await world.lab.start({ what: 'region', where: active });
    await until('a write on the old primary', 60_000, async () => client.acknowledged.length > 0);
    await until('the fence of the old primary', 60_000, async () => !(await writable(database)));
    const open = client.acknowledged.at(-1)! - client.acknowledged[0]!;
    return { open, rows: client.acknowledged.length, guarded };
  } finally {
    await client.stop();
  }
}

/** What an init system would be told. */
function localGuardAllows(world: BenchWorld, region: string): boolean {
  const args = [built('clients/cli/main.js'), 'local-guard', '--region', region, '--config', world.report.config];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0 && status !== 1) throw new Error(`local-guard ended with ${status}: ${stderr}`);
  return status === 0;
}

const writable = (url: string): Promise<boolean> =>
  withClient(url, async (client) => {
    const { rows } = await client.query('SELECT NOT pg_is_in_recovery() AS writable');
    return rows[0].writable as boolean;
  }).catch(() => false);

/** A replica again, and back where it began: the next run finds what this one found. */
async function goHome(world: BenchWorld): Promise<void> {
  // The refence still has its journals to close, and the lock.
  await until('the lock', 60_000, async () => {
    const { status } = await world.temporal.client.workflow.getHandle('failover/checkout').describe();
    return status.name !== 'RUNNING';
  });
  await settle();
  await world.run({ action: 'reprotect', reason: 'the next run needs a replica' });
  await settle();
  await world.run({ action: 'failback', reason: 'the next run begins at home' });
  await settle();
}
