/** An example of `examples/` from its plan to its failback, on its emulated provider with real data and real clients. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { openClients, type ProviderClients } from '../../lab/cloud/clients.ts';
import { problemsOf, type RunResult, rampWindows, summarize } from '../../lab/demo/result.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import type { Cloud, ProviderPorts, WorldSpec } from '../../lab/world/spec.ts';
import { type TestWorld, until } from '../integration/world.ts';

/** Component whose split is counted by what clients got, in both examples. */
const EDGE = 'edge';

/**
 * Plays a run to its end, its gates approved, under load, and looks for every order that was ever acknowledged in the
 * region it ends in.
 * @throws with the run's last words when it does not complete
 */
export async function play(
  world: TestWorld,
  action: string,
  input: object,
): Promise<{ result: RunResult; gates: string[] }> {
  const since = Date.now();
  const run = await world.start(action, input);
  const gates = await run.approveAll();
  const { status, text, record } = await run.ended();
  if (status !== 'completed') throw new Error(`${action} ended as ${status}: ${text}`);
  const load = await world.lab.load();
  const seen = await load.report(since, Date.now());
  const split: Parameters<typeof summarize>[0]['split'] = [];
  for (const { percent, from, to } of rampWindows(record, EDGE))
    split.push({ percent, regions: (await load.report(from, to)).regions });
  await load.pause();
  const verified = await load.verify(world.report.regions[record.to!]!.database);
  await load.resume();
  return { gates, result: summarize({ record, seen, verified, split, statedAtGate: null }) };
}

/**
 * A planned move of everything, approved once, that lost nothing and split the traffic as it says.
 * @param ramp the steps that are asked for
 */
export async function expectMove(world: TestWorld, action: string, to: string, ramp: number[]): Promise<void> {
  const { result, gates } = await play(world, action, { service: 'checkout', to, ramp });
  expect(problemsOf(result, ramp)).toEqual([]);
  expect(gates).toEqual(['cutover']);
  expect(result).toMatchObject({ outcome: 'completed', to, lost: 0, duplicated: 0 });
}

/** Clients of the provider, for a look at what its control planes say. */
export async function providerOf(world: TestWorld): Promise<{ ports: ProviderPorts; clients: ProviderClients }> {
  const { provider } = JSON.parse(readFileSync(join(world.lab.dir, 'world.json'), 'utf8')) as WorldSpec;
  const clients = await openClients(`http://127.0.0.1:${provider!.api}`, Object.keys(world.report.regions));
  return { ports: provider!, clients };
}

/** Tasks that each region wants. */
export async function tasksOf({ ecs }: ProviderClients): Promise<Record<string, number>> {
  const { DescribeServicesCommand } = await import('@aws-sdk/client-ecs');
  const command = new DescribeServicesCommand({ cluster: 'shop', services: ['checkout'] });
  const entries = Object.entries(ecs).map(async ([region, client]) => {
    const { services } = await client.send(command);
    return [region, services?.[0]?.desiredCount ?? -1] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

export interface Told {
  weight?: number;
  ttl?: number;
  value?: string;
}

/** Records of a name, by their identifier; `simple` for one without. */
export async function recordsOf({ dns }: ProviderClients, name: string): Promise<Record<string, Told>> {
  const { ListHostedZonesCommand, ListResourceRecordSetsCommand } = await import('@aws-sdk/client-route-53');
  const [zone] = (await dns.send(new ListHostedZonesCommand({}))).HostedZones!;
  const { ResourceRecordSets } = await dns.send(new ListResourceRecordSetsCommand({ HostedZoneId: zone!.Id! }));
  const own = ResourceRecordSets!.filter((set) => set.Name === `${name}.`);
  const entries = own.map(({ SetIdentifier: id = 'simple', Weight: weight, TTL: ttl, ResourceRecords }) => {
    const value = ResourceRecords?.[0]?.Value;
    return [id, { ttl, ...(weight === undefined ? { value } : { weight }) }] as const;
  });
  return Object.fromEntries(entries);
}

const BEGIN = '<!-- plan: written by the test of this example -->\n\n```text\n';
const END = '\n```';

/**
 * What `rampart plan failover` prints about the live state.
 * @throws with all it printed when it found a blocker: the exit code alone says nothing
 */
async function plannedFailover(world: TestWorld): Promise<string> {
  const launcher = join(repositoryRoot(), 'dist/clients/cli/main.js');
  const env = {
    ...process.env,
    RAMPART_CONFIG: world.report.config,
    TEMPORAL_ADDRESS: world.report.temporal.address,
    NO_COLOR: '1',
  };
  const args = [launcher, 'plan', 'failover', 'checkout', '--to', 'eu-central'];
  try {
    return (await promisify(execFile)(process.execPath, args, { env })).stdout;
  } catch (error) {
    const { message, stdout } = error as Error & { stdout?: string };
    throw new Error(`${message}\n${stdout ?? ''}`);
  }
}

/**
 * The plan of a failover against the live state is the one that the example's README shows.
 * `RAMPART_UPDATE_DOCS=1` writes it there.
 */
export async function expectPlanInReadme(world: TestWorld, cloud: Cloud): Promise<void> {
  // On a busy machine a new replica streams a moment later, or breaks off; a plan made meanwhile says so.
  const out = await until('a plan without a blocker', () => plannedFailover(world));
  const plan = out
    .replaceAll(/[0-9a-f]{64}/g, '4f5a…')
    // Under load a replica is a moment behind, and a reading has an age.
    .replace(/(orders-db: ).* old\)/, '$10 B, 0 s (1 s old)')
    .replace(/\d+ bytes and [\d.]+ s behind/, '0 bytes and 0 s behind')
    .trim();
  const file = join(repositoryRoot(), 'examples', cloud, 'README.md');
  const page = readFileSync(file, 'utf8');
  const [before, rest] = page.split(BEGIN) as [string, string];
  const shown = rest.slice(0, rest.indexOf(END));
  if (process.env.RAMPART_UPDATE_DOCS) writeFileSync(file, `${before}${BEGIN}${plan}${rest.slice(rest.indexOf(END))}`);
  else expect(plan).toBe(shown);
}
