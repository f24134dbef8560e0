/**
 * What the world really was, moment by moment, seen from outside Rampart: roles of both databases, weights of Traefik,
 * health and capacity of both apps.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Weights } from '../../drivers/ports.ts';
import { SERVICE, type WorldSpec } from '../../lab/world/spec.ts';
import { until } from '../integration/world.ts';
import { breathe, type Hands } from './hands.ts';

export interface RoleSeen {
  at: number;
  region: string;
  writable: boolean;
  timeline: number | null;
}

export interface WeightsSeen {
  at: number;
  /** When the last look began that showed them: later ones showed others. */
  until: number;
  router: 'edge' | 'writer';
  weights: Weights;
}

/** An app as its own contract shows it; `null`: it did not answer. */
export interface PlaceSeen {
  at: number;
  /** When the last look began that showed this. */
  until: number;
  region: string;
  healthy: boolean | null;
  capacity: { present: number; wanted: number } | null;
}

/** A time in which every look at a database failed. */
export interface Silence {
  region: string;
  from: number;
  to: number;
  /** It refused, or is known to be frozen: nobody got an answer. Else the look itself may have been too slow. */
  sure: boolean;
}

export interface Recording {
  roles: RoleSeen[];
  weights: WeightsSeen[];
  places: PlaceSeen[];
  silences: Silence[];
}

export interface Recorder {
  /** Begins anew, with the present state as the first entries. */
  begin(): void;
  recorded(): Recording;
  /** Waits until a look that begins now has told what a database is. */
  untilKnown(region: string): Promise<void>;
  stop(): Promise<void>;
}

/** How often each database is looked at, in milliseconds. */
const EVERY_MS = 25;
/** How often each app is, in milliseconds. */
const PLACE_EVERY_MS = 150;
/** What has not answered by then accepts nothing from us, in milliseconds: on a busy machine a login alone takes a second. */
const ANSWER_MS = 3_000;
/** An answer that took longer says little about when it was true, in milliseconds. */
const SLOW_MS = 250;

