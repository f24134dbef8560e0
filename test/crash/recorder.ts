/**
 * What the world really was, moment by moment, seen from outside Rampart: roles of both databases, weights of Traefik,
 * health and capacity of both apps.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Weights } from '../../drivers/ports.ts';
import { SERVICE, type WorldSpec } from '../../lab/world/spec.ts';
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

/** A database that gave nobody a reading: it was asked again and again in this time. */
export interface Silence {
  region: string;
  from: number;
  to: number;
}

export interface Recording {
  roles: RoleSeen[];
  weights: WeightsSeen[];
  places: PlaceSeen[];
  silences: Silence[];
  /** Longest time between two looks at one database, milliseconds: how coarse this is. */
  coarsestMs: number;
}

export interface Recorder {
  /** Begins anew, with the present state as the first entries. */
  begin(): void;
  recorded(): Recording;
  stop(): Promise<void>;
}

/** How often each database is looked at, in milliseconds. */
const EVERY_MS = 25;
/** How often each app is, in milliseconds. */
const PLACE_EVERY_MS = 150;
/** Looks in a row that fail until it counts as silence: one alone may be this process's own delay. */
const SILENT_LOOKS = 3;
/** A database that has not answered by then accepts nothing from us, in milliseconds. */
const ANSWER_MS = 700;

/** Looks until it is stopped. Writes nothing down but changes. */
export function startRecorder(hands: Hands): Recorder {
  const regions = Object.entries(hands.world.report.regions);
  const spec = JSON.parse(readFileSync(join(hands.world.lab.dir, 'world.json'), 'utf8')) as WorldSpec;
  const empty = (): Recording => ({ roles: [], weights: [], places: [], silences: [], coarsestMs: 0 });
  let recording = empty();
  let last = new Map<string, boolean | string>();
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
    let lookedAt = performance.now();
    let trueAt = Date.now();
    let failed = 0;
    let failingSince = 0;
    while (!over.signal.aborted) {
      const began = performance.now();
      const askedAt = Date.now();
      recording.coarsestMs = Math.max(recording.coarsestMs, began - lookedAt);
      lookedAt = began;
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
      if (client === null) {
        if (failed === 0) failingSince = askedAt;
        failed += 1;
        if (failed >= SILENT_LOOKS) noteSilence({ region, from: failingSince, to: askedAt });
      } else failed = 0;
      await breathe(EVERY_MS);
    }
    await client?.end().catch(() => {});
  }

  /** The present silence of a region grows; one that an earlier look began is the same. */
  function noteSilence(silence: Silence): void {
    const present = recording.silences.findLast(({ region }) => region === silence.region);
    if (present?.from === silence.from) present.to = silence.to;
    else recording.silences.push(silence);
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
