/** `rampart status`: every service on one screen. What was not observed is not shown as known. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lag, Weights } from '../../drivers/ports.ts';
import { within } from '../../drivers/within.ts';
import type { Classified, Plan } from '../../plan/model.ts';
import { lockOf, type Service, type Topology } from '../../topology/model.ts';
import { inTime } from '../ask.ts';
import { connect, runLink, type Temporal } from '../connection.ts';
import { type View, viewOf } from '../follow.ts';
import { findOpenHalt } from '../halts.ts';
import { findRun, type RunRef } from '../runs.ts';
import { startPlan } from '../start.ts';
import type { Cli } from './cli.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { explain } from './explain.ts';
import { lookHere } from './look-here.ts';
import { clock } from './render/facts.ts';
import { haltedAnswer } from './render/halt.ts';
import { activeRegion } from './render/look.ts';
import { changeLine, overviewLines } from './render/overview.ts';
import { Screen } from './render/screen.ts';
import { haltOfLock, requireTopology } from './topology.ts';

export interface OverviewOptions {
  watch: boolean;
  timeoutMs: number | undefined;
  how: 'here' | 'workers' | 'no';
}

/** What was observed of one service, and by whom. */
export interface Observed {
  by: 'here' | 'workers';
  at: number;
  classified: Classified;
  weights: Record<string, Weights | null>;
  lag: Record<string, Lag | null>;
  /** What could not be seen, a sentence each. */
  unseen: string[];
}

export interface ServiceRow {
  service: Service;
  lock: string;
  observed: Observed | null;
  /** The run that is on, or the last one; `null` when there is none or Temporal does not answer. */
  view: View | null;
  /** The halt that is open; `null` when there is none or Temporal does not answer. */
  halt: RunRef | null;
}

const INTERVAL_MS = 2_000;
/** Longest time for an observation by workers, in milliseconds. */
const PLAN_MS = 8_000;

export async function overview(cli: Cli, options: OverviewOptions): Promise<ExitCode> {
  const topology = await requireTopology(cli);
  const services = Object.values(topology.services);
  let temporal: Temporal | null = null;
  let away: string | null = null;
  const reconnect = async (): Promise<void> => {
    try {
      temporal = await connect(cli.io.env);
      away = null;
    } catch (error) {
      away = explain(error).message;
    }
  };
  const rows = async (): Promise<ServiceRow[]> => {
    if (temporal === null) await reconnect();
    else away = null;
    // What is seen of the systems stands, whatever becomes of Temporal meanwhile.
    const lost = (error: unknown): null => {
      away = explain(error).message;
      return null;
    };
    return Promise.all(services.map((service) => rowOf(cli, topology, temporal, service, options.how, lost)));
  };
  const seen = (): Seen => ({ away, temporal });
  try {
    return options.watch ? await live(cli, options, rows, seen) : await once(cli, rows, seen);
  } finally {
    void (temporal as Temporal | null)?.close().catch(() => undefined);
  }
}

/** What is known of the server after a look. */
interface Seen {
  /** Why Temporal does not answer; `null` when it does. */
  away: string | null;
  temporal: Temporal | null;
}

async function once(cli: Cli, look: () => Promise<ServiceRow[]>, server: () => Seen): Promise<ExitCode> {
  const rows = await look();
  const { away } = server();
  cli.answer(answerOf(rows, server()));
  for (const line of overviewLines(rows, cli.paint, Date.now())) cli.print(line);
  if (away !== null) cli.note(`rampart: ${away}`);
  return exitOf(rows, away !== null);
}

