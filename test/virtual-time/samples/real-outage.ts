/** Runs the calibration's rows about a server that dies and comes back, all on one real server that does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { installPart } from '../../../lab/parts/install.ts';
import { freePorts } from '../../../lab/ports.ts';
import { devServerArguments, untilAnswers } from '../../../lab/world/temporal.ts';
import { begin, observe, quietRuntime, reached, startWorker } from './real.ts';
import type { Scenario } from './scenarios.ts';
import type { Observed } from './virtual.ts';

/** @returns what each came to, by its name. Each has one act, and all the same: the outage. */
export async function runThroughOutage(scenarios: Scenario[]): Promise<Map<string, Observed>> {
  quietRuntime();
  const acts = scenarios.map(({ acts: [act] = [] }) => act!);
  const { delay = 0, outage = 0 } = acts[0]!;
  const dir = mkdtempSync(join(tmpdir(), 'rampart-outage-'));
  const [port, uiPort, httpPort] = (await freePorts(3)) as [number, number, number];
  const { bin } = await installPart('temporal');
  let server: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    server = spawn(bin, devServerArguments({ port, uiPort, httpPort }, join(dir, 'temporal.db')), { stdio: 'ignore' });
    const url = `http://127.0.0.1:${httpPort}/api/v1/namespaces/default`;
    await untilAnswers(url, 60_000, 'the Temporal dev server');
  };
  const kill = async (): Promise<void> => {
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };
  try {
    await start();
    const environment = await TestWorkflowEnvironment.createFromExistingServer({ address: `127.0.0.1:${port}` });
    const stopWorker = await startWorker(environment, scenarios);
    const handles = await Promise.all(scenarios.map((scenario) => begin(environment, scenario)));
    await Promise.all(handles.map((handle, i) => reached(handle, acts[i]!.after)));
    await sleep(delay);
    await kill();
    await sleep(outage);
    await start();
    const seen = await Promise.all(handles.map((handle) => observe(environment, handle)));
    await stopWorker();
    await environment.teardown();
    return new Map(scenarios.map(({ name }, i) => [name, { ...seen[i]!, updates: [] }]));
  } finally {
    await kill();
    rmSync(dir, { recursive: true, force: true });
  }
}
