import { drivers } from '../../../drivers/registry.ts';
import { recordJsonSchema } from '../../../evidence/schema.ts';
import { topologyJsonSchema } from '../../../topology/json-schema.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';

/** `rampart schema [what]`: prints the JSON Schema; `--json` on one line. */
export async function run(cli: Cli, args: string[]): Promise<ExitCode> {
  const [what = 'topology'] = args;
  if (what !== 'topology' && what !== 'record') throw badInput(`there is no schema of ${what}: topology or record`);
  const schema = what === 'record' ? recordJsonSchema() : topologyJsonSchema(drivers);
  cli.print(JSON.stringify(schema, null, 2));
  cli.answer(schema);
  return EXIT.done;
}
