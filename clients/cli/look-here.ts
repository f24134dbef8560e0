/** A look at a service from this machine, with the drivers of this build. */
import { drivers } from '../../drivers/registry.ts';
import type { Topology } from '../../topology/model.ts';
import { type Look, lookAt } from '../observe.ts';
import type { Cli } from './cli.ts';
import { serviceIn } from './topology.ts';

/** Longest time for a look, in milliseconds. */
const LOOK_MS = 3_000;

/** Looks at stores, routers and workloads of a service. Changes nothing. */
export const lookHere = (cli: Cli, topology: Topology, name: string): Promise<Look> =>
  lookAt(topology, serviceIn(topology, name), {
    drivers,
    env: cli.io.env,
    budgetMs: LOOK_MS,
    signal: cli.io.signal,
  });
