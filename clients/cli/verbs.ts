/** Every verb: its arguments, options and help. No verb's code is loaded here. */
import { type Command, Option } from 'commander';
import type { Load } from './program.ts';

/** Declares the verbs, in the groups that the help shows. */
export async function declareVerbs(program: Command, load: Load, argv: readonly string[]): Promise<void> {
  program.commandsGroup('See:');
  declareSee(program, load);
  declareCompare(program, load);
  program.commandsGroup('Move a service:');
  declareMove(program, load);
  declareRefence(program, load);
  declareRelease(program, load);
  declareHalt(program, load);
  program.commandsGroup('Rehearse:');
  declareDrills(program, load);
  program.commandsGroup('Speak to a run:');
  declareSpeak(program, load);
  program.commandsGroup('When it is dark:');
  declareDark(program, load);
  program.commandsGroup('Set up:');
  declareSetUp(program, load);
  declareServe(program, load);
  declareDemo(program, load);
  await declareLab(program, argv);
}

const by = (): Option => new Option('--by <name>', 'who you are (default: $RAMPART_BY, else user@machine)');
const override = (): Option =>
  new Option('--override <codes>', 'accept blockers by their codes, with commas; may be repeated').argParser(collect);

/** A repeated option as a list. `<value...>` would swallow the arguments after it. */
const collect = (value: string, before: string[] = []): string[] => [...before, value];

function declareSee(program: Command, load: Load): void {
  load(
    program
      .command('status')
      .description('every service on one screen, or one service in full')
      .argument('[service]', 'service, or workflow ID of its runs')
      .option('-w, --watch', 'stay: live on a terminal, line by line in a log')
      .option('--timeout <duration>', 'with --watch: give up after this time, exit 3')
      .option('--observe <how>', 'without a service: look from here, through the workers, or no', 'here'),
    () => import('./verbs/status.ts'),
  );
  load(
    program
      .command('guard')
      .description(
        'what guards and watches see: writable sides, lag, weights, debts, probes; exit 1 when something is critical',
      )
      .argument('[service]', 'one service in full'),
    () => import('./verbs/guard.ts'),
  );
  load(
    program
      .command('history')
      .description('past runs of a service, newest first; without a service, when each was last proven to move')
      .argument('[service]')
      .option('--limit <n>', 'at most so many of each service that Temporal knows', '20')
      .addOption(store()),
    () => import('./verbs/history.ts'),
  );
  declareReport(program, load);
}

const store = (): Option =>
  new Option('--store <folder>', 'report store (default: $RAMPART_REPORTS, else <state>/reports)');

function declareReport(program: Command, load: Load): void {
  const report = program
    .command('report')
    .description('the evidence of a run: decisions, measurements, objectives')
    // What stands after `file` or `verify` is theirs.
    .enablePositionalOptions()
    .argument('[service]', 'service or workflow ID; needless when there is one service')
    .option('--run <runId>', 'a past run (rampart history)')
    .option('--format <format>', 'json, md, html or junit (default: by the ending of --out, else md)')
    .option('--out <file>', 'write it there instead of printing it')
    .option('--exit-code', 'exit 1 unless the run has passed, 3 while it is on')
    .addOption(store());
  load(report, () => import('./verbs/report.ts'));
  load(
    report
      .command('file')
      .description('file the reports of runs that are over into the store; safe to repeat')
      .argument('[service]')
      .option('--run <runId>', 'only that run')
      .addOption(store()),
    () => import('./verbs/report-file.ts'),
  );
  load(
    report
      .command('verify')
      .description('check that every report is as it was filed; exit 1 when one is not')
      .argument('[service]')
      .option(
        '--public-key <file>',
        'key that must have signed; may be repeated (default: $RAMPART_REPORT_PUBLIC_KEY)',
        collect,
      )
      .option('--head <sha256>', 'a head that was kept elsewhere: the chain must hold it')
      .addOption(store()),
    () => import('./verbs/report-verify.ts'),
  );
}

