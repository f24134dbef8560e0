/** The crash matrix: cells of one or more actions on one world after the other, resumable, with a budget. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labHome } from '../../lab/paths.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import type { Action } from '../../plan/model.ts';
import { formatTrace, type Trace } from '../judge/trace.ts';
import { boundariesOf, type Cell, cellsOf } from './boundaries.ts';
import { type CellResult, runCell } from './cell.ts';
import { type Ground, openGround } from './ground.ts';
import { SETTINGS } from './hands.ts';

export interface MatrixOptions {
  actions: readonly Action[];
  /** Cells to run, of all there are. */
  wanted: (cell: Cell) => boolean;
  /** No cell is begun after this moment, milliseconds since the epoch. */
  until: number;
  /** Gets each result as it is there. */
  keep: (result: CellResult, versions: Record<string, string>) => void;
  say: (line: string) => void;
}

export interface MatrixEnd {
  green: number;
  red: string[];
  notReached: string[];
  /** Wanted cells that the budget left. */
  left: number;
}

/** Runs what is wanted, actions that share a direction in turn so that each cell begins where the last one ended. */
export async function runMatrix(options: MatrixOptions): Promise<MatrixEnd> {
  const { say, until } = options;
  const end: MatrixEnd = { green: 0, red: [], notReached: [], left: 0 };
  let worlds = 1;
  let ground = await openGround(`crash-${worlds}`);
  const versions = await versionsOf(ground);
  try {
    const queues = new Map<Action, Cell[]>();
    for (const action of options.actions) queues.set(action, await cellsFor(ground, action, options.wanted));
    const total = [...queues.values()].reduce((sum, cells) => sum + cells.length, 0);
    say(`${total} cells to run: ${[...queues].map(([action, cells]) => `${cells.length} ${action}`).join(', ')}`);
    for (let n = 1; ; n += 1) {
      const cell = Date.now() < until ? await next(ground, queues) : undefined;
      if (cell === undefined) break;
      const done = await attempt(ground, cell);
      options.keep(done.result, versions);
      const { verdict, outcome, landed, seconds, violations, after } = done.result;
      say(`${n}/${total} ${verdict.padEnd(10)} ${seconds} s  ${cell.id}  [${landed}] ${outcome}; ${after.join('; ')}`);
      for (const violation of violations) say(`    ${violation}`);
      if (verdict === 'green') end.green += 1;
      else if (verdict === 'notReached') end.notReached.push(cell.id);
      else {
        end.red.push(cell.id);
        keepTrace(done.trace, cell.id);
      }
      if (!done.usable) {
        say('    the world is not what the next cell needs: a new one is built');
        await ground.close();
        worlds += 1;
        ground = await openGround(`crash-${worlds}`);
      }
    }
    end.left = [...queues.values()].reduce((sum, cells) => sum + cells.length, 0);
  } finally {
    await ground.close();
  }
  return end;
}

/** A cell that throws has hung, or left a world that cannot be looked at: that is a result as well. */
async function attempt(
  ground: Ground,
  cell: Cell,
): Promise<{ result: CellResult; trace: Trace | null; usable: boolean }> {
  const began = Date.now();
  try {
    const { result, trace } = await runCell(ground, cell);
    return { result, trace, usable: result.verdict !== 'red' };
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
    return { result, trace: null, usable: false };
  }
}

/** A failback needs the service away from home; a failover goes either way. */
async function next(ground: Ground, queues: Map<Action, Cell[]>): Promise<Cell | undefined> {
  const home = ground.spec.regions[0]!.name;
  const away = (await ground.hands.world.sides()).active !== home;
  const ramp = queues.get('trafficRamp') ?? [];
  const failover = queues.get('failover') ?? [];
  const failback = queues.get('failback') ?? [];
  if (away && failback.length > 0) return failback.shift();
  if (failover.length > 0) return failover.shift();
  if (failback.length > 0) {
    // Nothing is left that would bring it away: one undisturbed failover does.
    await ground.run('failover', { service: 'checkout', to: ground.spec.regions[1]!.name });
    return failback.shift();
  }
  return ramp.shift();
}

/** The cells of an action, from the plan that it compiles to now. A failback is planned from the other side. */
async function cellsFor(ground: Ground, action: Action, wanted: (cell: Cell) => boolean): Promise<Cell[]> {
  const { active, other } = await ground.hands.world.sides();
  const home = ground.spec.regions[0]!.name;
  if (action === 'failback' && active === home) {
    // Same steps, the other way round: the compiler knows no other difference between them.
    const plan = await ground.plan('failover', { service: 'checkout', to: other });
    return cellsOf(action, boundariesOf(plan)).filter(wanted);
  }
  return cellsOf(action, boundariesOf(await ground.plan(action, { service: 'checkout', to: other }))).filter(wanted);
}

export const ABOUT =
  'The crash matrix: real Temporal, PostgreSQL and Traefik, a continuous writer; each cell is one run with one fault at one step boundary, judged by test/judge.';

async function versionsOf({ hands }: Ground): Promise<Record<string, string>> {
  const { world } = hands;
  const [row] = (
    await withClient(Object.values(world.report.regions)[0]!.database, (c) => c.query('SHOW server_version'))
  ).rows as Array<{ server_version: string }>;
  const temporal = await world.temporal('--version').catch(() => 'unknown');
  return {
    postgresql: row!.server_version,
    temporal: temporal.trim(),
    node: process.version,
    load: `${SETTINGS.load} orders/s`,
  };
}

/** Traces of red cells, for a look. */
function keepTrace(trace: Trace | null, id: string): void {
  if (trace === null) return;
  const folder = join(labHome(), 'crash-traces');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${id.replaceAll(/[/:@]/g, '_')}.jsonl`), formatTrace(trace));
}
