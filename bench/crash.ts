/** How long it takes from a person's decision to the first write on the other side, after the active database died. */
import { urlOf } from '../lab/postgres/pair.ts';
import { openPatroni, PATRONI } from './patroni.ts';
import type { BenchOptions, Measure, Result } from './statistics.ts';
import { portOf, WRITE_EVERY_MS } from './switchover.ts';
import { type BenchWorld, openBenchWorld, settle, until } from './world.ts';
import { RowWriter } from './writer.ts';

/** Patroni waits for its key to run out (ttl 30 s) before it acts. */
const PEER_MS = 90_000;

export async function crash(options: BenchOptions): Promise<Result> {
  const measures = await crashRampart(options);
  const peer = options.alone ? [] : await crashPatroni(options);
  return {
    benchmark: 'crash',
    about: `The active database is killed with SIGKILL while a client writes every ${WRITE_EVERY_MS} ms.`,
    measures: [...measures, ...peer],
    notes: [
      'Rampart acts on a decision: the clock starts when the approval of the unplanned failover is sent. What comes before it (noticing, asking, reading the stated loss) is people’s time and shown apart as "start of the run to its gate".',
      ...(peer.length > 0
        ? [
            `${PATRONI} decides by itself, when the leader’s key (ttl 30 s) has run out. Like with like is "leader key to first write": from the moment it has decided. "Kill to first write" has its detection in it.`,
          ]
        : []),
      'Rows lost are what the replica had not received when the server died: replication is asynchronous.',
    ],
  };
}

async function crashRampart({ runs, say }: BenchOptions): Promise<Measure[]> {
  const world = await openBenchWorld(`bench-${process.pid}`, say);
  const series = { decided: [] as number[], asked: [] as number[], lost: [] as number[] };
  try {
    for (let run = 0; run <= runs; run += 1) {
      const seen = await crashOnce(world);
      say(
        `run ${run}: decision to first write ${Math.round(seen.decided)} ms, ${seen.lost} rows lost; gate after ${Math.round(seen.asked)} ms`,
      );
      await settle();
      await world.run({ action: 'reprotect', reason: 'the next run needs a replica' });
      if (run === 0) continue;
      for (const name of ['decided', 'asked', 'lost'] as const) series[name].push(seen[name]);
    }
  } finally {
    await world.close();
  }
  const subject = 'Rampart';
  return [
    { name: 'decision to first write', subject, unit: 'ms', values: series.decided, aim: 'median ≤ 500' },
    { name: 'start of the run to its gate', subject, unit: 'ms', values: series.asked },
    { name: 'acknowledged rows lost, stated by the run', subject, unit: 'rows', values: series.lost },
  ];
}

async function crashOnce(world: BenchWorld): Promise<{ decided: number; asked: number; lost: number }> {
  const { active, other } = await world.sides();
  const writer = new RowWriter({ urls: [urlOf({ port: portOf(world.report.writer) })], everyMs: WRITE_EVERY_MS });
  await writer.start();
  await settle();
  await world.lab.kill({ what: 'database', where: active });
  await until('the death of the database', 5_000, async () => writer.idleMs() > 200);
  const started = Date.now();
  const { decisions } = await world.run({ action: 'failover', to: other, mode: 'unplanned', reason: 'it is dead' });
  const decision = decisions.at(-1)?.sentAt ?? started;
  const first = writer.firstAfter(started);
  if (first === null) throw new Error('no write after the failover');
  const { lost } = await writer.stop(world.report.regions[other]!.database);
  return { decided: first - decision, asked: (decisions[0]?.sentAt ?? started) - started, lost };
}

async function crashPatroni({ runs, say }: BenchOptions): Promise<Measure[]> {
  const patroni = await openPatroni(`bench-${process.pid}`, say);
  const whole: number[] = [];
  const decided: number[] = [];
  const lost: number[] = [];
  try {
    // Every run waits for the key to run out: fewer of them do.
    for (let run = 0; run < Math.min(runs, 5); run += 1) {
      const writer = new RowWriter({ urls: patroni.urls, everyMs: WRITE_EVERY_MS });
      await writer.start();
      await settle();
      await patroni.untilProtected();
      const { name, at } = await patroni.crash();
      await until('the death of the Patroni leader', 5_000, async () => writer.idleMs() > 200);
      const dead = Date.now();
      await until('a write on the new leader', PEER_MS, async () => writer.firstAfter(dead) !== null);
      const first = writer.firstAfter(dead)!;
      const since = await patroni.leaderSince();
      whole.push(first - at);
      decided.push(first - since);
      const found = await writer.stop((await patroni.leader()).url);
      lost.push(found.lost);
      say(
        `${PATRONI} run ${run + 1}: kill to first write ${Math.round(first - at)} ms, from the key ${Math.round(first - since)} ms, ${found.lost} rows lost`,
      );
      patroni.restart(name);
      await patroni.untilProtected();
    }
  } finally {
    await patroni.close();
  }
  return [
    { name: 'leader key to first write', subject: PATRONI, unit: 'ms', values: decided },
    { name: 'kill to first write, detection included', subject: PATRONI, unit: 'ms', values: whole },
    { name: 'acknowledged rows lost, not stated', subject: PATRONI, unit: 'rows', values: lost },
  ];
}
