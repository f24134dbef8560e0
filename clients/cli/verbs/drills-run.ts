import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../../drivers/within.ts';
import { renderDrill } from '../../../evidence/render.ts';
import { lockOf } from '../../../topology/model.ts';
import { reasonOf } from '../../ask.ts';
import type { Temporal } from '../../connection.ts';
import { startDrill } from '../../drills/runs.ts';
import { type Ending, endingOf, findRun, queryStatus, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { readTimeout } from '../options.ts';
import { ProgressLines } from '../render/progress-lines.ts';
import { linkLine, speaker, withTemporal } from '../session.ts';
import { drillIn, requireTopology } from '../topology.ts';

interface RunOptions {
  by?: string;
  reason?: string;
  junit?: string;
  timeout?: string;
}

const INTERVAL_MS = 500;

/** `rampart drills run <name>`: plays it now and follows it; the exit code is its verdict, skipped ones are not passed. */
export async function run(cli: Cli, args: string[], options: RunOptions): Promise<ExitCode> {
  const topology = await requireTopology(cli);
  const drill = drillIn(topology, args[0]!);
  const timeoutMs = readTimeout(options.timeout);
  const by = speaker(cli, options.by);
  return withTemporal(cli, drill.service, async (temporal) => {
    const started = await startDrill(temporal, drill, by, options.reason);
    cli.print(`${started.workflowId}  ${cli.paint.dim(`run ${started.runId}`)}`);
    cli.print(linkLine(temporal, started));
    const ending = await follow(cli, temporal, started, { lock: lockOf(topology.services[drill.service]!), timeoutMs });
    if (ending === null) return cli.io.signal.aborted ? EXIT.interrupted : EXIT.waiting;
    const record = ending.drill ?? null;
    const { workflowId, runId } = started;
    cli.answer({
      drill: drill.name,
      workflowId,
      runId,
      verdict: record?.verdict ?? 'failed',
      text: ending.text,
      record,
    });
    cli.print(`${drill.name}: ${ending.text}`);
    if (options.junit !== undefined && record !== null) {
      const path = resolve(cli.io.cwd, options.junit);
      await writeFile(path, renderDrill(record, 'junit', { generatedAt: Date.now() }));
      cli.note(`Wrote ${path}`);
    }
    return record?.verdict === 'passed' ? EXIT.done : EXIT.failed;
  });
}

/** @returns `null` when the time is over, or somebody stopped watching: the drill goes on */
async function follow(
  cli: Cli,
  temporal: Temporal,
  started: RunRef,
  { lock, timeoutMs }: { lock: string; timeoutMs: number | undefined },
): Promise<Ending | null> {
  const { signal: stopped } = cli.io;
  const signal = timeoutMs === undefined ? stopped : within(timeoutMs, stopped);
  const lines = new ProgressLines(cli.paint);
  let trouble = '';
  while (!signal.aborted) {
    try {
      const now = await findRun(temporal, started.workflowId, started.runId);
      if (now !== null && now.closedAt !== null) return await endingOf(temporal, now);
      const held = await findRun(temporal, lock);
      if (held?.type === 'drill' && held.closedAt === null && held.startedAt >= started.startedAt - CLOCKS_MS) {
        const status = await queryStatus(temporal, held);
        for (const line of lines.next(status, null, Date.now())) cli.print(line);
      }
      trouble = '';
    } catch (error) {
      // The drill goes on without this program.
      if (trouble !== reasonOf(error)) cli.note(`rampart: ${reasonOf(error)}`);
      trouble = reasonOf(error);
    }
    await sleep(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
  cli.note('No longer watching; the drill goes on: rampart drills list');
  return null;
}

/** How far the clocks of this machine and of Temporal may be apart, in milliseconds. */
const CLOCKS_MS = 60_000;
