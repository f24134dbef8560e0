/** The crash matrix: cells of one or more actions on one world after the other, resumable, with a budget. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installPart } from '../../lab/parts/install.ts';
import { labHome } from '../../lab/paths.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import type { Action } from '../../plan/model.ts';
import { formatTrace, type Trace } from '../judge/trace.ts';
import { boundariesOf, type Cell, cellsOf } from './boundaries.ts';
import { type CellResult, runCell } from './cell.ts';
import { type Ground, openGround } from './ground.ts';
import { SETTINGS } from './hands.ts';
import { sameAs } from './same.ts';
import type { Mark } from './watch.ts';

/** Several runs that come to their own deadlines are a result; what takes longer hangs. In milliseconds. */
const CELL_DEADLINE_MS = 400_000;

export interface MatrixOptions {
  actions: readonly Action[];
  /** Cells to run, of all there are. */
  wanted: (cell: Cell) => boolean;
  /** Cells with a smaller number come first. */
  rank: (cell: Cell) => number;
  /** Whether a cell has a green result on these sources. */
  isGreen: (id: string) => boolean;
  /** No cell is begun after this moment, milliseconds since the epoch. */
  until: number;
  /** Gets every cell that an action has, before any is run: results of others are of a plan that is no more. */
  exist: (action: Action, ids: readonly string[]) => Promise<void>;
  /** Gets each result as it is there, with those of the cells that it stands for. */
  keep: (results: CellResult[], versions: Record<string, string>) => Promise<void>;
  /** Worlds side by side. */
  lanes: number;
  say: (line: string) => void;
}

export interface MatrixEnd {
  green: number;
  /** Cells that one of the green ones stands for. */
  same: number;
  red: string[];
  notReached: string[];
  /** Wanted cells that the budget left. */
  left: number;
}

/** What the lanes share. */
interface Work {
  options: MatrixOptions;
  queues: Map<Action, Cell[]>;
  versions: Record<string, string>;
  end: MatrixEnd;
  total: number;
  done: number;
  /** Ids of cells that have become green. */
  green: Set<string>;
}

/** Runs what is wanted, in one or more worlds. */
export async function runMatrix(options: MatrixOptions): Promise<MatrixEnd> {
  const { say, lanes } = options;
  const end: MatrixEnd = { green: 0, same: 0, red: [], notReached: [], left: 0 };
  const first = await openGround('crash-1');
  const queues = new Map<Action, Cell[]>();
  let work: Work;
  try {
    for (const action of options.actions) {
      const cells = await cellsFor(first, action);
      await options.exist(
        action,
        cells.map(({ id }) => id),
      );
      queues.set(
        action,
        cells.filter(options.wanted).sort((a, b) => options.rank(a) - options.rank(b)),
      );
    }
    const total = left(queues);
    say(`${total} cells to run: ${[...queues].map(([action, cells]) => `${cells.length} ${action}`).join(', ')}`);
    work = { options, queues, versions: await versionsOf(first), end, total, done: 0, green: new Set() };
  } catch (error) {
    await first.close();
    throw error;
  }
  const others = Array.from({ length: lanes - 1 }, async (_, i) =>
    runLane(work, i + 2, await openGround(`crash-${i + 2}`)),
  );
  // A lane that cannot go on ends alone; what it leaves is run by the others.
  const ends = await Promise.allSettled([runLane(work, 1, first), ...others]);
  end.left = left(queues);
  const broken = ends.find((one) => one.status === 'rejected');
  if (broken) throw broken.reason;
  return end;
}