/** Looks until it is stopped. Writes nothing down but changes. */
export function startRecorder(hands: Hands): Recorder {
  const regions = Object.entries(hands.world.report.regions);
  const spec = JSON.parse(readFileSync(join(hands.world.lab.dir, 'world.json'), 'utf8')) as WorldSpec;
  const empty = (): Recording => ({ roles: [], weights: [], places: [], silences: [] });
  let recording = empty();
  let last = new Map<string, boolean | string>();
  /** When the last look at a region began that told what its database is. */
  const knownAt = new Map<string, number>();
  const over = new AbortController();
  const looks = [
    ...regions.map(([region, { database }]) => watchDatabase(region, database)),
    ...regions.map(([region, { app }]) => watchPlace(region, app)),
    watchWeights('edge'),
    watchWeights('writer'),
  ];
  return {
    begin: () => {
      recording = empty();
      last = new Map();
    },
    recorded: () => recording,
    untilKnown: async (region) => {
      const now = Date.now();
      const look = async (): Promise<true | undefined> => ((knownAt.get(region) ?? 0) >= now ? true : undefined);
      await until(`the recorder looks at the database of ${region}`, look, 30_000);
    },
    stop: async () => {
      over.abort();
      await Promise.all(looks);
    },
  };

  /**
   * A side counts as writable from the first answer that says so until the question of the last one: nothing in between
   * is guessed, so that two sides that overlap here have really overlapped. Silence changes nothing: a frozen primary
   * is one that may wake up.
   */
  async function watchDatabase(region: string, url: string): Promise<void> {
    let client: pg.Client | null = null;
    let trueAt = Date.now();
    let silence: Silence | undefined;
    while (!over.signal.aborted) {
      const askedAt = Date.now();
      let seen: { writable: boolean; timeline: number | null } | null = null;
      const asked: pg.Client = client ?? newClient(url);
      try {
        if (client === null) await asked.connect();
        client = asked;
        const { rows } = await asked.query(
          'SELECT NOT pg_is_in_recovery() AS writable, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline',
        );
        seen = rows[0];
      } catch (error) {
        asked.end().catch(() => {});
        client = null;
        if (!/timeout/i.test((error as Error).message)) seen = { writable: false, timeline: null };
      }
      if (seen !== null && last.get(region) !== seen.writable) {
        const first = !last.has(region);
        last.set(region, seen.writable);
        recording.roles.push({ at: seen.writable || first ? Date.now() : trueAt, region, ...seen });
      }
      if (seen?.writable) trueAt = askedAt;
      silence = silenceAfter({ region, askedAt, answered: client !== null, refused: seen !== null }, silence);
      if (seen !== null) knownAt.set(region, askedAt);
      await breathe(EVERY_MS);
    }
    await client?.end().catch(() => {});
  }

  /** What it was while no look came through is open until the next answer; that it answered nobody, until the last look. */
  function silenceAfter(
    look: { region: string; askedAt: number; answered: boolean; refused: boolean },
    present: Silence | undefined,
  ): Silence | undefined {
    const { region, askedAt, answered, refused } = look;
    const to = Date.now();
    if (present?.sure === false) present.to = to;
    if (answered && to - askedAt < SLOW_MS) return undefined;
    const sure = !answered && (refused || hands.frozenDatabases().has(region));
    if (present?.sure === sure) {
      if (sure) present.to = askedAt;
      return present;
    }
    const silence = { region, from: askedAt, to: sure ? askedAt : to, sure };
    recording.silences.push(silence);
    return answered ? undefined : silence;
  }

  async function watchPlace(region: string, app: string): Promise<void> {
    while (!over.signal.aborted) {
      const askedAt = Date.now();
      const seen = await readPlace(app).catch(() => ({ healthy: null, capacity: null }));
      const text = JSON.stringify(seen);
      if (last.get(`app ${region}`) !== text) {
        last.set(`app ${region}`, text);
        recording.places.push({ at: Date.now(), until: askedAt, region, ...seen });
      } else recording.places.findLast((place) => place.region === region)!.until = askedAt;
      await breathe(PLACE_EVERY_MS);
    }
  }

  async function watchWeights(router: WeightsSeen['router']): Promise<void> {
    while (!over.signal.aborted) {
      const askedAt = Date.now();
      const weights = await appliedWeights(spec, router).catch(() => null);
      const text = JSON.stringify(weights);
      if (weights !== null && last.get(router) !== text) {
        last.set(router, text);
        recording.weights.push({ at: Date.now(), until: askedAt, router, weights });
      } else if (weights !== null) recording.weights.findLast((seen) => seen.router === router)!.until = askedAt;
      await breathe(2 * EVERY_MS);
    }
  }
}

function newClient(url: string): pg.Client {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS });
  client.on('error', () => {});
  return client;
}

async function readPlace(app: string): Promise<Pick<PlaceSeen, 'healthy' | 'capacity'>> {
  const answer = await fetch(`${app}/rampart`, { signal: AbortSignal.timeout(ANSWER_MS) });
  const { ready, capacity } = (await answer.json()) as { ready: boolean; capacity: PlaceSeen['capacity'] };
  return { healthy: ready, capacity };
}

/** What Traefik itself says that it applies, in percent by region. */
export async function appliedWeights(spec: WorldSpec, router: WeightsSeen['router']): Promise<Weights> {
  const kind = router === 'edge' ? 'http' : 'tcp';
  const url = `http://127.0.0.1:${spec.traefikApiPort}/api/${kind}/services/${SERVICE}-${router}@file`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  const found = (await answer.json()) as {
    weighted?: { services?: Array<{ name: string; weight?: number }> };
    loadBalancer?: { servers?: Array<{ address?: string }> };
  };
  const entries = spec.regions.map(({ name, links }): [string, number] => {
    if (router === 'writer') {
      const here = found.loadBalancer?.servers?.some(({ address }) => address?.endsWith(`:${links.database}`));
      return [name, here ? 100 : 0];
    }
    const own = found.weighted?.services?.find((one) => one.name.replace(/@file$/, '') === `${SERVICE}-edge-${name}`);
    return [name, own?.weight ?? 0];
  });
  return Object.fromEntries(entries);
}
