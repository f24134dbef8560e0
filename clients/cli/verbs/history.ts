import { actionText, direction, duration } from '../../../evidence/format.ts';
import { runLink, type Temporal } from '../../connection.ts';
import { type Ending, endingOf, listRuns, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';
import { outcomePainted } from '../render/run.ts';
import { table } from '../render/table.ts';
import { withTemporal } from '../session.ts';
import { lockFor } from '../topology.ts';

const LIMIT = 20;

/** `rampart history <service>`: past runs, newest first. */
export async function run(cli: Cli, args: string[], options: { limit?: string }): Promise<ExitCode> {
  const [service] = args as [string];
  const limit = options.limit === undefined ? LIMIT : Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1) throw badInput(`--limit ${options.limit}: a whole number from 1`);
  return withTemporal(cli, service, async (temporal) => {
    const runs = await listRuns(temporal, await lockFor(cli, service), limit);
    const rows = await Promise.all(runs.map(async (one) => ({ one, ending: await endingIfClosed(temporal, one) })));
    cli.answer({
      service,
      runs: rows.map(({ one, ending }) => ({
        workflowId: one.workflowId,
        runId: one.runId,
        action: one.type,
        state: one.closedAt === null ? 'running' : 'closed',
        mode: ending?.record?.mode ?? null,
        from: ending?.record?.from ?? null,
        to: ending?.record?.to ?? null,
        by: ending?.record?.request.by ?? null,
        outcome: ending?.outcome ?? null,
        text: ending?.text ?? '',
        startedAt: one.startedAt,
        closedAt: one.closedAt,
        link: runLink(temporal, one.workflowId, one.runId),
      })),
    });
    if (rows.length === 0) cli.print(`${service} has no past runs in namespace ${temporal.namespace}.`);
    for (const line of table(rows.map((row) => cells(cli, row.one, row.ending)))) cli.print(line);
    return EXIT.done;
  });
}

async function endingIfClosed(temporal: Temporal, one: RunRef): Promise<Ending | null> {
  if (one.closedAt === null || one.status === 'CONTINUED_AS_NEW') return null;
  return endingOf(temporal, one).catch(() => null);
}

function cells(cli: Cli, one: RunRef, ending: Ending | null): string[] {
  const record = ending?.record ?? null;
  return [
    new Date(one.startedAt).toISOString().slice(0, 19).replace('T', ' '),
    actionText(one.type),
    record === null ? '' : `${direction(record.from, record.to)}, ${record.mode}`,
    one.closedAt === null
      ? cli.paint.cyan('running')
      : ending === null
        ? 'continued'
        : outcomePainted(ending.outcome, cli.paint),
    one.closedAt === null ? '' : duration(one.closedAt - one.startedAt),
    cli.paint.dim(one.runId),
    (ending?.text ?? '').split('\n')[0]!.slice(0, 100),
  ];
}