/** Cell after cell on one world, each beginning where the last one ended. */
async function runLane(work: Work, lane: number, opened: Ground): Promise<void> {
  const { queues, end, versions } = work;
  const { say, until, keep } = work.options;
  let ground = opened;
  let worlds = 1;
  try {
    const renew = async (): Promise<void> => {
      await ground.close();
      worlds += 1;
      ground = await openGround(`crash-${lane}-${worlds}`);
    };
    // Every second lane begins with the ramps. They leave traffic and data apart, which is no beginning for the others.
    let ramps = lane % 2 === 0;
    while (Date.now() < until) {
      const ramp = ramps ? queues.get('trafficRamp')?.shift() : undefined;
      if (ramps && ramp === undefined) {
        ramps = false;
        if (left(queues) > 0) await renew();
      }
      const cell = ramp ?? (await next(ground, work));
      if (cell === undefined) break;
      const done = await attempt(ground, cell);
      const { result } = done;
      const same = result.verdict === 'green' ? takeSame(done, cell, queues) : [];
      await keep([result, ...same], versions);
      for (const { id, verdict } of [result, ...same]) if (verdict === 'green') work.green.add(id);
      work.done += 1 + same.length;
      const { verdict, outcome, landed, seconds, violations, after } = result;
      const standsFor = same.length === 0 ? '' : `; stands for ${same.length} more`;
      say(
        `${work.done}/${work.total} ${verdict.padEnd(10)} ${seconds} s  ${cell.id}  [${landed}] ${outcome}; ${after.join('; ')}${standsFor}`,
      );
      for (const violation of violations) say(`    ${violation}`);
      end.same += same.length;
      if (verdict === 'green') end.green += 1;
      else if (verdict === 'notReached') end.notReached.push(cell.id);
      else {
        end.red.push(cell.id);
        keepTrace(done.trace, cell.id);
        keepLogs(ground, cell.id);
      }
      if (!done.usable) {
        say('    the world is not what the next cell needs: a new one is built');
        await renew();
      }
    }
  } finally {
    await ground.close();
  }
}

const left = (queues: Map<Action, Cell[]>): number =>
  [...queues.values()].reduce((sum, cells) => sum + cells.length, 0);

/** Results of the waiting cells that this one stands for; they wait no longer. */
function takeSame(
  { result, struckAt, marks, direction }: Attempt,
  cell: Cell,
  queues: Map<Action, Cell[]>,
): CellResult[] {
  const waiting = queues.get(cell.action) ?? [];
  const same = sameAs(cell, result.did, struckAt, marks, direction, waiting);
  queues.set(
    cell.action,
    waiting.filter((other) => !same.includes(other)),
  );
  return same.map(({ id, boundary: { stage, step, moment }, fault }) => ({
    ...result,
    ...{ id, stage, step, moment, fault, sameAs: cell.id },
    // Counted once, where it was measured.
    ...{ acknowledged: 0, lost: 0, seconds: 0 },
  }));
}

interface Attempt {
  result: CellResult;
  trace: Trace | null;
  struckAt: number;
  marks: Mark[];
  direction: { from: string; to: string };
  usable: boolean;
}

/** A cell that throws has hung, or left a world that cannot be looked at: that is a result as well. */
async function attempt(ground: Ground, cell: Cell): Promise<Attempt> {
  const began = Date.now();
  try {
    const done = await runCell(ground, cell, CELL_DEADLINE_MS);
    return { ...done, usable: done.result.verdict !== 'red' };
  } catch (error) {
    const { id, action, boundary, fault } = cell;
    const result: CellResult = {
      id,
      action,
      stage: boundary.stage,
      step: boundary.step,
      moment: boundary.moment,
      fault,
      verdict: 'red',
      did: '',
      landed: '',
      outcome: 'none',
      after: [],
      said: [],
      acknowledged: 0,
      lost: 0,
      writeGapMs: 0,
      judged: [],
      violations: [`end: ${error instanceof Error ? error.message : String(error)}`],
      seconds: Math.round((Date.now() - began) / 100) / 10,
      date: new Date().toISOString(),
    };
    return { result, trace: null, struckAt: 0, marks: [], direction: { from: '', to: '' }, usable: false };
  }
}

