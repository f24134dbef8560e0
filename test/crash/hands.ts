/**
 * Hands on a world of the lab: faults straight at the processes, without a way over the supervisor, and the same
 * things put right again. A supervisor of processes (systemd) starts killed workers and servers at once; a database
 * that died stays dead until somebody acts.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { freezePostgres, killPostgres, readPostmaster } from '../../lab/postgres/server.ts';
import type { Target, WorldStatus } from '../../lab/world/running.ts';
import type { WorldSpec } from '../../lab/world/spec.ts';
import { untilTemporalAnswers } from '../../lab/world/temporal.ts';
import { secondServer } from '../integration/second.ts';
import { openTestWorld, type TestWorld, until } from '../integration/world.ts';

/** Of the lab's topology while the matrix runs: short, so that a cell takes seconds. */
export const SETTINGS = {
  freezeBudget: '15s',
  bake: '200ms',
  interval: '100ms',
  steps: [50, 100],
  /** Requests that measure the split, twice a run: 200 by default, which take as long as ten steps. */
  sample: 40,
  load: 40,
};

export interface Hands {
  world: TestWorld;
  client: Client;
  /** What each database is now, as an engineer with access to every machine would see it. */
  roles(): Promise<Record<string, WorldStatus['databases'][number]['role']>>;
  /** SIGKILL to all workers of a place (`control` or a region), which are then started again. */
  killWorkers(place: string): Promise<void>;
  killTemporal(): Promise<void>;
  /** SIGKILL to the Temporal server, its data deleted, an empty one started. */
  loseTemporal(): Promise<void>;
  /** SIGKILL to everything of Rampart: the Temporal server and every worker. `mend` starts them again. */
  killRampart(): Promise<void>;
  /** A client of a second, complete orchestrator on the same systems; started when first asked for. */
  second(): Promise<Client>;
  killDatabase(region: string): Promise<void>;
  /**
   * Replication stalls first, so that orders are acknowledged which no other side has; what was on its way is lost
   * with the stall, and after the kill the network is whole again.
   */
  killDatabaseBehind(region: string): Promise<void>;
  startDatabase(region: string): Promise<void>;
  freezeDatabase(region: string): Promise<void>;
  /** Regions whose database is frozen now. */
  frozenDatabases(): ReadonlySet<string>;
  /** SIGSTOP to one of the workers of a place, with its polls open. @returns its pid */
  freezeWorker(place: string): Promise<number>;
  /** Frozen workers go on with what they had taken. */
  wakeWorkers(): void;
  /** Frozen workers go on, and everything but databases that was killed is started. */
  mend(): Promise<void>;
  /** Frozen databases go on where they were: they know nothing of what has happened meanwhile. */
  thaw(): Promise<void>;
  close(): Promise<void>;
}

