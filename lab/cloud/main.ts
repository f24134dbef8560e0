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
import { renderTraefikFile } from '../../drivers/traefik/file.ts';
import { installPart } from '../parts/install.ts';
import { type RegionSpec, SERVICE, type WorldSpec } from '../world/spec.ts';
import { untilAnswers } from '../world/temporal.ts';
import { writerFile } from '../world/traefik.ts';
import { addFunctions, createGlobal, globalDatabase } from './aurora.ts';
import { openClients } from './clients.ts';
import { openEdge, replaceFile } from './edge.ts';
import { type Follower, follow } from './follower.ts';
import { startFront } from './front.ts';
import { createZone, openNameServer } from './records.ts';
import { createServices, setApp, wantedTasks } from './tasks.ts';

/** What exists only once the provider runs. */
export interface Ready {
  /** Id of the hosted zone. */
  hostedZone: string;
  /** `host:port` of its name server. */
  nameServer: string;
}

const file = process.argv[2];
if (!file) throw new Error('usage: main.js <world.json>');
const spec = JSON.parse(readFileSync(file, 'utf8')) as WorldSpec;
if (spec.provider === null) throw new Error(`the world ${spec.name} has no provider`);
const emulator = `http://127.0.0.1:${spec.provider.emulator}`;
const { bin } = await installPart('postgres');
const followers: Record<string, Follower> = {};
let ready: Ready | undefined;

const clients = await openClients(
  emulator,
  spec.regions.map(({ name }) => name),
);
const edge = await openEdge(spec);
const database = globalDatabase(spec, clients, bin, pointWriter);
await startFront({
  port: spec.provider.api,
  upstream: (service) => (service === 'cloudflare' ? new URL(edge.baseURL).origin : emulator),
  changed: (change) => {
    if (change.service === 'rds') database.hear(change);
    followers[change.service]?.nudge();
  },
  page: (path) => {
    if (path === '/_lab/ready') return ready;
    if (path === '/_lab/follow') return begin();
    return undefined;
  },
});
await untilAnswers(`${emulator}/_ministack/health`, 90_000, 'the emulator of AWS');
const [hostedZone] = await Promise.all([
  createZone(spec, clients),
  createGlobal(spec, clients),
  createServices(spec, clients),
]);
const names = await openNameServer(clients, hostedZone);
ready = { hostedZone, nameServer: names.address };

/** The databases are there: from here on they are the provider's. */
async function begin(): Promise<{ following: string[] }> {
  if (Object.keys(followers).length === 0) {
    await addFunctions(spec);
    followers.rds = follow('databases', database.look);
    followers.route53 = follow('records', names.look);
    followers.cloudflare = follow('edge', edge.look);
    followers.ecs = follow('apps', async () => {
      for (const { name, appPort } of spec.regions) await setApp(appPort, (await wantedTasks(clients, name)) > 0);
      // Health is what the load balancer sees of it.
      followers.cloudflare?.nudge();
      return true;
    });
  }
  return { following: Object.keys(followers) };
}

function pointWriter(region: RegionSpec): void {
  const weights = Object.fromEntries(spec.regions.map(({ name }) => [name, name === region.name ? 100 : 0]));
  const text = renderTraefikFile({
    kind: 'endpoint',
    service: `${SERVICE}-writer`,
    entryPoint: 'writer',
    servers: Object.fromEntries(spec.regions.map(({ name, links }) => [name, [`127.0.0.1:${links.database}`]])),
    weights,
  });
  if (readFileSync(writerFile(spec), 'utf8') !== text) replaceFile(spec, writerFile(spec), text);
}
