/** A second, complete orchestrator beside a world's own: another Temporal server, with workers of its own. */
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { installPart } from '../../lab/parts/install.ts';
import { built } from '../../lab/paths.ts';
import { freePorts } from '../../lab/ports.ts';
import { startProcess } from '../../lab/processes.ts';
import { recordOf } from '../../lab/world/spec.ts';
import { devServerArguments, untilAnswers } from '../../lab/world/temporal.ts';
import type { TestWorld } from './world.ts';

/** A server and a worker per place beside the world's own; they end with the world. */
export async function secondServer(world: TestWorld): Promise<Connection> {
  const { bin } = await installPart('temporal');
  const [port, uiPort, httpPort, ...health] = (await freePorts(6)) as [number, number, number, ...number[]];
  const { dir } = world.lab;
  const start = (name: string, command: string, args: string[], env: Record<string, string> = {}): void =>
    void startProcess({ name, command, args, env, log: join(dir, 'logs', `${name}.log`), record: recordOf(dir) });
  start('second-temporal', bin, devServerArguments({ port, uiPort, httpPort }, join(dir, 'second.db')));
  await untilAnswers(`http://127.0.0.1:${httpPort}/api/v1/namespaces/default`, 30_000, 'the second server');
  for (const [i, region] of [undefined, ...Object.keys(world.report.regions)].entries())
    start(
      `second-worker-${region ?? 'control'}`,
      process.execPath,
      [
        ...[built('clients/cli/main.js'), 'worker', '--health-address', `127.0.0.1:${health[i]}`],
        ...(region === undefined ? [] : ['--region', region]),
      ],
      {
        RAMPART_CONFIG: world.report.config,
        RAMPART_STATE_DIR: join(dir, 'second-state'),
        TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
      },
    );
  await Promise.all(health.map((h) => untilAnswers(`http://127.0.0.1:${h}/readyz`, 60_000, 'a second worker')));
  return Connection.connect({ address: `127.0.0.1:${port}` });
}
