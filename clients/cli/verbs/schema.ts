import { drivers } from '../../../drivers/registry.ts';
import { topologyJsonSchema } from '../../../topology/json-schema.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';

/** `rampart schema`: prints the JSON Schema; `--json` on one line. */
export async function run(cli: Cli): Promise<ExitCode> {
  const schema = topologyJsonSchema(drivers);
  cli.print(JSON.stringify(schema, null, 2));
  cli.answer(schema);
  return EXIT.done;
}
