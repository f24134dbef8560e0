import type { Cli } from '../cli.ts';
import type { ExitCode } from '../exit.ts';
import { type StartOptions, run as start } from './start.ts';

/** `rampart reprotect <service>`: the same as `rampart start reprotect --service <service>`. */
export function run(cli: Cli, args: string[], options: StartOptions): Promise<ExitCode> {
  return start(cli, ['reprotect', ...args], options);
}
