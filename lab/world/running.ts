/** A world while it runs, inside its supervisor: its processes, databases and links, and what can befall them. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCHEMA } from '../app/schema.ts';
import { installPart, type PostgresPart } from '../parts/install.ts';
import { createPrimary, createReplica, urlOf, withClient } from '../postgres/pair.ts';
import { freezePostgres, killPostgres, readPostmaster, startPostgres } from '../postgres/server.ts';
import { endRecorded, recordPostgres, signalGroup } from '../processes.ts';
import { exampleTopology } from './example.ts';
import { type LinkReport, type NamedLink, openLinks, reportLinks } from './links.ts';
import {
  appMember,
  loadMember,
  logOf,
  type Member,
  untilAppAnswers,
  untilWorkersAnswer,
  workerMembers,
} from './members.ts';
import { letFollow, providerMembers, untilProviderReady } from './provider.ts';
import {
  dataOf,
  HOME_REGION,
  nodeName,
  type RegionSpec,
  recordOf,
  regionOf,
  SERVICE,
  slotOf,
  temporalAddress,
  type WorldSpec,
  webUi,
} from './spec.ts';
import { startTemporal, untilAnswers, untilTemporalAnswers } from './temporal.ts';
import { plainTopology, writeTopology } from './topology.ts';
import { startTraefik, untilTraefikAnswers, writeFirstRoutes } from './traefik.ts';

/** What `lab up --json` prints. */
export interface WorldReport {
  temporal: { address: string; namespace: string; ui: string | null };
  config: string;
  edge: string;
  writer: string;
  services: string[];
  regions: Record<string, RegionReport>;
}

export interface RegionReport {
  database: string;
  app: string;
  dataDir: string;
  pids: { database: number | null; app: number | null; workers: number[] };
}

export interface WorldStatus {
  name: string;
  world: WorldReport;
  members: Array<{ name: string; kind: Member['kind']; region: string | null; pid: number | null; state: MemberState }>;
  databases: Array<{
    region: string;
    pid: number | null;
    role: 'primary' | 'replica' | 'frozen' | 'stopped' | 'silent';
  }>;
  links: LinkReport[];
  load: { port: number; perSecond: number } | null;
}

type MemberState = 'running' | 'frozen' | 'stopped';

/** What a fault is aimed at. */
export interface Target {
  what: 'region' | 'database' | 'worker' | 'temporal' | 'app' | 'router' | 'load';
  /** Region, or `control` for its workers. */
  where?: string;
}

export interface RunningWorld {
  status(): Promise<WorldStatus>;
  kill(target: Target): Promise<string[]>;
  /** Starts again what was killed. */
  start(target: Target): Promise<string[]>;
  freeze(target: Target): Promise<string[]>;
  /** Cuts a region from everything outside it. */
  partition(region: string, mode: 'blackhole' | 'refuse'): string[];
  /** Replication into every replica stops; nothing else is touched. */
  stallReplication(): string[];
  /** Adds a delay to every link of a region, milliseconds each way. */
  delay(region: string, delayMs: number): string[];
  /** Opens all links, continues all that is frozen. What was killed stays so. */
  heal(): string[];
  end(graceMs: number): Promise<void>;
}

/**
 * Builds the world from nothing. On failure everything that was started is ended.
 * @param say gets one line per thing that stands
 */