function request(command: Command): Command {
  return command
    .argument('<action>', 'failover, failback, ramp, reprotect or refence')
    .argument('[service]')
    .option('--service <service>', 'the same as [service]')
    .option('--to <region>', 'region to go to')
    .option('--from <region>', 'region to leave (default: observed)')
    .option('--mode <mode>', 'planned (zero loss, the default) or unplanned (the source is dead or dying)')
    .option('--percent <n>', 'ramp: how much of the traffic shall have moved (default 100)')
    .option('--steps <percents>', "ramp: own steps instead of the service's, e.g. 10,25,50,100")
    .addOption(override())
    .option('--reason <text>', 'why; kept in the evidence')
    .addOption(by());
}

function declareMove(program: Command, load: Load): void {
  load(
    request(program.command('plan'))
      .description('what a move would do to the live state; changes nothing, exit 1 when it is blocked')
      .option('--timeout <duration>', 'give up after this time (default 60s), exit 3')
      .addHelpText('after', '\nExample: rampart plan failover --service checkout --to eu-central'),
    () => import('./verbs/plan.ts'),
  );
  load(
    request(program.command('start'))
      .description('start a move; it waits for approval before it changes anything')
      .option('--digest <digest>', 'only the plan that `rampart plan` showed')
      .option('--replace', 'withdraw a run that has done nothing yet, then start')
      .option('--wait', 'follow it to its end; the exit code is its outcome')
      .option('--timeout <duration>', 'with --wait: stop watching after this time, exit 3')
      .addHelpText('after', "\nExample: rampart start failover --service checkout --to eu-central --reason 'drill'"),
    () => import('./verbs/start.ts'),
  );
  load(
    program
      .command('reprotect')
      .description('bring the old side back as a replica, after an unplanned move')
      .argument('<service>')
      .option('--to <region>', 'side to protect with (default: observed)')
      .option('--reason <text>', 'why; kept in the evidence')
      .option('--replace', 'withdraw a run that has done nothing yet, then start')
      .option('--wait', 'follow it to its end; the exit code is its outcome')
      .option('--timeout <duration>', 'with --wait: stop watching after this time, exit 3')
      .addOption(override())
      .addOption(by()),
    () => import('./verbs/reprotect.ts'),
  );
}

function declareRefence(program: Command, load: Load): void {
  load(
    program
      .command('refence')
      .description('fence an old primary that came back by itself; refused unless it is certain which side is old')
      .argument('<service>')
      .option('--from <region>', 'side to fence (default: the writable side on the lower timeline)')
      .option('--reason <text>', 'why; kept in the evidence')
      .option('--replace', 'withdraw a run that has done nothing yet, then start')
      .option('--wait', 'follow it to its end; the exit code is its outcome')
      .option('--timeout <duration>', 'with --wait: stop watching after this time, exit 3')
      .addOption(by()),
    () => import('./verbs/refence.ts'),
  );
}

function declareDrills(program: Command, load: Load): void {
  const drills = program.command('drills').description('drills of the topology: on a schedule, or now');
  load(
    drills
      .command('sync')
      .description("make Temporal's schedules those of the topology; safe to repeat")
      .option('--dry-run', 'only say what it would do'),
    () => import('./verbs/drills-sync.ts'),
  );
  load(
    drills
      .command('list')
      .description(
        'when each is due, how the last one ended; exit 1 when one is overdue or its schedule is not as written',
      ),
    () => import('./verbs/drills-list.ts'),
  );
  load(
    drills
      .command('run')
      .description('play one now and follow it; exit 0 only when it has passed')
      .argument('<drill>')
      .option('--junit <file>', 'write its result there, for pipelines')
      .option('--reason <text>', 'why; kept in the evidence')
      .option('--timeout <duration>', 'stop watching after this time, exit 3')
      .addOption(by()),
    () => import('./verbs/drills-run.ts'),
  );
  const held = (name: 'pause' | 'resume', description: string): Command =>
    drills
      .command(name)
      .description(description)
      .argument('<drill>')
      .option('--reason <text>', 'why; shown with it')
      .addOption(by());
  load(held('pause', 'start it no more until it is resumed'), () =>
    import('./verbs/drills-pause.ts').then(({ pause }) => pause),
  );
  load(held('resume', 'start it again when it is due'), () =>
    import('./verbs/drills-pause.ts').then(({ resume }) => resume),
  );
}

