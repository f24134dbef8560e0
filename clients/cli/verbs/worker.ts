import { runWorker } from '../../../workers/main.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';

interface WorkerVerbOptions {
  region?: string;
  place?: string;
  metricsAddress?: string;
  healthAddress?: string;
}

/** `rampart worker`: runs until it is told to stop. */
export async function run(cli: Cli, _args: string[], options: WorkerVerbOptions): Promise<ExitCode> {
  const { region, place, metricsAddress, healthAddress } = options;
  if (place !== undefined && region === undefined) {
    throw badInput(
      '--place needs --region: a place is a part of a region',
      'rampart worker --region <region> --place <place>',
    );
  }
  await runWorker({
    region,
    place,
    config: cli.config,
    ...(metricsAddress === undefined ? {} : { metricsAddress }),
    ...(healthAddress === undefined ? {} : { healthAddress }),
  });
  return EXIT.done;
}