export async function startWorld(spec: WorldSpec, say: (line: string) => void): Promise<RunningWorld> {
  const record = recordOf(spec.dir);
  for (const folder of ['logs', 'state']) mkdirSync(join(spec.dir, folder), { recursive: true });
  const postgres = await installPart('postgres');
  const traefik = await installPart('traefik');
  const temporal = spec.temporal.existing ? null : await installPart('temporal');

  const running = new Map<string, { member: Member; child: ChildProcess; state: MemberState }>();
  const begin = (member: Member): void => {
    const entry = { member, child: member.start(), state: 'running' as MemberState };
    entry.child.once('exit', () => {
      entry.state = 'stopped';
    });
    running.set(member.name, entry);
  };
  /** Waits for what a process is to do, and no longer than it lives. */
  const alive = <T>(name: string, work: Promise<T>): Promise<T> =>
    Promise.race([
      work,
      new Promise<never>((_, reject) => {
        running.get(name)?.child.once('exit', (code, signal) => {
          reject(new Error(`${name} ended at once with ${code ?? signal}; its log is ${logOf(spec, name)}`));
        });
      }),
    ]);
  const links = await openLinks(spec);
  writeFirstRoutes(spec);

  const provider = spec.provider === null ? [] : await providerMembers(spec, spec.provider);
  const server = temporal
    ? [{ name: 'temporal', kind: 'temporal' as const, region: null, start: () => startTemporal(spec, temporal.bin) }]
    : [];
  for (const member of [...server, ...provider]) begin(member);
  begin({ name: 'traefik', kind: 'router', region: null, start: () => startTraefik(spec, traefik.bin) });
  const [ready] = await Promise.all([
    spec.provider === null ? null : untilProviderReady(spec, spec.provider, alive),
    alive('temporal', untilTemporalAnswers(spec)).then(() => say(`Temporal on ${temporalAddress(spec)}`)),
    alive('traefik', untilTraefikAnswers(spec)).then(() =>
      say(`Traefik: edge on ${spec.edgePort}, writer endpoint on ${spec.writerPort}`),
    ),
    createDatabases(spec, postgres, record).then(() => say('PostgreSQL pair, streaming')),
  ]);
  if (spec.provider !== null && ready !== null) {
    say(`AWS and Cloudflare, emulated, on ${spec.provider.api}`);
    await letFollow(spec.provider);
  }
  writeTopology(spec, ready === null ? plainTopology(spec, postgres.bin) : exampleTopology(spec, ready));
  for (const region of spec.regions) begin(appMember(spec, region));
  const places = [null, ...spec.regions];
  const workers = places.flatMap((place) => workerMembers(spec, place, ready?.env));
  for (const worker of workers) begin(worker);
  await Promise.all([
    ...spec.regions.map((region) => alive(`app ${region.name}`, untilAppAnswers(spec, region))),
    ...places.map((place) =>
      Promise.all(workerMembers(spec, place).map(({ name }) => alive(name, untilWorkersAnswer(spec, place)))),
    ),
  ]);
  say(`Apps in ${spec.regions.map(({ name }) => name).join(' and ')}; ${workers.length} workers`);
  if (spec.load > 0) {
    begin(loadMember(spec));
    await untilAnswers(`http://127.0.0.1:${spec.loadPort}/report`, 60_000, 'the load generator');
    say(`Load: ${spec.load} orders per second`);
  }

  const membersOf = (target: Target): Member[] =>
    [...running.values()]
      .map(({ member }) => member)
      .filter((member) => {
        const here = target.where === undefined || (member.region ?? 'control') === target.where;
        return target.what === 'region'
          ? member.region !== null && member.region === target.where
          : member.kind === target.what && here;
      });
  const databasesOf = async (target: Target): Promise<RegionSpec[]> => {
    if (target.what === 'region') return [regionOf(spec, target.where ?? HOME_REGION)];
    if (target.what !== 'database') return [];
    return [regionOf(spec, target.where ?? (await activeRegion(spec)))];
  };
  const applyTo = async (
    target: Target,
    onMember: (name: string) => void | Promise<void>,
    onDatabase: (region: RegionSpec) => void | Promise<void>,
  ): Promise<string[]> => {
    check(spec, target);
    const members = membersOf(target);
    const databases = await databasesOf(target);
    if (members.length + databases.length === 0)
      throw new Error(`this world has no ${target.what} ${target.where ?? ''}`.trim());
    // The database first: that is what a fault is usually timed against.
    await Promise.all(databases.map(onDatabase));
    for (const { name } of members) await onMember(name);
    return [...databases.map(({ name }) => `database ${name}`), ...members.map(({ name }) => name)];
  };
  const signal = (name: string, what: NodeJS.Signals): void => {
    const entry = running.get(name);
    if (entry?.child.pid !== undefined && entry.state !== 'stopped') signalGroup(entry.child.pid, what);
  };
  const setLinks = (chosen: NamedLink[], change: Parameters<NamedLink['link']['set']>[0]): string[] => {
    for (const { link } of chosen) link.set(change);
    return chosen.map(({ name }) => name);
  };
  const linksOf = (region: string): NamedLink[] =>
    links.filter((link) => link.regions.includes(regionOf(spec, region).name));

  return {
    status: () => status(spec, [...running.values()], links),
    kill: (target) =>
      applyTo(
        target,
        async (name) => {
          const entry = running.get(name);
          if (!entry || entry.state === 'stopped') return;
          const gone = new Promise((resolve) => entry.child.once('exit', resolve));
          signal(name, 'SIGKILL');
          await gone;
        },
        (region) => killPostgres(dataOf(region)),
      ),
    start: (target) =>
      applyTo(
        target,
        (name) => {
          const entry = running.get(name);
          if (entry?.state === 'stopped') begin(entry.member);
        },
        async (region) => void (await startPostgres({ data: dataOf(region), bin: postgres.bin })),
      ),
    freeze: (target) =>
      applyTo(
        target,
        (name) => {
          signal(name, 'SIGSTOP');
          const entry = running.get(name);
          if (entry?.state === 'running') entry.state = 'frozen';
        },
        (region) => freezePostgres(dataOf(region), true),
      ),
    partition: (region, mode) => setLinks(linksOf(region), { mode }),
    stallReplication: () =>
      setLinks(
        links.filter(({ kind }) => kind === 'replication'),
        { mode: 'stall' },
      ),
    delay: (region, delayMs) => setLinks(linksOf(region), { delayMs }),
    heal: () => {
      const healed = setLinks(
        links.filter(({ link }) => link.state().mode !== 'open' || link.state().delayMs > 0),
        { mode: 'open', delayMs: 0 },
      );
      for (const [name, entry] of running) {
        if (entry.state !== 'frozen') continue;
        signal(name, 'SIGCONT');
        entry.state = 'running';
        healed.push(name);
      }
      for (const region of spec.regions) freezePostgres(dataOf(region), false);
      return healed;
    },
    end: async (graceMs) => {
      await endRecorded(record, graceMs);
      await Promise.all(links.map(({ link }) => link.close()));
    },
  };
}

