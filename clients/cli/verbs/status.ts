import { lockOf } from '../../../topology/model.ts';
import type { Temporal } from '../../connection.ts';
import { viewOf } from '../../follow.ts';
import { findOpenHalt } from '../../halts.ts';
import { endedWell, findRun, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';
import { lookHere } from '../look-here.ts';
import { readTimeout } from '../options.ts';
import { overview } from '../overview.ts';
import { haltedAnswer, haltedLine } from '../render/halt.ts';
import { lookLines } from '../render/look.ts';
import { endingLines, runLines } from '../render/run.ts';
import { runAnswer } from '../render/run-json.ts';
import { linkLine, withTemporal } from '../session.ts';
import { findTopology, haltOfLock, lockFor, serviceIn } from '../topology.ts';
import { watch } from '../watch.ts';

export interface StatusOptions {
  watch?: boolean;
  timeout?: string;
  observe?: string;
}

/** `rampart status [service]` */
export async function run(cli: Cli, args: string[], options: StatusOptions): Promise<ExitCode> {
  const [service] = args;
  const timeoutMs = readTimeout(options.timeout);
  const how = options.observe ?? 'here';
  if (!['here', 'workers', 'no'].includes(how)) throw badInput(`--observe ${how}: there are here, workers and no`);
  if (service === undefined) return overview(cli, { watch: options.watch === true, timeoutMs, how: how as 'here' });
  return withTemporal(cli, service, async (temporal) => {
    const lock = await lockFor(cli, service);
    const halt = await findOpenHalt(temporal, haltOfLock(lock));
    if (halt !== null) cli.print(`${haltedLine(service, halt, cli.paint)}\n`);
    const ref = await findRun(temporal, lock);
    if (options.watch === true && ref !== null && ref.closedAt === null) {
      cli.print(linkLine(temporal, ref));
      return watch(cli, temporal, ref, { service, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    }
    if (ref === null) return neverRun(cli, service, how !== 'no', halt);
    return once(cli, temporal, service, ref, halt);
  });
}

async function once(
  cli: Cli,
  temporal: Temporal,
  service: string,
  ref: RunRef,
  halt: RunRef | null,
): Promise<ExitCode> {
  const view = await viewOf(temporal, ref);
  cli.answer({ ...runAnswer(temporal, service, view), halted: haltedAnswer(halt) });
  const now = Date.now();
  if (view.ending !== null) {
    for (const line of endingLines(view.ending, { ...ref, service }, cli.paint, now)) cli.print(line);
    cli.print(linkLine(temporal, ref));
    return endedWell(view.ending.outcome) ? EXIT.done : EXIT.failed;
  }
  if (view.status === null) {
    cli.print(`${service}: a run is on since ${new Date(ref.startedAt).toISOString()}, and ${view.trouble}`);
    cli.print(linkLine(temporal, ref));
    return EXIT.waiting;
  }
  for (const line of runLines(view.status, cli.paint, now)) cli.print(line);
  cli.print('');
  cli.print(linkLine(temporal, ref));
  return view.status.gate !== null || view.status.holding !== null || view.status.paused !== null
    ? EXIT.waiting
    : EXIT.done;
}

/** A service that has never been moved: what can be seen of it from here. */
async function neverRun(cli: Cli, name: string, observe: boolean, halt: RunRef | null): Promise<ExitCode> {
  const topology = await findTopology(cli);
  const halted = haltedAnswer(halt);
  if (topology === null || !observe) {
    cli.answer({ service: name, state: 'none', text: 'no run yet', halted });
    cli.print(`${name}: no run yet`);
    return EXIT.done;
  }
  const look = await lookHere(cli, topology, name);
  cli.answer({
    service: name,
    workflowId: lockOf(serviceIn(topology, name)),
    state: 'none',
    text: 'no run yet',
    observed: look.classified,
    observedAt: look.at,
    unseen: look.unseen,
    halted,
  });
  cli.print(`${cli.paint.bold(name)}: no run yet`);
  for (const line of lookLines(look, cli.paint, Date.now())) cli.print(line);
  return EXIT.done;
}
