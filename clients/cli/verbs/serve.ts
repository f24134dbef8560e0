import { resolve } from 'node:path';
import { drivers } from '../../../drivers/registry.ts';
import { DEFAULT_PATH, loadTopology } from '../../../topology/load.ts';
import { parseAddress } from '../../webhooks/listen.ts';
import { createLog } from '../../webhooks/log.ts';
import { serve } from '../../webhooks/serve.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { requireTopology } from '../topology.ts';
import { version } from '../version.ts';

/** `rampart serve`: takes alerts until it is told to stop. */
export async function run(
  cli: Cli,
  _args: string[],
  options: { address: string; metricsAddress?: string },
): Promise<ExitCode> {
  const { address, metricsAddress } = options;
  const { env, cwd, signal } = cli.io;
  try {
    parseAddress(address);
    if (metricsAddress !== undefined) parseAddress(metricsAddress);
  } catch (error) {
    throw badInput((error as Error).message);
  }
  const topology = await requireTopology(cli);
  if (Object.keys(topology.alertSources).length === 0) {
    throw badInput(
      `${topology.path} names nobody who may send alerts`,
      'Name them under alertSources: docs/webhooks.md.',
    );
  }
  const path = resolve(cwd, cli.config ?? (env.RAMPART_CONFIG || DEFAULT_PATH));
  const load = (from: string) => loadTopology({ path: from, env, cwd }, drivers);
  try {
    await serve({
      address,
      metricsAddress,
      version: version(),
      path,
      load,
      env,
      signal,
      log: createLog(env.RAMPART_LOG_LEVEL),
    });
  } catch (error) {
    const reason = LISTENING[(error as NodeJS.ErrnoException).code ?? ''];
    if (reason === undefined) throw error;
    throw failed('failed', `nothing can listen at ${address}: ${reason}`, 'rampart serve --address <host:port>');
  }
  return EXIT.done;
}

const LISTENING: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something listens there already',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not listen on that port',
  ENOTFOUND: 'there is no host of that name',
};
