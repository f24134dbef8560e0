import { randomBytes } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { within } from '../../../drivers/within.ts';
import type { ComparisonRecord } from '../../../evidence/comparison-record.ts';
import { duration } from '../../../evidence/format.ts';
import { CONTROL_QUEUE } from '../../../workflows/contract.ts';
import { abortable } from '../../abortable.ts';
import { inTime, pollersOf } from '../../ask.ts';
import type { Temporal } from '../../connection.ts';
import type { Cli } from '../cli.ts';
import { badInput, CliError, EXIT, type ExitCode, failed } from '../exit.ts';
import { readTimeout } from '../options.ts';
import { withTemporal } from '../session.ts';
import { requireTopology, serviceIn } from '../topology.ts';

export interface CompareOptions {
  timeout?: string;
}

/** Longest wait for a round unless --timeout says otherwise, in milliseconds. */
const TIMEOUT_MS = 600_000;
/** Keys that are printed; the answer with --json has all that are kept. */
const MOST_LINES = 50;

/** `rampart compare <service> [comparison]`: one round of each comparison of the service, now. */
export async function run(cli: Cli, args: string[], options: CompareOptions): Promise<ExitCode> {
  const [name, wanted] = args as [string, string | undefined];
  const topology = await requireTopology(cli);
  const service = serviceIn(topology, name);
  const all = Object.values(topology.divergence ?? {}).filter((one) => one.service === service.name);
  const names = all.map((one) => one.name);
  if (all.length === 0)
    throw badInput(`the topology compares nothing of ${name}`, 'Write a section `divergence`: docs/divergence.md');
  if (wanted !== undefined && !names.includes(wanted))
    throw badInput(`${name} has no comparison "${wanted}"; it has ${names.join(', ')}`);
  const timeoutMs = readTimeout(options.timeout) ?? TIMEOUT_MS;
  return withTemporal(cli, name, async (temporal) => {
    const records: ComparisonRecord[] = [];
    for (const one of wanted === undefined ? names : [wanted]) {
      const record = await round(cli, temporal, one, timeoutMs);
      records.push(record);
      for (const line of linesOf(record, cli)) cli.print(line);
    }
    cli.answer({ service: name, comparisons: records });
    if (records.some(({ keys }) => keys.length > 0)) return EXIT.failed;
    return records.every(({ complete }) => complete) ? EXIT.done : EXIT.waiting;
  });
}

async function round(cli: Cli, temporal: Temporal, comparison: string, timeoutMs: number): Promise<ComparisonRecord> {
  if ((await pollersOf(temporal, CONTROL_QUEUE, 'workflow').catch(() => [])).length === 0)
    throw failed(
      'noWorker',
      `no worker polls the task queue ${CONTROL_QUEUE}: nobody can compare`,
      'Start one: rampart worker',
    );
  const handle = await inTime(temporal, () =>
    temporal.client.workflow.start('compare', {
      workflowId: `compare/${comparison}/${randomBytes(4).toString('hex')}`,
      taskQueue: CONTROL_QUEUE,
      args: [{ comparison, once: true }],
      staticSummary: `compare ${comparison}`,
    }),
  );
  const over = within(timeoutMs);
  const signal = AbortSignal.any([cli.io.signal, over]);
  try {
    return (await abortable(handle.result(), signal)) as ComparisonRecord;
  } catch (error) {
    if (signal.aborted) {
      await handle.cancel().catch(() => undefined);
      if (!over.aborted) throw error;
      throw new CliError(EXIT.waiting, `${comparison} is not compared after ${timeoutMs / 1000} s`, {
        code: 'timedOut',
      });
    }
    if (!(error instanceof WorkflowFailedError)) throw error;
    let cause: Error = error;
    while (cause.cause instanceof Error) cause = cause.cause;
    throw failed('failed', `${comparison}: ${cause.message}`);
  }
}

function linesOf(record: ComparisonRecord, { paint }: Cli): string[] {
  const { comparison, regions, rows, ranges, keys, complete, notes, lagAtLeastMs, lagSloMs, startedAt, endedAt } =
    record;
  const [a, b] = regions;
  const looked = `${rows[a]} rows in ${a}, ${rows[b]} in ${b}, ${ranges.looked} of ${ranges.of} ranges in ${duration(endedAt - startedAt)}`;
  const verdict =
    keys.length > 0
      ? paint.red(`${keys.length} keys differ`)
      : complete
        ? paint.green(`${a} and ${b} hold the same`)
        : paint.yellow(`nothing that differs was found between ${a} and ${b}`);
  const lag =
    lagAtLeastMs === null
      ? []
      : [`  behind by at least ${duration(lagAtLeastMs)}, the objective is ${duration(lagSloMs)}`];
  return [
    `${paint.bold(comparison)}: ${verdict} (${looked})`,
    ...keys.slice(0, MOST_LINES).map((one) => `  ${one.key.join(', ')}: ${whatOf(one, regions)}`),
    ...(keys.length > MOST_LINES ? [`  and ${keys.length - MOST_LINES} more: --json has them`] : []),
    ...lag,
    ...(complete ? [] : [paint.yellow(`  not everything was looked at: ${notes.join('; ')}`)]),
  ];
}

function whatOf({ kind, region, at }: ComparisonRecord['keys'][number], regions: [string, string]): string {
  const times = regions.flatMap((one) => (at[one] == null ? [] : [`${one} ${new Date(at[one]).toISOString()}`]));
  const written = times.length === 0 ? '' : ` (${times.join(', ')})`;
  if (kind === 'missing') return `missing in ${region}${written}`;
  return kind === 'firstWriteWins' ? `${region} wrote first${written}` : `conflict${written}`;
}