export async function openHands(suffix: string): Promise<Hands> {
  const { load, bake, interval, steps, sample, freezeBudget } = SETTINGS;
  const world = await openTestWorld(suffix, { load, bake, workers: 2 });
  world.editTopology((t) => {
    t.setIn(['tiers', 'critical', 'freezeBudget'], freezeBudget);
    t.setIn(['services', 'checkout', 'ramp', 'steps'], t.createNode(steps));
    t.setIn(['services', 'checkout', 'ramp', 'interval'], interval);
    t.setIn(['components', 'edge', 'sample', 'requests'], sample);
  });
  const connection = await Connection.connect({
    address: world.report.temporal.address,
    // The server comes back within a second or two; the client must not wait longer than it does.
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 },
  });
  const client = new Client({ connection, namespace: world.report.temporal.namespace });
  const { lab, report } = world;
  let pids = pidsOf(await lab.status());
  const frozen = new Set<number>();
  const frozenDatabases = new Set<string>();
  let second: Promise<Client> | undefined;
  const dataDir = (region: string): string => report.regions[region]!.dataDir;

  const restart = async (target: Target): Promise<void> => {
    // `kill` waits until the supervisor has seen the end, and without that it would start nothing.
    await lab.kill(target);
    await lab.start(target);
    pids = pidsOf(await lab.status());
  };
  const ofPlace = (place: string): number[] =>
    pids.filter((p) => p.what === 'worker' && p.place === place).map(({ pid }) => pid);
  const signal = (pid: number, name: NodeJS.Signals): void => {
    try {
      process.kill(-pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const wakeWorkers = (): void => {
    for (const pid of frozen) signal(pid, 'SIGCONT');
    frozen.clear();
  };
  const startDead = async (): Promise<void> => {
    const { members } = await lab.status();
    const dead = members.filter(({ state }) => state === 'stopped');
    for (const { kind, region } of dead)
      await lab.start({
        what: kind,
        ...(kind === 'worker' || kind === 'app' ? { where: region ?? 'control' } : {}),
      } as Target);
    if (dead.length > 0) pids = pidsOf(await lab.status());
  };
  /**
   * A worker that was frozen while it ran workflow code may die as it wakes: the SDK gives that code 5 s by the clock,
   * and Node does not survive that bound (nodejs/node#38503). An init system starts it again.
   */
  const untilWorkers = async (): Promise<void> => {
    let ready = false;
    const answering = world.untilWorkers().finally(() => {
      ready = true;
    });
    const startWhatDied = async (): Promise<void> => {
      while (!ready) {
        await startDead();
        await Promise.race([answering, breathe(1_000)]);
      }
    };
    await Promise.all([answering, startWhatDied()]);
  };
  return {
    world,
    client,
    roles: async () => {
      const { databases } = await lab.status();
      return Object.fromEntries(databases.map(({ region, role }) => [region, role]));
    },
    killWorkers: async (place) => {
      for (const pid of ofPlace(place)) signal(pid, 'SIGKILL');
      await restart({ what: 'worker', where: place });
    },
    killTemporal: async () => {
      for (const { pid } of pids.filter((p) => p.what === 'temporal')) signal(pid, 'SIGKILL');
      await restart({ what: 'temporal' });
    },
    loseTemporal: async () => {
      const target = { what: 'temporal' } as const;
      for (const { pid } of pids.filter((p) => p.what === 'temporal')) signal(pid, 'SIGKILL');
      await lab.kill(target);
      for (const suffix of ['', '-wal', '-shm', '-journal'])
        rmSync(join(lab.dir, `temporal.db${suffix}`), { force: true });
      await restart(target);
      await untilTemporalAnswers(JSON.parse(readFileSync(join(lab.dir, 'world.json'), 'utf8')) as WorldSpec);
    },
    killRampart: async () => {
      for (const { pid } of pids.filter((p) => ['temporal', 'worker'].includes(p.what))) signal(pid, 'SIGKILL');
      await lab.kill({ what: 'temporal' });
      await lab.kill({ what: 'worker' });
    },
    second: () => {
      second ??= secondServer(world).then((connected) => new Client({ connection: connected }));
      return second;
    },
    killDatabase: (region) => killPostgres(dataDir(region)),
    killDatabaseBehind: async (region) => {
      await lab.stallReplication();
      const since = Date.now();
      const load = await lab.load();
      // Where nobody can write any more there is nothing to lose either.
      const some = async (): Promise<true | undefined> =>
        (await load.report(since)).acknowledged > 10 ? true : undefined;
      await until('orders that only this side has', some, 2_000).catch(() => {});
      await killPostgres(dataDir(region));
      await lab.heal();
    },
    startDatabase: async (region) => {
      if (frozenDatabases.delete(region)) freezePostgres(dataDir(region), false);
      if (readPostmaster(dataDir(region)) === undefined) await lab.start({ what: 'database', where: region });
    },
    freezeDatabase: async (region) => {
      freezePostgres(dataDir(region), true);
      frozenDatabases.add(region);
    },
    frozenDatabases: () => frozenDatabases,
    freezeWorker: async (place) => {
      const [pid] = ofPlace(place);
      if (pid === undefined) throw new Error(`no worker of ${place} is running`);
      signal(pid, 'SIGSTOP');
      frozen.add(pid);
      return pid;
    },
    wakeWorkers,
    mend: async () => {
      wakeWorkers();
      await startDead();
      await until(
        'the Temporal server answers',
        () => client.connection.ensureConnected().then(() => true as const),
        60_000,
      );
      await untilWorkers();
    },
    thaw: async () => {
      for (const region of frozenDatabases) freezePostgres(dataDir(region), false);
      frozenDatabases.clear();
    },
    close: async () => {
      wakeWorkers();
      await connection.close().catch(() => {});
      await second?.then((client) => client.connection.close()).catch(() => {});
      await world.close();
    },
  };
}

function pidsOf({ members }: WorldStatus): Array<{ what: string; place: string; pid: number }> {
  return members.flatMap(({ kind, region, pid }) =>
    pid === null ? [] : [{ what: kind, place: region ?? 'control', pid }],
  );
}

/** The least a loop that looks must leave to others, on a machine of two cores. */
export const breathe = (ms = 50): Promise<void> => sleep(ms);