/** On a terminal one screen drawn over and over; in a log a line per change; for programs a document per change. */
async function live(
  cli: Cli,
  { timeoutMs }: OverviewOptions,
  look: () => Promise<ServiceRow[]>,
  server: () => Seen,
): Promise<ExitCode> {
  const signal = timeoutMs === undefined ? cli.io.signal : within(timeoutMs, cli.io.signal);
  const screen = cli.io.tty.out && !cli.json ? new Screen(cli.io) : null;
  const said = new Map<string, string>();
  const changed = (key: string, text: string): boolean => said.get(key) !== text && said.set(key, text) !== undefined;
  let rows: ServiceRow[] = [];
  try {
    while (!signal.aborted) {
      rows = await look();
      const { away } = server();
      const now = Date.now();
      const trouble = away === null ? [] : [cli.paint.yellow(away)];
      const lines = rows.map((row) => [row.service.name, changeLine(row, cli.paint)] as const);
      if (screen !== null) {
        screen.draw([...trouble, ...overviewLines(rows, cli.paint, now)]);
      } else if (cli.json) {
        if (changed('', JSON.stringify([away, lines]))) cli.answer(answerOf(rows, server()));
      } else {
        for (const [service, text] of [['', trouble.join('') || 'Temporal answers'] as const, ...lines]) {
          if (changed(service, text)) cli.print(`${clock(now)} ${text}`);
        }
      }
      await sleep(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    screen?.end();
  }
  return cli.io.signal.aborted ? EXIT.interrupted : exitOf(rows, server().away !== null);
}

/** The screen as programs get it. Field names are a promise, see docs/cli.md. */
function answerOf(rows: readonly ServiceRow[], { temporal, away }: Seen): object {
  return {
    at: Date.now(),
    temporal: {
      address: temporal?.address ?? null,
      namespace: temporal?.namespace ?? null,
      ui: temporal?.ui ?? null,
      error: away,
    },
    services: rows.map((row) => rowAnswer(row, temporal)),
  };
}

/** 3 when a run waits for people; 1 when Temporal is away or a service has no, or two, writable sides and no run. */
function exitOf(rows: readonly ServiceRow[], away: boolean): ExitCode {
  const status = rows.flatMap(({ view }) => view?.status ?? []);
  if (status.some(({ gate, holding, paused }) => gate !== null || holding !== null || paused !== null)) {
    return EXIT.waiting;
  }
  const broken = rows.some(
    ({ observed, view }) =>
      observed !== null &&
      ['noneWritable', 'twoWritable', 'sourceLost', 'fenced'].includes(observed.classified.state) &&
      !(view !== null && view.ending === null),
  );
  return away || broken ? EXIT.failed : EXIT.done;
}

async function rowOf(
  cli: Cli,
  topology: Topology,
  temporal: Temporal | null,
  service: Service,
  how: OverviewOptions['how'],
  lost: (error: unknown) => null,
): Promise<ServiceRow> {
  const lock = lockOf(service);
  const [observed, view, halt] = await Promise.all([
    how === 'no' ? null : how === 'here' ? observeHere(cli, topology, service) : observeByWorkers(temporal, service),
    temporal === null ? null : newest(temporal, lock).catch(lost),
    temporal === null ? null : findOpenHalt(temporal, haltOfLock(lock)).catch(lost),
  ]);
  return { service, lock, observed, view, halt };
}

async function newest(temporal: Temporal, lock: string): Promise<View | null> {
  const run = await findRun(temporal, lock);
  return run === null ? null : viewOf(temporal, run);
}

async function observeHere(cli: Cli, topology: Topology, service: Service): Promise<Observed> {
  const look = await lookHere(cli, topology, service.name);
  const { stores, routers } = look.observations;
  return {
    by: 'here',
    at: look.at,
    classified: look.classified,
    weights: Object.fromEntries(Object.entries(routers).map(([name, { weights }]) => [name, weights])),
    lag: Object.fromEntries(
      Object.entries(stores).map(([name, nodes]) => [name, nodes.find(({ lag }) => lag !== null)?.lag ?? null]),
    ),
    unseen: look.unseen,
  };
}

/** Asks the workers, who may have credentials and a way that this machine has not. Changes nothing. */
async function observeByWorkers(temporal: Temporal | null, service: Service): Promise<Observed | null> {
  if (temporal === null) return null;
  const run = await startPlan(temporal, { action: 'failback', service: service.name });
  const handle = temporal.client.workflow.getHandle(run.workflowId, run.runId);
  try {
    const { facts } = (await inTime(temporal, () => handle.result(), PLAN_MS)) as Plan;
    const { classified, weights, lag, measuredAt } = facts;
    return { by: 'workers', at: measuredAt, classified, weights, lag, unseen: classified.missing };
  } catch {
    await handle.cancel().catch(() => undefined);
    return null;
  }
}

/** A service as programs get it. Field names are a promise, see docs/cli.md. */
function rowAnswer({ service, lock, observed, view, halt }: ServiceRow, temporal: Temporal | null): object {
  const run = view?.run ?? null;
  const ended = view?.ending ?? null;
  const common = run !== null && {
    workflowId: run.workflowId,
    runId: run.runId,
    action: run.type,
    startedAt: run.startedAt,
    link: temporal === null ? null : runLink(temporal, run.workflowId, run.runId),
  };
  return {
    service: service.name,
    tier: service.tier.name,
    owner: service.owner,
    home: service.home,
    lock,
    active: observed === null ? null : activeRegion(observed),
    state: observed?.classified.state ?? null,
    text: observed?.classified.text ?? null,
    observedBy: observed?.by ?? null,
    observedAt: observed?.at ?? null,
    unseen: observed?.unseen ?? [],
    weights: observed?.weights ?? {},
    lag: observed?.lag ?? {},
    halted: haltedAnswer(halt),
    run:
      common && ended === null
        ? {
            ...common,
            phase: view?.status?.phase ?? null,
            mode: view?.status?.mode ?? null,
            from: view?.status?.from ?? null,
            to: view?.status?.to ?? null,
            gate: view?.status?.gate?.id ?? null,
            holding: view?.status?.holding?.reason ?? null,
            pausedBy: view?.status?.paused?.by ?? null,
            trouble: view?.trouble ?? null,
          }
        : null,
    last:
      common && ended !== null
        ? { ...common, closedAt: run?.closedAt ?? null, outcome: ended.outcome, text: ended.text }
        : null,
  };
}
