import { runDemo } from '../../../lab/demo/run.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';

interface DemoVerbOptions {
  keep?: boolean;
  name?: string;
  load?: string;
  alert?: boolean;
}

/** `rampart demo` */
export async function run(cli: Cli, _args: string[], options: DemoVerbOptions): Promise<ExitCode> {
  const load = Number(options.load ?? 120);
  if (!Number.isInteger(load) || load < 20 || load > 1_000)
    throw badInput(`--load ${options.load}: 20 to 1000 orders per second`);
  try {
    const result = await runDemo(cli.io, cli.paint, {
      json: cli.json,
      keep: options.keep === true,
      name: options.name ?? 'demo',
      load,
      alert: options.alert === true,
    });
    cli.answer(result);
    return result.result === 'passed' ? EXIT.done : EXIT.failed;
  } catch (error) {
    if (!cli.io.signal.aborted) throw error;
    cli.note('Interrupted: the world has ended.');
    return EXIT.interrupted;
  }
}
