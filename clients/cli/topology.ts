/** The topology as verbs need it: checked, or as much of it as there is when the file is broken in a bad hour. */
import { drivers } from '../../drivers/registry.ts';
import type { Drill } from '../../topology/drill.ts';
import { type LoadResult, loadTopology } from '../../topology/load.ts';
import { lockOf, type Service, type Topology } from '../../topology/model.ts';
import { formatProblems } from '../../topology/problem.ts';
import { hint } from '../../topology/suggest.ts';
import type { Cli } from './cli.ts';
import { badInput } from './exit.ts';

const load = (cli: Cli): Promise<LoadResult> =>
  loadTopology({ path: cli.config, env: cli.io.env, cwd: cli.io.cwd }, drivers);

/** @throws CliError with every problem of the file */
export async function requireTopology(cli: Cli): Promise<Topology> {
  const { topology, problems } = await load(cli);
  if (topology !== undefined) return topology;
  const errors = problems.filter(({ severity }) => severity === 'error');
  const [first, ...rest] = formatProblems(errors).split('\n');
  throw badInput(first!, ...rest);
}

/** The topology if there is a valid one. A broken file must not keep a person from stopping a run. */
export async function findTopology(cli: Cli): Promise<Topology | null> {
  const { topology, problems } = await load(cli);
  if (topology !== undefined) return topology;
  const absent = problems.length === 1 && problems[0]!.code === 'no_file' && cli.config === undefined;
  if (!absent) cli.note('rampart: the topology file is not valid (rampart validate); going on without it');
  return null;
}

/** @throws CliError naming the services that exist */
export function serviceIn(topology: Topology, name: string): Service {
  const service = topology.services[name];
  if (service !== undefined) return service;
  throw badInput(`${topology.path} has no service "${name}"${hint(name, Object.keys(topology.services))}`);
}

/** @throws CliError naming the drills that exist */
export function drillIn(topology: Topology, name: string): Drill {
  const drill = topology.drills[name];
  if (drill !== undefined) return drill;
  throw badInput(`${topology.path} has no drill "${name}"${hint(name, Object.keys(topology.drills))}`);
}

/** Regions a service can be in, home first. */
export const regionsOf = (service: Service): string[] => [service.home, ...service.standby];

/** @throws CliError naming the regions of the service */
export function checkRegion(service: Service, option: string, region: string | undefined): void {
  if (region === undefined || regionsOf(service).includes(region)) return;
  throw badInput(`${option} ${region}: ${service.name} is not in that region${hint(region, regionsOf(service))}`);
}

/** The workflow ID of the service's halt; like its lock. */
export const haltFor = async (cli: Cli, service: string): Promise<string> => haltOfLock(await lockFor(cli, service));

export const haltOfLock = (lock: string): string => lock.replace(/^failover\//, 'halt/');

/**
 * The workflow ID of the service's runs. Without a topology the service is taken to stand alone: a wrong ID finds no
 * run, and a run refuses to start under it.
 */
export async function lockFor(cli: Cli, service: string): Promise<string> {
  if (service.startsWith('failover/')) return service;
  const topology = await findTopology(cli);
  return topology === null ? lockOf({ name: service }) : lockOf(serviceIn(topology, service));
}
