import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isDrill, verdictOfDrill } from '../../../evidence/drill.ts';
import { type ReportFormat, renderDrill, renderReport } from '../../../evidence/render.ts';
import { buildReport, type Verdict } from '../../../evidence/report.ts';
import { type Temporal, TemporalAway } from '../../connection.ts';
import type { Subject } from '../../reports/manifest.ts';
import { endedRun } from '../../reports/sweep.ts';
import { findRun, queryDrill, queryEvidence, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, CliError, EXIT, type ExitCode, failed } from '../exit.ts';
import { openStore, storedReport } from '../reports.ts';
import { withTemporal } from '../session.ts';
import { findTopology, lockFor } from '../topology.ts';

interface ReportOptions {
  run?: string;
  format?: string;
  out?: string;
  store?: string;
  exitCode?: boolean;
}

const FORMATS: Readonly<Record<string, ReportFormat>> = {
  json: 'json',
  md: 'markdown',
  markdown: 'markdown',
  html: 'html',
  junit: 'junit',
  xml: 'junit',
};

/** Exit codes with `--exit-code`: only what has passed is done. */
const CODES: Record<Verdict, ExitCode> = {
  passed: EXIT.done,
  'passed with findings': EXIT.done,
  failed: EXIT.failed,
  'not judged': EXIT.failed,
  running: EXIT.waiting,
};

/** `rampart report`: the evidence of a run, whether it is on or over. */
export async function run(cli: Cli, args: string[], options: ReportOptions): Promise<ExitCode> {
  const format = readFormat(cli, options);
  const name = args[0] ?? (await onlyService(cli));
  const subject = await subjectOf(cli, name, options);
  const made = { generatedAt: Date.now() };
  const text = isDrill(subject) ? renderDrill(subject, format, made) : renderReport(subject, format, made);
  const { workflowId, runId } = isDrill(subject) ? subject : buildReport(subject).record;
  const verdict = isDrill(subject) ? verdictOfDrill(subject) : buildReport(subject).verdict;
  if (options.out === undefined) {
    cli.io.out(text.endsWith('\n') ? text : `${text}\n`);
  } else {
    const path = resolve(cli.io.cwd, options.out);
    await writeFile(path, text);
    cli.answer({ workflowId, runId, format, path, verdict });
    cli.print(`Wrote ${path}`);
  }
  return options.exitCode ? CODES[verdict] : EXIT.done;
}

/** From Temporal; from the report store when Temporal is away or has forgotten the run. */
async function subjectOf(cli: Cli, name: string, options: ReportOptions): Promise<Subject> {
  try {
    return await withTemporal(cli, name, async (temporal) => {
      // `plan/…` and other IDs are taken as they are; a plain name is a service.
      const workflowId = name.includes('/') ? name : await lockFor(cli, name);
      const ref = await findRun(temporal, workflowId, options.run);
      if (ref !== null) return await inTemporal(temporal, ref);
      throw failed(
        'noRun',
        `there is no run of ${name}${options.run === undefined ? '' : ` with run ID ${options.run}`} in namespace ${temporal.namespace}`,
        `rampart history ${name}`,
      );
    });
  } catch (error) {
    const forgotten = error instanceof CliError && error.code === 'noRun';
    if (name.includes('/') || !(forgotten || error instanceof TemporalAway)) throw error;
    const storage = await openStore(cli, options.store);
    const stored = await storedReport(storage, name, options.run);
    if (stored === null) throw error;
    const why = forgotten ? 'Temporal does not know the run any more' : 'Temporal does not answer';
    cli.note(`rampart: ${why}; this is report ${stored.number} of ${storage.where}, as it was filed`);
    return stored.subject;
  }
}

/** The format asked for, else by the ending of `--out`, else Markdown for people and JSON for programs. */
function readFormat(cli: Cli, { format, out }: ReportOptions): ReportFormat {
  if (format !== undefined) {
    const known = FORMATS[format];
    if (known !== undefined) return known;
    throw badInput(`--format ${format}: there are json, md, html and junit`);
  }
  const ending = out === undefined ? undefined : FORMATS[out.slice(out.lastIndexOf('.') + 1)];
  return ending ?? (cli.json && out === undefined ? 'json' : 'markdown');
}

async function inTemporal(temporal: Temporal, ref: RunRef): Promise<Subject> {
  if (ref.closedAt === null)
    return ref.type === 'drill' ? queryDrill(temporal, ref) : { record: await queryEvidence(temporal, ref) };
  const { subject, text } = await endedRun(temporal, ref);
  if (subject !== null) return isDrill(subject) ? subject : { record: subject };
  throw failed('failed', `run ${ref.runId} of ${ref.workflowId} left no record: ${text}`);
}

/** A topology with one service needs no name. */
async function onlyService(cli: Cli): Promise<string> {
  const names = Object.keys((await findTopology(cli))?.services ?? {});
  if (names.length === 1) return names[0]!;
  throw badInput('name the service or the workflow ID', ...names.map((name) => `rampart report ${name}`));
}
