import type { Watch } from '../../../topology/watches.ts';
import { type GuardStatus, guardOf, watchOf } from '../../../workflows/contract.ts';
import { runLink, type Temporal } from '../../connection.ts';
import { findRun, queryHealth, queryWatch } from '../../runs.ts';
import type { Cli, Paint } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { plural, table } from '../render/table.ts';
import { type WatchView, watchLines } from '../render/watch.ts';
import { withTemporal } from '../session.ts';
import { requireTopology, serviceIn } from '../topology.ts';

/** One service's guard, as far as it can be asked. */
interface Guarded {
  service: string;
  status: GuardStatus | null;
  /** Why there is no status. */
  trouble: string | null;
  link: string | null;
}

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
    for (const line of name === undefined ? overview(guards, cli.paint) : guards.flatMap((one) => full(one, cli.paint)))
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

function overview(guards: readonly Guarded[], paint: Paint): string[] {
  return table(
    guards.map(({ service, status, trouble }) => {
      const health = status?.health ?? null;
      if (health === null) return [service, paint.yellow('not known'), '', trouble ?? 'it has not looked yet'];
      const sides = new Set(Object.values(health.active).map((side) => side?.region ?? '?'));
      const said = health.findings.filter(({ severity }) => severity !== 'info');
      const first = said[0]?.message ?? 'nothing to say';
      const more = said.length > 1 ? ` (and ${plural(said.length - 1, 'more finding')})` : '';
      return [service, verdict(health.verdict, paint), [...sides].join(', '), `${first}${more}`];
    }),
  );
}

function full({ service, status, trouble, link }: Guarded, paint: Paint): string[] {
  const health = status?.health ?? null;
  if (health === null) return [`${service}: ${paint.yellow('not known')}: ${trouble ?? 'it has not looked yet'}`];
  const lines = [`${service}: ${verdict(health.verdict, paint)}  ${paint.dim(`as of ${iso(health.at)}`)}`];
  for (const [store, side] of Object.entries(health.active))
    lines.push(`  ${store}: ${side === null ? 'no one writable side' : `writable in ${side.region} (${side.node})`}`);
  if (health.run !== null) lines.push(`  at work: ${health.run.type} since ${iso(health.run.startedAt)}`);
  if (status!.refence.text !== '') lines.push(`  returned old primary: ${status!.refence.text}`);
  const last = health.lastProof;
  lines.push(`  last proof: ${last === null ? 'none known' : `${last.type}, ${iso(last.at)}`}`);
  for (const one of health.findings)
    lines.push(
      `  ${verdict(one.severity, paint)}  ${one.message} (${one.code}, since ${iso(one.since)})`,
      `      ${one.remedy}`,
    );
  if (link !== null) lines.push(paint.dim(`  ${link}`));
  return lines;
}

const iso = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

function verdict(text: string, paint: Paint): string {
  if (text === 'critical') return paint.red(text);
  return text === 'warning' ? paint.yellow(text) : paint.green(text);
}
