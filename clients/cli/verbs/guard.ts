import type { Watch } from '../../../topology/watches.ts';
import { guardOf, watchOf } from '../../../workflows/contract.ts';
import { runLink, type Temporal } from '../../connection.ts';
import { findRun, queryHealth, queryWatch } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { type Guarded, guardLines, guardsOverview } from '../render/guard.ts';
import { type WatchView, watchLines } from '../render/watch.ts';
import { withTemporal } from '../session.ts';
import { requireTopology, serviceIn } from '../topology.ts';

/**
 * `rampart guard [service]`: exit 1 when something is critical, a watch sees something wrong or cannot tell, or one that
 * the topology wants does not run.
 */
export async function run(cli: Cli, args: string[]): Promise<ExitCode> {
  const [name] = args as [string?];
  const topology = await requireTopology(cli);
  const named = name === undefined ? Object.values(topology.services) : [serviceIn(topology, name)];
  const services = named.filter(({ guard }) => guard?.enabled === true).map((service) => service.name);
  return withTemporal(cli, name, async (temporal) => {
    const guards = await Promise.all(services.map((service) => ask(temporal, service)));
    const wanted = Object.values(topology.watches).filter(({ service }) => name === undefined || service === name);
    const watches = await Promise.all(wanted.map((watch) => askWatch(temporal, watch)));
    cli.answer({ guards, watches });
    if (guards.length === 0) cli.print('No service of the topology wants a guard: guard.enabled is false.');
    for (const line of name === undefined
      ? guardsOverview(guards, cli.paint)
      : guards.flatMap((one) => guardLines(one, cli.paint)))
      cli.print(line);
    for (const line of watches.flatMap((one) => watchLines(one, cli.paint))) cli.print(line);
    const bad =
      guards.some(({ status }) => status?.health == null || status.health.verdict === 'critical') ||
      watches.some(({ status }) => status?.verdict !== 'well');
    return bad ? EXIT.failed : EXIT.done;
  });
}

async function ask(temporal: Temporal, service: string): Promise<Guarded> {
  const found = await findRun(temporal, guardOf(service));
  if (found === null || found.closedAt !== null)
    return {
      service,
      status: null,
      trouble: 'no guard runs: a control worker starts it within half a minute',
      link: null,
    };
  const link = runLink(temporal, found.workflowId, found.runId);
  try {
    return { service, status: await queryHealth(temporal, found), trouble: null, link };
  } catch (error) {
    return { service, status: null, trouble: error instanceof Error ? error.message : String(error), link };
  }
}

async function askWatch(temporal: Temporal, { name, service }: Watch): Promise<WatchView> {
  const none = { watch: name, service: service ?? null, status: null };
  try {
    const found = await findRun(temporal, watchOf(name));
    if (found === null || found.closedAt !== null)
      return { ...none, trouble: 'it does not run: a control worker starts it within half a minute' };
    return { ...none, status: await queryWatch(temporal, found), trouble: null };
  } catch (error) {
    return { ...none, trouble: error instanceof Error ? error.message : String(error) };
  }
}
