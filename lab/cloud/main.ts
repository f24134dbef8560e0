/**
 * The provider of a world that is built by an example: control planes out of emulators and fakes, at one address, and
 * real servers, routes and apps that do what the control planes say, as a provider's data planes do.
 *
 *   node main.js <world.json>
 *
 *   GET /_lab/ready    200 once everything exists that the topology names; see {@link Ready}
 *   GET /_lab/follow   from now on what is real follows
 */
import { readFileSync } from 'node:fs';
import { installPart } from '../parts/install.ts';
import type { Cloud, WorldSpec } from '../world/spec.ts';
import { untilAnswers } from '../world/temporal.ts';
import { awsCloudflare } from './aws-cloudflare.ts';
import { LAB_CREDENTIALS, openClients } from './clients.ts';
import { type Follower, follow } from './follower.ts';
import { startFront } from './front.ts';
import type { OpenProvider } from './provider.ts';
import { rdsPostgres } from './rds-postgres.ts';

/** What exists only once the provider runs. */
export interface Ready {
  /** What the topology names, by component and by region of the lab where it has sides. */
  names: Record<string, Record<string, string>>;
  /** `host:port` of the name server. */
  nameServer: string;
  /** Credentials, for workers and people. Nothing of it is a secret. */
  env: Record<string, string>;
}

const PROVIDERS: Record<Cloud, OpenProvider> = { 'aws-cloudflare': awsCloudflare, 'rds-postgres': rdsPostgres };

const file = process.argv[2];
if (!file) throw new Error('usage: main.js <world.json>');
const spec = JSON.parse(readFileSync(file, 'utf8')) as WorldSpec;
if (spec.provider === null || spec.cloud === null) throw new Error(`the world ${spec.name} has no provider`);
const emulator = `http://127.0.0.1:${spec.provider.emulator}`;
const followers: Record<string, Follower> = {};
let ready: Ready | undefined;
let begun: Promise<void> | undefined;

const regions = spec.regions.map(({ name }) => name);
const [clients, { bin }] = await Promise.all([openClients(emulator, regions), installPart('postgres')]);
const provider = await PROVIDERS[spec.cloud]({ spec, clients, bin });
await startFront({
  port: spec.provider.api,
  upstream: (service) => provider.upstreams[service] ?? emulator,
  amend: (service, operation, answer) => provider.amend?.(service, operation, answer) ?? answer,
  changed: (change) => {
    provider.hear(change);
    followers[change.service]?.nudge();
  },
  page: async (path) => {
    if (path === '/_lab/ready') return ready;
    if (path !== '/_lab/follow' || ready === undefined) return undefined;
    begun ??= begin();
    await begun;
    return { following: Object.keys(followers) };
  },
});
await untilAnswers(`${emulator}/_ministack/health`, 90_000, 'the emulator of AWS');
const { env, ...made } = await provider.create();
ready = { ...made, env: { ...LAB_CREDENTIALS, ...env } };

/** The databases are there: from here on they are the provider's. */
async function begin(): Promise<void> {
  const looks = await provider.begin();
  for (const [service, look] of Object.entries(looks)) followers[service] = follow(service, look);
}