function declareRelease(program: Command, load: Load): void {
  load(
    program
      .command('release')
      .description('let go of the old data that a rebuild kept aside')
      .argument('<service>')
      .option('--waive', 'although protection debt is left; needs --reason')
      .option('--reason <text>', 'why')
      .option('--timeout <duration>', 'stop waiting after this time (default 10m), exit 3')
      .addOption(by()),
    () => import('./verbs/release.ts'),
  );
}

function declareCompare(program: Command, load: Load): void {
  load(
    program
      .command('compare')
      .description('compare what two regions hold, now; exit 1 when keys differ for good, 3 when not all was looked at')
      .argument('<service>')
      .argument('[comparison]', 'one of its comparisons; without it, all')
      .option('--timeout <duration>', 'give up after this time (default 10m), exit 3'),
    () => import('./verbs/compare.ts'),
  );
}

function declareHalt(program: Command, load: Load): void {
  load(
    program
      .command('halt')
      .description('corrupted data: stop runs, triggers and replicas, and keep the evidence; without --reason, show it')
      .argument('<service>')
      .option('--reason <text>', 'halt it, because of this; if it is halted, add this to the record')
      .option('--no-replication', 'leave the replicas alone')
      .option('--out <file>', 'write the record there as Markdown')
      .addOption(by())
      .addHelpText(
        'after',
        "\nExample: rampart halt checkout --reason 'orders show wrong amounts'\nIt is ended by: rampart resume checkout --reason 'what was found'",
      ),
    () => import('./verbs/halt.ts'),
  );
}

function declareSpeak(program: Command, load: Load): void {
  load(
    decision(program.command('approve'))
      .description('approve the open gate; shows its facts first')
      .option('--max-loss <duration>', 'unplanned: the greatest loss you accept, in time, e.g. 30s')
      .option('--max-loss-bytes <size>', 'the same in bytes, e.g. 16MiB')
      .addOption(override())
      .option('-y, --yes', 'do not ask on a terminal'),
    () => import('./verbs/approve.ts'),
  );
  load(decision(program.command('reject')).description('reject the open gate'), () => import('./verbs/reject.ts'));
  const message = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .argument('<service>')
      .option('--reason <text>', 'why; kept in the evidence')
      .addOption(by());
  load(message('pause', 'pause before the next stage or weight'), () => import('./verbs/pause.ts'));
  load(message('resume', 'go on after a pause; end a halt, with --reason'), () => import('./verbs/resume.ts'));
  load(message('retry', 'try again everything that failed'), () => import('./verbs/retry.ts'));
  load(
    message('skip', 'go on without a failed step; needs --reason').argument('<step>'),
    () => import('./verbs/skip.ts'),
  );
  load(
    message('abort', 'stop; before the point of no return everything is put back'),
    () => import('./verbs/abort.ts'),
  );
  load(
    message('escalate', 'turn a run into an unplanned one, when a region dies under it')
      .option('--to <region>', 'region to rescue to (default: the target); may be the old source')
      .addOption(override()),
    () => import('./verbs/escalate.ts'),
  );
  load(message('withdraw', 'end a run that has done nothing yet'), () => import('./verbs/withdraw.ts'));
  load(
    message('note', 'write something into the log of a run, for its report').option(
      '--done <number>',
      'tick an item of the checklist, by its number in status',
    ),
    () => import('./verbs/note.ts'),
  );
}

function decision(command: Command): Command {
  return command
    .argument('<service>')
    .option('--gate <id>', 'the gate you mean, as status shows it')
    .option('--comment <text>', 'kept in the evidence')
    .addOption(by());
}

