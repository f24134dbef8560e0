/** How long a continuous writer cannot write while a planned run moves the database, beside Patroni's switchover. */
import { setTimeout as sleep } from 'node:timers/promises';
import { urlOf } from '../lab/postgres/pair.ts';
import { type ActivityTimes, readTimes } from './history.ts';
import { openPatroni, PATRONI } from './patroni.ts';
import type { BenchOptions, Measure, Result } from './statistics.ts';
import { type BenchWorld, openBenchWorld, settle, until } from './world.ts';
import { RowWriter } from './writer.ts';

/** Milliseconds between two writes of the client. */
export const WRITE_EVERY_MS = 5;
/** How long a switchover of Patroni's may take until the client writes again, milliseconds. */
const PEER_MS = 30_000;

/** Verbs of the freeze, in the order they are shown. */
const FROZEN = ['fence', 'awaitCatchUp', 'prove', 'promote', 'verifyWritable', 'setWeights'];

export async function switchover(options: BenchOptions): Promise<Result> {
  const measures = await measureRampart(options);
  const peer = options.alone ? [] : await measurePatroni(options);
  return {
    benchmark: 'switchover',
    about: `A client writes one row every ${WRITE_EVERY_MS} ms while the database moves to the other side on request; the write gap is the longest time between two acknowledgements.`,
    measures: [...measures.slice(0, 2), ...peer, ...measures.slice(2)],
    notes: [
      'Rampart: the lab, PostgreSQL 18, the client behind the writer endpoint (Traefik); each run is a whole planned failover with its gate and a ramp to 100 %.',
      ...(peer.length > 0
        ? [
            `${PATRONI}: Debian 12, etcd, PostgreSQL 15, defaults (ttl 30, loop_wait 10); the client tries both servers in turn, so no router adds to its gap.`,
          ]
        : []),
      'Both: two servers on this machine, asynchronous streaming replication, fsync off. The first run of each is not counted.',
    ],
  };
}

async function measureRampart({ runs, say }: BenchOptions): Promise<Measure[]> {
  const world = await openBenchWorld(`bench-${process.pid}`, say);
  try {
    return await moveToAndFro(world, runs, say);
  } finally {
    await world.close();
  }
}

async function moveToAndFro(world: BenchWorld, runs: number, say: (line: string) => void): Promise<Measure[]> {
  const gaps: number[] = [];
  const lost: number[] = [];
  const steps = new Map<string, { wait: number[]; work: number[] }>();
  for (let run = 0; run <= runs; run += 1) {
    const { other } = await world.sides();
    const writer = new RowWriter({ urls: [urlOf({ port: portOf(world.report.writer) })], everyMs: WRITE_EVERY_MS });
    await writer.start();
    await settle();
    const from = Date.now();
    const { ref, record } = await world.run({ action: 'failover', to: other, mode: 'planned', ramp: [100] });
    await sleep(200);
    const gap = writer.gap(from, record.endedAt ?? Date.now());
    const found = await writer.stop(world.report.regions[other]!.database);
    const times = await readTimes(world.temporal, ref.workflowId, ref.runId);
    say(
      `run ${run}: gap ${Math.round(gap)} ms, ${found.acknowledged} rows, ${found.lost} lost; ${lineOf(times.activities)}`,
    );
    // The first run of fresh workers is told and not counted: it loads code and opens sessions.
    if (run === 0) continue;
    gaps.push(gap);
    lost.push(found.lost);
    for (const { type, scheduledAt, startedAt, endedAt } of times.activities.filter(isFrozen)) {
      const step = steps.get(type) ?? { wait: [], work: [] };
      steps.set(type, step);
      step.wait.push(startedAt - scheduledAt);
      step.work.push(endedAt - startedAt);
    }
  }
  const subject = 'Rampart';
  return [
    { name: 'write gap, planned', subject, unit: 'ms', values: gaps, aim: 'median ≤ 200' },
    { name: 'acknowledged rows lost', subject, unit: 'rows', values: lost, aim: '0' },
    ...FROZEN.flatMap((verb): Measure[] => {
      const step = steps.get(verb);
      if (step === undefined) return [];
      return [
        { name: `${verb}: until a worker has it`, subject, unit: 'ms', values: step.wait },
        { name: `${verb}: in the worker`, subject, unit: 'ms', values: step.work },
      ];
    }),
  ];
}

async function measurePatroni({ runs, say }: BenchOptions): Promise<Measure[]> {
  const patroni = await openPatroni(`bench-${process.pid}`, say);
  const gaps: number[] = [];
  const lost: number[] = [];
  try {
    for (let run = 0; run <= runs; run += 1) {
      const writer = new RowWriter({ urls: patroni.urls, everyMs: WRITE_EVERY_MS });
      await writer.start();
      await settle();
      await patroni.untilProtected();
      const from = await patroni.leader();
      const started = Date.now();
      await patroni.switchover();
      await until('a new Patroni leader', PEER_MS, async () => (await patroni.leader()).name !== from.name);
      const seen = Date.now();
      await until('a write on the new Patroni leader', PEER_MS, async () => writer.firstAfter(seen) !== null);
      await settle();
      const gap = writer.gap(started, Date.now());
      const found = await writer.stop((await patroni.leader()).url);
      say(`${PATRONI} run ${run}: gap ${Math.round(gap)} ms, ${found.acknowledged} rows, ${found.lost} lost`);
      await patroni.untilProtected();
      if (run === 0) continue;
      gaps.push(gap);
      lost.push(found.lost);
    }
  } finally {
    await patroni.close();
  }
  return [
    { name: 'write gap, planned', subject: PATRONI, unit: 'ms', values: gaps },
    { name: 'acknowledged rows lost', subject: PATRONI, unit: 'rows', values: lost },
  ];
}

export const portOf = (url: string): number => Number(new URL(url).port);

/** The steps of the cut; weights count only for the writer endpoint. */
function isFrozen({ type, step }: ActivityTimes): boolean {
  return FROZEN.includes(type) && (type !== 'setWeights' || step.startsWith('route:'));
}

function lineOf(activities: ActivityTimes[]): string {
  const frozen = activities.filter(isFrozen);
  const origin = frozen[0]?.scheduledAt ?? 0;
  return frozen
    .map(
      ({ type, scheduledAt, startedAt, endedAt }) =>
        `${type} ${Math.round(scheduledAt - origin)}+${Math.round(startedAt - scheduledAt)}+${Math.round(endedAt - startedAt)}`,
    )
    .join(', ');
}
