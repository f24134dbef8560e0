import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProcess } from '../processes.ts';
import { recordOf, type WorldSpec } from './spec.ts';

/** Search attributes of Rampart's workflows, with their types. */
export const SEARCH_ATTRIBUTES: Record<string, 'Keyword' | 'Int' | 'KeywordList'> = {
  RampartService: 'Keyword',
  RampartPhase: 'Keyword',
  RampartAction: 'Keyword',
  RampartMode: 'Keyword',
  RampartFrom: 'Keyword',
  RampartTo: 'Keyword',
  RampartTrafficPercent: 'Int',
  RampartAwaiting: 'KeywordList',
};

/**
 * Arguments of `temporal` for a dev server as the lab wants it. With the server's defaults every activity
 * costs 51 ms, because a shard's queues are read at most 20 times a second; with these settings, 8 ms.
 */
export function devServerArguments(
  ports: { port: number; uiPort: number; httpPort: number },
  databaseFile: string,
): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.port)],
    ...['--ui-port', String(ports.uiPort), '--http-port', String(ports.httpPort)],
    ...['--db-filename', databaseFile, '--log-level', 'warn'],
    // A run of 60 activities makes 1,250 fsyncs otherwise. The lab kills processes, not the kernel: nothing is lost.
    ...['--sqlite-pragma', 'synchronous=off'],
    ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=2000'],
    ...['--dynamic-config-value', 'history.timerProcessorMaxPollRPS=2000'],
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
  ];
}

/** Starts the world's dev server. Its state is in a file, so that killing it loses nothing. */
export function startTemporal(spec: WorldSpec, bin: string): ChildProcess {
  return startProcess({
    name: 'temporal',
    command: bin,
    args: devServerArguments(spec.temporal, join(spec.dir, 'temporal.db')),
    log: join(spec.dir, 'logs/temporal.log'),
    record: recordOf(spec.dir),
  });
}

/** Waits until the namespace answers. */
export async function untilTemporalAnswers(spec: WorldSpec, deadlineMs = 120_000): Promise<void> {
  if (spec.temporal.existing) return;
  const url = `http://127.0.0.1:${spec.temporal.httpPort}/api/v1/namespaces/${spec.temporal.namespace}`;
  await untilAnswers(url, deadlineMs, `the Temporal dev server; its log is ${join(spec.dir, 'logs/temporal.log')}`);
}

/** Polls a URL until it answers 200. */
export async function untilAnswers(url: string, deadlineMs: number, what: string): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const ok = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (Date.now() > deadline) throw new Error(`no answer from ${url} within ${deadlineMs / 1000} s: ${what}`);
    await sleep(20);
  }
}