async function createDatabases(spec: WorldSpec, postgres: PostgresPart, record: string): Promise<void> {
  rmSync(spec.nodes, { recursive: true, force: true });
  mkdirSync(spec.nodes, { recursive: true });
  for (const region of spec.regions) recordPostgres(record, `database ${region.name}`, dataOf(region));
  const home = regionOf(spec, HOME_REGION);
  const primary = await createPrimary({
    dir: home.node,
    port: home.databasePort,
    bin: postgres.bin,
    name: nodeName(home.name),
  });
  await withClient(urlOf({ port: primary.port }, 'app'), (client) => client.query(SCHEMA));
  for (const region of spec.regions.filter(({ name }) => name !== HOME_REGION)) {
    await createReplica({
      from: primary,
      via: { port: home.links.replication },
      dir: region.node,
      port: region.databasePort,
      slot: slotOf(region.name),
      name: nodeName(region.name),
    });
  }
}

/**
 * The region whose database takes writes now, as seen from outside the world.
 * @throws Error when there is none or more than one
 */
export async function regionOfActive(world: WorldReport): Promise<string> {
  const regions = Object.entries(world.regions);
  const writable = await Promise.all(
    regions.map(async ([name, { database }]) => {
      const asked = withClient(database, (client) => client.query('SELECT pg_is_in_recovery() AS replica'));
      return asked.then(
        ({ rows }) => (rows[0]?.replica === false ? [name] : []),
        () => [],
      );
    }),
  );
  const [active, ...more] = writable.flat();
  if (active === undefined || more.length > 0)
    throw new Error(`${active === undefined ? 'no' : 'more than one'} database takes writes`);
  return active;
}

