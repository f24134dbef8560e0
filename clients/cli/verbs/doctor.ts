import { drivers } from '../../../drivers/registry.ts';
import { loadTopology } from '../../../topology/load.ts';
import type { Topology } from '../../../topology/model.ts';
import { formatProblems } from '../../../topology/problem.ts';
import { connect, type Temporal } from '../../connection.ts';
import { type Check, finding, type Level, ok } from '../../doctor/check.ts';
import { checkNode, checkState } from '../../doctor/machine.ts';
import { checkQueues, checkServer } from '../../doctor/server.ts';
import { checkSystems } from '../../doctor/systems.ts';
import { askWorkers, checkBuilds, checkDispatch, type WorkersView } from '../../doctor/through-workers.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { explain } from '../explain.ts';
import { plural, table } from '../render/table.ts';

/** `rampart doctor`: looks at everything and says how to mend it. Exit 1 when something is an error. */
export async function run(cli: Cli): Promise<ExitCode> {
  const checks: Check[] = [];
  const say = (found: readonly Check[]): void => {
    checks.push(...found);
    for (const check of found) show(cli, check);
  };
  say([checkNode(), await checkState(cli.io.env)]);
  const { check, topology } = await readTopology(cli);
  say(check);
  const readable = await checkTemporal(cli, topology, say);
  if (topology !== null) say(await checkSystems({ topology, drivers, env: cli.io.env, readable }));

  const count = (level: Level): number => checks.filter((one) => one.level === level).length;
  const errors = count('error');
  cli.answer({ healthy: errors === 0, errors, warnings: count('warning'), checks });
  cli.print('');
  cli.print(
    errors + count('warning') === 0
      ? `${checks.length} checks, nothing to mend.`
      : `${checks.length} checks: ${plural(errors, 'error')}, ${plural(count('warning'), 'warning')}.`,
  );
  return errors === 0 ? EXIT.done : EXIT.failed;
}

async function readTopology(cli: Cli): Promise<{ check: Check[]; topology: Topology | null }> {
  const { topology, problems, path } = await loadTopology(
    { path: cli.config, env: cli.io.env, cwd: cli.io.cwd },
    drivers,
  );
  if (topology !== undefined) {
    const counts = `${plural(Object.keys(topology.services).length, 'service')}, ${plural(Object.keys(topology.components).length, 'component')}`;
    const warnings = problems.length === 0 ? '' : `, ${plural(problems.length, 'warning')} (rampart validate)`;
    return { check: [ok('topology', path, 'topology', `${counts}${warnings}`)], topology };
  }
  const lines = formatProblems(problems.filter(({ severity }) => severity === 'error')).split('\n');
  return { check: [finding('error', 'topology', path, 'topology', 'it is not valid', ...lines)], topology: null };
}

/** @returns what the workers can read */
async function checkTemporal(
  cli: Cli,
  topology: Topology | null,
  say: (found: readonly Check[]) => void,
): Promise<ReadonlySet<string>> {
  let temporal: Temporal;
  try {
    temporal = await connect(cli.io.env);
  } catch (error) {
    const { message, next } = explain(error);
    say([finding('error', 'temporal', 'server', 'temporalServer', message, ...next)]);
    return new Set();
  }
  try {
    const { checks, facts } = await checkServer(temporal);
    say(checks);
    if (topology === null || checks.some(({ code, level }) => code === 'namespace' && level === 'error'))
      return new Set();
    const queues = await checkQueues(temporal, topology);
    say(queues);
    if (queues.some(({ code, subject }) => code === 'noWorker' && subject === 'task queue rampart')) return new Set();
    const views: WorkersView[] = [];
    for (const service of Object.values(topology.services)) views.push(await askWorkers(temporal, service));
    say(distinct(views.flatMap((view) => view.checks)));
    say(checkBuilds(views.flatMap((view) => view.probes)));
    say(
      checkDispatch(
        views.flatMap((view) => view.waits),
        facts.devServer,
      ),
    );
    return new Set(views.flatMap((view) => [...view.readable]));
  } catch (error) {
    const { message, next } = explain(error);
    say([finding('error', 'temporal', 'server', 'temporalAnswers', message, ...next)]);
    return new Set();
  } finally {
    void temporal.close().catch(() => undefined);
  }
}

/** The same thing said by several services is said once; of clocks, the greatest difference. */
function distinct(checks: readonly Check[]): Check[] {
  const seen = new Map<string, Check>();
  for (const check of checks) {
    const key = `${check.area} ${check.subject} ${check.code} ${check.message.replace(/[\d.]+ m?s\b/g, '')}`;
    if (!seen.has(key)) seen.set(key, check);
  }
  return [...seen.values()];
}

const WORDS: Readonly<Record<Level, string>> = { ok: 'ok', info: 'note', warning: 'warn', error: 'FAIL' };

function show(cli: Cli, check: Check): void {
  const { paint } = cli;
  const colours = { ok: paint.green, info: paint.cyan, warning: paint.yellow, error: paint.red };
  const word = colours[check.level](WORDS[check.level].padEnd(4));
  for (const line of table([[word, check.subject, check.message]])) cli.print(line);
  for (const line of check.remedy) cli.print(`       ${line}`);
}
