/**
 * `rampart demo`: a world under load; a planned failover with an approval and a ramp, a failback, then a region that
 * loses its database while replication stands still.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Paint } from '../../clients/cli/cli.ts';
import type { Io } from '../../clients/cli/io.ts';
import { table } from '../../clients/cli/render/table.ts';
import { connect } from '../../clients/connection.ts';
import { findRun, type RunRef } from '../../clients/runs.ts';
import { ENDINGS, FORMATS, renderReports } from '../../evidence/render.ts';
import { buildReport, type RunEvidence } from '../../evidence/report.ts';
import { startAlerting, TRIGGER } from '../alerting.ts';
import { HOME_REGION, REGIONS, SERVICE } from '../world/spec.ts';
import { openWorld, replaceKept, type World } from '../world.ts';
import { playRun, type Stage, watchRun } from './act.ts';
import { createNarrator, type Narrator } from './narrator.ts';
import { type DemoResult, problemsOf, type RunFindings, type RunResult, summarize } from './result.ts';

export interface DemoOptions {
  json: boolean;
  /** Leaves the world running. */
  keep: boolean;
  name: string;
  /** Orders per second. */
  load: number;
  /** The third run is proposed by a real Alertmanager. */
  alert: boolean;
}

/** Weights the ramp must show, as the lab's topology has them. */
const RAMP = [10, 25, 50, 100];
/** How long each weight is held and watched. */
const BAKE = '1s';
/** How long replication stands still before the database dies: long enough for orders to be lost. */
const STALL_MS = 1_500;
const AWAY = REGIONS.find((region) => region !== HOME_REGION) as string;

/**
 * Plays the demo and says what it found.
 * @returns the result; `failed` with its problems when something is not as promised
 */
export async function runDemo(io: Io, paint: Paint, options: DemoOptions): Promise<DemoResult> {
  const began = Date.now();
  const narrator = createNarrator(io, paint, options.json);
  const result: DemoResult = { result: 'failed', seconds: 0, report: null, runs: [], problems: [] };
  const evidence: RunEvidence[] = [];
  let world: World | undefined;
  try {
    narrator.chapter('A world with two regions');
    await replaceKept(options.name);
    world = await openWorld({ name: options.name, load: options.load, bake: BAKE, tied: true, say: narrator.say });
    await play(world, io, narrator, result, evidence, options.alert);
  } catch (error) {
    if (io.signal.aborted) throw error;
    result.problems.push((error as Error).message);
    narrator.say(paint.red((error as Error).message));
  } finally {
    if (world && (!options.keep || io.signal.aborted)) await world.down();
  }
  if (world && evidence.length > 0) {
    result.report = writeReports(world.dir, evidence);
    conclude(narrator, paint, result, evidence);
  }
  if (world && options.keep) await leaveRunning(world, narrator);
  else if (world) narrator.say(`The world has ended; its logs are in ${join(world.dir, 'logs')}`);
  result.result = result.problems.length === 0 && result.runs.length === 3 ? 'passed' : 'failed';
  result.seconds = Math.round((Date.now() - began) / 100) / 10;
  for (const problem of result.problems) narrator.say(paint.red(`✗ ${problem}`));
  narrator.say(`${result.result === 'passed' ? paint.green('passed') : paint.red('failed')} in ${result.seconds} s`);
  return result;
}

async function play(
  world: World,
  io: Io,
  narrator: Narrator,
  result: DemoResult,
  evidence: RunEvidence[],
  alert: boolean,
): Promise<void> {
  const { world: addresses } = await world.status();
  const env = {
    ...io.env,
    TEMPORAL_ADDRESS: addresses.temporal.address,
    TEMPORAL_NAMESPACE: addresses.temporal.namespace,
  };
  const temporal = await connect(env, SERVICE);
  try {
    const load = await world.load();
    const stage: Stage = {
      temporal,
      load,
      world: addresses,
      narrator,
      signal: io.signal,
      lock: `failover/${SERVICE}`,
      edge: 'edge',
    };
    narrator.say(`Web UI ${addresses.temporal.ui ?? addresses.temporal.address}`);
    const finish = (found: RunFindings, ramp: number[] | null): void => {
      const summary = summarize(found);
      result.runs.push(summary);
      result.problems.push(...problemsOf(summary, ramp));
      evidence.push(evidenceOf(found, summary));
      narrator.say(sentence(summary));
    };

    if (alert) {
      const at = { dir: world.dir, world: addresses, service: SERVICE, to: AWAY, log: narrator.say };
      const { alertmanager, prometheus } = await startAlerting(at);
      narrator.say(`Prometheus ${prometheus} scrapes the apps, Alertmanager ${alertmanager} tells \`rampart serve\``);
    }

    narrator.chapter(`1  Planned failover: ${SERVICE} from ${HOME_REGION} to ${AWAY}, under load`);
    const request = { service: SERVICE, by: 'demo' };
    finish(await playRun(stage, { ...request, action: 'failover', to: AWAY, reason: 'maintenance' }), RAMP);

    narrator.chapter(`2  Failback to ${HOME_REGION}`);
    finish(
      await playRun(stage, { ...request, action: 'failback', to: HOME_REGION, reason: 'maintenance is over' }),
      RAMP,
    );

    narrator.chapter(`3  Unplanned: replication stands still, then the database of ${HOME_REGION} dies`);
    const since = Date.now();
    await world.stallReplication();
    narrator.say('Replication stands still; orders are still acknowledged');
    await sleep(STALL_MS, undefined, { signal: io.signal });
    await world.kill({ what: 'database', where: HOME_REGION });
    narrator.say(`kill -9 of the database in ${HOME_REGION}`);
    const unplanned = {
      ...request,
      action: 'failover',
      to: AWAY,
      mode: 'unplanned',
      reason: 'the database is dead',
    } as const;
    if (alert) {
      const before = (await findRun(temporal, stage.lock))?.runId;
      finish(await watchRun(stage, await proposed(stage, before), since), null);
    } else finish(await playRun(stage, unplanned, since), null);
    await world.heal();
  } finally {
    await temporal.close().catch(() => {});
  }
}

