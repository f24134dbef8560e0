import type { Cli } from '../cli.ts';
import type { ExitCode } from '../exit.ts';
import { type StartOptions, run as start } from './start.ts';

/** `rampart refence <service>`: the same as `rampart start refence --service <service>`. */
export function run(cli: Cli, args: string[], options: StartOptions): Promise<ExitCode> {
  return start(cli, ['refence', ...args], options);
}
