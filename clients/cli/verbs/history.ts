import { buildReport } from '../../../evidence/report.ts';
import { lockOf } from '../../../topology/model.ts';
import { runLink, type Temporal, TemporalAway } from '../../connection.ts';
import { type DrillRun, drillRuns } from '../../drills/runs.ts';
import { historyOf, type PastRun, type ServiceHistory, type StoredRun } from '../../reports/history.ts';
import { summaryOf, summaryOfDrill } from '../../reports/manifest.ts';
import { type Ending, endingOf, listRuns, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';
import { historyLines, overviewLines } from '../render/history.ts';
import { openStore, storedRuns } from '../reports.ts';
import { withTemporal } from '../session.ts';
import { findTopology, lockFor } from '../topology.ts';

const LIMIT = 20;
/** So many services are asked about at the same time. */
const AT_ONCE = 4;

interface HistoryOptions {
  limit?: string;
  store?: string;
}

/** A service with the workflow ID of its runs. */
interface Asked {
  service: string;
  lock: string;
  stored: StoredRun[];
}

/** `rampart history [service]`: past runs, newest first; without a service, what each last proved. */
export async function run(cli: Cli, args: string[], options: HistoryOptions): Promise<ExitCode> {
  const [service] = args as [string?];
  const limit = options.limit === undefined ? LIMIT : Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1) throw badInput(`--limit ${options.limit}: a whole number from 1`);
  const services = await servicesOf(cli, service, options);
  const { histories, trouble } = await ask(cli, services, limit);
  if (service === undefined) {
    cli.answer({ services: histories.map((one) => ({ ...forJson(one), runs: one.runs.length })), trouble });
    for (const line of overviewLines(histories, cli.paint)) cli.print(line);
  } else {
    const [one] = histories as [ServiceHistory];
    cli.answer({ ...forJson(one), trouble });
    for (const line of historyLines(one, cli.paint)) cli.print(line);
  }
  return EXIT.done;
}

/** Those of the topology, and those that only the store still knows. */
async function servicesOf(cli: Cli, service: string | undefined, options: HistoryOptions): Promise<Asked[]> {
  const storage = await openStore(cli, options.store);
  const stored = (name: string) => storedRuns(storage, name.replace(/^failover\//, ''));
  if (service !== undefined) return [{ service, lock: await lockFor(cli, service), stored: await stored(service) }];
  const known = (await findTopology(cli))?.services ?? {};
  const names = [...new Set([...Object.keys(known), ...((await storage.services()) ?? [])])].sort();
  if (names.length === 0)
    throw badInput('there is no topology and no report store to find services in', 'rampart history <service>');
  return Promise.all(
    names.map(async (name) => ({ service: name, lock: lockOf(known[name] ?? { name }), stored: await stored(name) })),
  );
}

/** What Temporal knows, joined with the store; from the store alone when Temporal is away and there is one. */
async function ask(
  cli: Cli,
  services: Asked[],
  limit: number,
): Promise<{ histories: ServiceHistory[]; trouble: string | null }> {
  const now = Date.now();
  try {
    return await withTemporal(cli, services.length === 1 ? services[0]!.service : undefined, async (temporal) => {
      const histories: ServiceHistory[] = [];
      const drills = await drillRuns(temporal);
      for (let i = 0; i < services.length; i += AT_ONCE)
        histories.push(
          ...(await Promise.all(
            services
              .slice(i, i + AT_ONCE)
              .map(async (one) => historyOf(one.service, await runsOf(temporal, one, limit, drills), one.stored, now)),
          )),
        );
      return { histories, trouble: null };
    });
  } catch (error) {
    if (!(error instanceof TemporalAway) || services.every(({ stored }) => stored.length === 0)) throw error;
    const trouble = `${error.message}; this is what the report store holds`;
    cli.note(`rampart: ${trouble}`);
    return { histories: services.map((one) => historyOf(one.service, [], one.stored, now)), trouble };
  }
}

async function runsOf(
  temporal: Temporal,
  { service, lock, stored }: Asked,
  limit: number,
  drills: readonly DrillRun[],
): Promise<PastRun[]> {
  const filed = new Set(stored.map(({ summary }) => summary.runId));
  const runs = await listRuns(temporal, lock, limit);
  const past = await Promise.all(
    runs.map(async (one) =>
      pastRun(temporal, one, filed.has(one.runId) ? null : await endingIfClosed(temporal, one), stored),
    ),
  );
  // Services of one group share the lock; a run that left no record is shown with each of them.
  const own = past
    .filter(({ of }) => of === null || of === service || service.startsWith('failover/'))
    .map(({ run }) => run);
  return [...own, ...(await apart(temporal, drills.filter((one) => one.service === service).slice(0, limit)))];
}

/** Drills that never came under the service's lock: skipped ones, and those that change nothing. */
async function apart(temporal: Temporal, drills: readonly DrillRun[]): Promise<PastRun[]> {
  const all = await Promise.all(drills.map(async (one) => ({ one, ending: await endingIfClosed(temporal, one) })));
  return all
    .filter(({ ending }) => ending !== null && (ending.drill === undefined || ending.drill.legs.length === 0))
    .map(({ one, ending }) => {
      const { run } = pastRun(temporal, one, ending, []);
      return ending!.drill?.verdict === 'skipped' ? { ...run, outcome: 'skipped' } : run;
    });
}

function pastRun(
  temporal: Temporal,
  one: RunRef,
  ending: Ending | null,
  stored: readonly StoredRun[],
): { run: PastRun; of: string | null } {
  const { record = null, drill } = ending ?? {};
  const filed = stored.find(({ summary }) => summary.runId === one.runId)?.summary ?? null;
  return {
    of: (drill ?? record)?.service ?? null,
    run: {
      workflowId: one.workflowId,
      runId: one.runId,
      action: one.type,
      state: one.closedAt === null ? 'running' : 'closed',
      startedAt: one.startedAt,
      closedAt: one.closedAt,
      outcome: ending?.outcome ?? filed?.outcome ?? null,
      text: ending?.text ?? '',
      link: runLink(temporal, one.workflowId, one.runId),
      summary: drill !== undefined ? summaryOfDrill(drill) : record === null ? filed : summaryOf(buildReport(record)),
      report: null,
    },
  };
}

async function endingIfClosed(temporal: Temporal, one: RunRef): Promise<Ending | null> {
  if (one.closedAt === null || one.status === 'CONTINUED_AS_NEW') return null;
  return endingOf(temporal, one).catch(() => null);
}

function forJson({ runs, ...rest }: ServiceHistory) {
  return {
    ...rest,
    runs: runs.map(({ summary, ...one }) => ({
      ...one,
      mode: summary?.mode ?? null,
      from: summary?.from ?? null,
      to: summary?.to ?? null,
      by: summary?.by ?? null,
      verdict: summary?.verdict ?? null,
      rtaMs: summary?.rtaMs ?? null,
      rpaMs: summary?.rpaMs ?? null,
    })),
  };
}