function declareDark(program: Command, load: Load): void {
  load(
    program
      .command('escape')
      .description("the manual commands for a service's present state; needs no Temporal and no worker")
      .argument('<service>')
      .option('--to <region>', 'region to go to (default: the other one)')
      .option('--from <region>', 'region to leave, when nothing that answers says which it was')
      .option('--region <region>', 'this machine stands beside the systems of that region')
      .option('--place <place>', 'and at that place in it'),
    () => import('./verbs/escape.ts'),
  );
  load(
    program.command('doctor').description('look at everything, and say how to mend what is wrong'),
    () => import('./verbs/doctor.ts'),
  );
  load(
    program
      .command('local-guard')
      .description('before a database starts: exit 1 when a peer has taken over (ExecStartPre, entrypoint)')
      .option('--region <region>', 'guard the nodes of that region in the topology')
      .option('--place <place>', 'only those at that place in it')
      .option('--component <name>', 'only that component')
      .option('--node <name>', 'only that node')
      .option('--data-dir <path>', 'only the node with that data directory; without --region: the data directory')
      .option('--peer <host:port>', 'without a topology: another node; may be repeated', collect)
      .option('--user <role>', 'role to ask the peers as (default: $PGUSER, else rampart; password: $PGPASSWORD)')
      .option('--database <name>', 'database to ask them in (default: $PGDATABASE, else postgres)')
      .option('--bin <folder>', 'folder of pg_controldata')
      .option('--timeout <duration>', 'longest wait for one answer of a peer (default 3s)')
      .option('--slots', 'without a topology: every replica of this server has a slot on it')
      .option('--wait <duration>', 'ask a peer that does not answer again for so long (default 20s)')
      .option(
        '--unreachable <what>',
        'when a peer could not be asked: refuse or allow (default: refuse, but for a lone survivor)',
      ),
    () => import('./verbs/local-guard.ts'),
  );
}

function declareSetUp(program: Command, load: Load): void {
  load(
    program
      .command('init')
      .description('write a first topology by looking at two databases')
      .argument('[address...]', 'two addresses: region=host:port, or region=postgres://user@host:port/database')
      .option('--service <name>', 'name of the service (default checkout)')
      .option('--database <name>', "the service's database (default postgres)")
      .option('--user <role>', 'role that Rampart works as (default rampart)')
      .option('--password <reference>', '${env:NAME} or ${file:/path}; to look, $PGPASSWORD serves as well')
      .option('--force', 'write over a file that is there')
      .addHelpText('after', '\nExample: rampart init eu-west=10.0.0.5:5432 eu-central=10.1.0.5:5432'),
    () => import('./verbs/init.ts'),
  );
  load(
    program
      .command('validate')
      .description('check the topology file: every error at once, with its position')
      .option('--strict', 'warnings count as errors')
      .option('--format <format>', 'text, json, or github (annotations in a pull request)', 'text'),
    () => import('./verbs/validate.ts'),
  );
  load(
    program
      .command('schema')
      .description('print a JSON Schema: of the topology file, for editors, or of the record of a run')
      .argument('[what]', 'topology (the default) or record'),
    () => import('./verbs/schema.ts'),
  );
  load(
    program
      .command('worker')
      .description('run a worker: of the control place, or beside the systems of a region')
      .option('--region <region>', 'region it is placed in (default: the control place)')
      .option('--place <place>', 'place inside the region, as nodes of the topology name it')
      .option('--metrics-address <host:port>', 'where Prometheus reads /metrics')
      .option('--health-address <host:port>', 'where /healthz and /readyz answer'),
    () => import('./verbs/worker.ts'),
  );
}

function declareServe(program: Command, load: Load): void {
  load(
    program
      .command('serve')
      .description('take alerts: the webhooks of alertSources, until it is told to stop')
      .option('--address <host:port>', 'where it listens', '127.0.0.1:8085')
      .option('--metrics-address <host:port>', 'where Prometheus reads /metrics'),
    () => import('./verbs/serve.ts'),
  );
}

/** The demo is the lab's, but a verb like any other. */
function declareDemo(program: Command, load: Load): void {
  load(
    program
      .command('demo')
      .description('a two-region world on this machine: failed over under load, ramped, failed back, then hurt')
      .option('--keep', 'leave the world running, with the Web UI')
      .option('--name <world>', 'name of the world (default demo)')
      .option('--load <perSecond>', 'orders per second (default 120)')
      .option('--alert', 'the rescue is proposed by a real Alertmanager instead of being started by hand'),
    () => import('./verbs/demo.ts'),
  );
}

/** The lab's verbs are many and its own; they are declared in full only when one of them is called. */
async function declareLab(program: Command, argv: readonly string[]): Promise<void> {
  const named = argv.filter((argument) => !argument.startsWith('-')).slice(0, 2);
  if (named.includes('lab')) {
    const { addLabCommands } = await import('../../lab/commands.ts');
    addLabCommands(program);
  } else {
    program.command('lab').description('a two-region world on this machine: up, down, status, kill, partition, …');
  }
}