/** How long an alert may take from the harm to a proposal, in milliseconds. */
const ALERT_MS = 60_000;

/** The run that the alert has opened under the lock. */
async function proposed({ temporal, lock, narrator, signal }: Stage, before: string | undefined): Promise<RunRef> {
  narrator.say(`Nobody starts anything: Prometheus and Alertmanager find out that no order can be placed`);
  const deadline = Date.now() + ALERT_MS;
  for (;;) {
    const run = await findRun(temporal, lock);
    if (run !== null && run.runId !== before) {
      narrator.say(`Proposed by trigger ${TRIGGER}; it has changed nothing and waits for somebody`);
      return run;
    }
    if (Date.now() > deadline) throw new Error(`no alert has proposed a run within ${ALERT_MS / 1000} s`);
    await sleep(200, undefined, { signal });
  }
}

function evidenceOf({ record, seen, verified }: RunFindings, summary: RunResult): RunEvidence {
  const lostAt = verified.lost.map(({ at }) => at);
  return {
    record,
    load: {
      acknowledged: summary.acknowledged,
      lost: summary.lost,
      duplicated: summary.duplicated,
      writeGapMs: summary.writeGapMs,
      errors: seen.errors,
      lostInsideStatement: summary.lost === 0 ? null : (summary.lostInsideStatement ?? null),
      firstLostAt: lostAt.length === 0 ? null : Math.min(...lostAt),
      lastLostAt: lostAt.length === 0 ? null : Math.max(...lostAt),
    },
  };
}

function sentence(run: RunResult): string {
  const split = run.ramp.map(({ set, observed }) => `${set}→${observed} %`).join(', ');
  return [
    `${run.outcome} in ${run.seconds} s`,
    `${run.acknowledged} orders acknowledged, ${run.lost} lost, ${run.duplicated} duplicated`,
    `write gap ${run.writeGapMs} ms`,
    ...(split === '' ? [] : [`ramp as counted ${split}`]),
    ...(run.statedLoss
      ? [`every missing order inside the stated window: ${run.lostInsideStatement ? 'yes' : 'NO'}`]
      : []),
  ].join('; ');
}

/** Writes the report in every format beside the world's files. @returns the HTML page */
function writeReports(dir: string, evidence: RunEvidence[]): string {
  mkdirSync(dir, { recursive: true });
  for (const format of FORMATS) {
    const options = { title: 'Rampart demo', generatedAt: Date.now() };
    writeFileSync(join(dir, `report.${ENDINGS[format]}`), renderReports(evidence, format, options));
  }
  return join(dir, `report.${ENDINGS.html}`);
}

function conclude(narrator: Narrator, paint: Paint, result: DemoResult, evidence: RunEvidence[]): void {
  narrator.chapter('Objectives');
  const rows = evidence.flatMap((one) => {
    const { title, record, objectives } = buildReport(one);
    return objectives.map(({ name, target, actual, met }) => [
      `${title.split(' of ')[0]}, ${record.mode}`,
      name,
      target,
      actual,
      met === null ? paint.yellow('not judged') : met ? paint.green('met') : paint.red('missed'),
    ]);
  });
  for (const line of table([['run', 'objective', 'target', 'achieved', ''], ...rows])) narrator.say(line);
  narrator.say(`Report: ${result.report}`);
}

async function leaveRunning(world: World, narrator: Narrator): Promise<void> {
  const { world: addresses } = await world.status();
  world.handOver();
  const name = world.name === 'default' ? '' : ` --name ${world.name}`;
  narrator.chapter('The world goes on');
  for (const line of [
    `Web UI   ${addresses.temporal.ui ?? addresses.temporal.address}`,
    `export RAMPART_CONFIG=${addresses.config} TEMPORAL_ADDRESS=${addresses.temporal.address}${addresses.temporal.ui ? ` RAMPART_UI=${addresses.temporal.ui}` : ''}`,
    `./rampart status ${SERVICE}`,
    `./rampart reprotect ${SERVICE} --reason 'pay the debt'`,
    `./rampart approve ${SERVICE} --by you`,
    `./rampart start failback --service ${SERVICE} --reason 'home again'`,
    `./rampart lab status${name}`,
    `./rampart lab down${name}`,
  ]) {
    narrator.say(line);
  }
}