/** The same from inside, where the data directories are. */
async function activeRegion(spec: WorldSpec): Promise<string> {
  const roles = await Promise.all(
    spec.regions.map(async (region) => ({ region: region.name, role: await roleOf(region) })),
  );
  const active = roles.find(({ role }) => role === 'primary');
  if (!active)
    throw new Error(
      `no database takes writes now (${roles.map((r) => `${r.region}: ${r.role}`).join(', ')}): name the region`,
    );
  return active.region;
}

async function roleOf(region: RegionSpec): Promise<WorldStatus['databases'][number]['role']> {
  const postmaster = readPostmaster(dataOf(region));
  if (!postmaster) return 'stopped';
  const question = withClient(urlOf({ port: region.databasePort }, 'rampart', 'postgres'), (client) =>
    client.query<{ replica: boolean }>('SELECT pg_is_in_recovery() AS replica'),
  ).then(
    ({ rows }) => (rows[0]?.replica ? ('replica' as const) : ('primary' as const)),
    () => 'silent' as const,
  );
  const patience = new Promise<'frozen'>((resolve) => setTimeout(resolve, 1_000, 'frozen'));
  return Promise.race([question, patience]);
}

/** @throws Error that says what a fault can be aimed at */
function check(spec: WorldSpec, { what, where }: Target): void {
  if (what === 'region' && where === undefined)
    throw new Error(`which region? ${spec.regions.map(({ name }) => name).join(' or ')}`);
  if (where === undefined || (what === 'worker' && where === 'control')) return;
  if (what === 'temporal' || what === 'router' || what === 'load')
    throw new Error(`${what} stands outside the regions`);
  regionOf(spec, where);
}

async function status(
  spec: WorldSpec,
  entries: Array<{ member: Member; child: ChildProcess; state: MemberState }>,
  links: NamedLink[],
): Promise<WorldStatus> {
  const pidOf = (entry: (typeof entries)[number]): number | null =>
    entry.state === 'stopped' ? null : (entry.child.pid ?? null);
  const pids = (kind: Member['kind'], region: string): number[] =>
    entries
      .filter(({ member }) => member.kind === kind && member.region === region)
      .flatMap((entry) => pidOf(entry) ?? []);
  const databases = await Promise.all(
    spec.regions.map(async (region) => ({
      region: region.name,
      pid: readPostmaster(dataOf(region))?.pid ?? null,
      role: await roleOf(region),
    })),
  );
  return {
    name: spec.name,
    world: {
      temporal: {
        address: temporalAddress(spec),
        namespace: spec.temporal.namespace,
        ui: spec.temporal.existing ? null : webUi(spec),
      },
      config: join(spec.dir, 'rampart.yaml'),
      edge: `http://127.0.0.1:${spec.edgePort}`,
      writer: urlOf({ port: spec.writerPort }, 'app'),
      services: [SERVICE],
      regions: Object.fromEntries(
        spec.regions.map((region) => [
          region.name,
          {
            database: urlOf({ port: region.databasePort }),
            app: `http://127.0.0.1:${region.appPort}`,
            dataDir: dataOf(region),
            pids: {
              database: databases.find((database) => database.region === region.name)?.pid ?? null,
              app: pids('app', region.name)[0] ?? null,
              workers: pids('worker', region.name),
            },
          },
        ]),
      ),
    },
    members: entries.map((entry) => ({
      name: entry.member.name,
      kind: entry.member.kind,
      region: entry.member.region,
      pid: pidOf(entry),
      state: entry.state,
    })),
    databases,
    links: reportLinks(links),
    load: spec.load > 0 ? { port: spec.loadPort, perSecond: spec.load } : null,
  };
}

/** Keeps the specification beside the world, for people and for tools that look at it later. */
export function saveSpec(spec: WorldSpec): void {
  writeFileSync(join(spec.dir, 'world.json'), `${JSON.stringify(spec, null, 2)}\n`);
}