/** A failback needs the service away from home; a failover goes either way. */
async function next(ground: Ground, work: Work): Promise<Cell | undefined> {
  const home = ground.spec.regions[0]!.name;
  const away = (await ground.hands.world.sides()).active !== home;
  const waits = (action: Action): Cell[] => work.queues.get(action) ?? [];
  if (away && waits('failback').length > 0) return take(work, 'failback');
  if (waits('failover').length > 0) return take(work, 'failover');
  if (waits('failback').length > 0) {
    // Nothing is left that would bring it away: one undisturbed failover does.
    await ground.run('failover', { service: 'checkout', to: ground.spec.regions[1]!.name });
    return take(work, 'failback') ?? take(work, 'trafficRamp');
  }
  return take(work, 'trafficRamp');
}

/**
 * The first waiting cell that is not green the other way round: a matrix that is cut off has then seen every boundary
 * under every fault in one direction before it sees any in both.
 */
function take({ queues, green, options }: Work, action: Action): Cell | undefined {
  const waiting = queues.get(action) ?? [];
  const other = action === 'failover' ? 'failback' : 'failover';
  const isNew = ({ id }: Cell): boolean => {
    const twin = id.replace(action, other);
    return !green.has(twin) && !options.isGreen(twin);
  };
  const at = waiting.findIndex(isNew);
  return waiting.splice(Math.max(at, 0), 1)[0];
}

/** The cells of an action, from the plan that it compiles to now. A failback is planned from the other side. */
async function cellsFor(ground: Ground, action: Action): Promise<Cell[]> {
  const { active, other } = await ground.hands.world.sides();
  const home = ground.spec.regions[0]!.name;
  if (action === 'failback' && active === home) {
    // Same steps, the other way round: the compiler knows no other difference between them.
    const plan = await ground.plan('failover', { service: 'checkout', to: other });
    return cellsOf(action, boundariesOf(plan));
  }
  return cellsOf(action, boundariesOf(await ground.plan(action, { service: 'checkout', to: other })));
}

export const ABOUT =
  'The crash matrix: real Temporal, PostgreSQL and Traefik, a continuous writer; each cell is one run with one fault at one step boundary, judged by test/judge.';

async function versionsOf({ hands }: Ground): Promise<Record<string, string>> {
  const { world } = hands;
  const [row] = (
    await withClient(Object.values(world.report.regions)[0]!.database, (c) => c.query('SHOW server_version'))
  ).rows as Array<{ server_version: string }>;
  return {
    postgresql: row!.server_version,
    temporal: await temporalVersion(),
    node: process.version,
    load: `${SETTINGS.load} orders/s`,
  };
}

/** Of the `temporal` that the lab's server is started with, and of the server in it. */
async function temporalVersion(): Promise<string> {
  const { bin } = await installPart('temporal');
  const said = spawnSync(bin, ['--version'], { encoding: 'utf8', timeout: 30_000 }).stdout;
  const [, cli, server] = /^temporal version ([^ ]+) \(Server ([^,)]+)/.exec(said) ?? [];
  if (cli === undefined || server === undefined) throw new Error(`temporal --version said: ${said}`);
  return `${server} (CLI ${cli})`;
}

/** Logs of a red cell's world, with both database servers': the world itself is about to be removed. */
function keepLogs({ spec }: Ground, id: string): void {
  const folder = join(labHome(), 'crash-traces', `${fileName(id)}.logs`);
  cpSync(join(spec.dir, 'logs'), folder, { recursive: true });
  for (const { name, node } of spec.regions) cpSync(join(node, 'postgres.log'), join(folder, `postgres-${name}.log`));
}

const fileName = (id: string): string => id.replaceAll(/[/:@]/g, '_');

/** Traces of red cells, for a look. */
function keepTrace(trace: Trace | null, id: string): void {
  if (trace === null) return;
  const folder = join(labHome(), 'crash-traces');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${fileName(id)}.jsonl`), formatTrace(trace));
}
