import { endpointsWith, type Reading } from './api.ts';
import { type AcceleratorConfig, API_REGION, acceleratorOf, type Unit } from './config.ts';
import type { Values } from './values.ts';

/** The commands that turn it by hand, gains first. @param reading `null`: it cannot be read now */
export function escapeCommands(
  config: AcceleratorConfig,
  units: readonly Unit[],
  wanted: Values,
  reading: Reading | null,
): string[] {
  const aws = `aws globalaccelerator --region ${API_REGION}${config.endpoint === undefined ? '' : ` --endpoint-url ${quoted(config.endpoint)}`}`;
  const update = (group: string) => `${aws} update-endpoint-group --endpoint-group-arn ${quoted(group)}`;
  const state = `${aws} describe-accelerator --accelerator-arn ${quoted(acceleratorOf(units[0]!.group))} --query Accelerator.Status`;
  const turns =
    config.by === 'dial'
      ? [...units]
          .sort((a, b) => wanted[b.key]! - wanted[a.key]!)
          .map(({ group, key }) => `${update(group)} --traffic-dial-percentage ${wanted[key]}`)
      : weights(update(units[0]!.group), units, wanted, reading);
  return [
    `# With the AWS CLI and credentials for the account of the accelerator; its API is in ${API_REGION} only:`,
    ...turns,
    '# It must say DEPLOYED:',
    state,
  ];
}

function weights(update: string, units: readonly Unit[], wanted: Values, reading: Reading | null): string[] {
  const list = (endpoints: object[]) => `${update} --endpoint-configurations ${quoted(JSON.stringify(endpoints))}`;
  if (reading !== null) return [list(endpointsWith(units, wanted, reading))];
  const own = units.map(({ endpointId, key }) => ({ EndpointId: endpointId, Weight: wanted[key] }));
  return [
    '# Removes every endpoint of the group that is not in this list: add what else there is first.',
    `# ${list(own)}`,
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
