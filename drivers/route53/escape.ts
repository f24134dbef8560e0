/** What a person types when nothing of Rampart runs: aws-cli commands that can be pasted as they stand. */
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import { hostAndPort, type Route53Config, type Side } from './config.ts';
import type { Confirming } from './confirm.ts';
import { readName } from './health.ts';
import { assertUnderstood, weightEdits } from './records.ts';

/** With the records as they are now; where they cannot be read, what to look for and by which command. */
export async function escapeCommands(of: Confirming, wanted: Weights): Promise<string[]> {
  const { config, sides } = of;
  const to = sides.find((side) => wanted[side.region] === 100)!;
  try {
    const state = await readName(of);
    assertUnderstood(state);
    const records = weightEdits(config, sides, state, wanted).map(({ before, after }) => ({ before, after }));
    const switches = [
      ...state.health.filter(({ side }) => side === to),
      ...state.health.filter(({ side }) => side !== to),
    ].flatMap(({ side, checks: own }) => own.map((check) => healthCommand(config, check.Id!, side, side === to)));
    return [
      `# ${config.name} to ${to.region}. Route 53's API answers in ${config.region} only, whichever region is lost.`,
      ...(records.length > 0 ? changeCommands(config, records) : []),
      ...switches,
      ...(records.length + switches.length === 0 ? [`# The records say so already.`] : []),
      ...lookCommands(config),
    ];
  } catch (error) {
    if (!(error instanceof RampartError)) throw error;
    of.context.signal.throwIfAborted();
    return [`# The records could not be read now: ${error.message}`, ...unreadCommands(config, sides, to.region)];
  }
}

/** Roles and simple records cannot both stand for a moment: they go and come in one batch. Weights are set. */
function changeCommands(
  config: Route53Config,
  edits: ReadonlyArray<{ before: ResourceRecordSet; after: ResourceRecordSet }>,
): string[] {
  const upsert = config.policy === 'weighted' || config.policy === 'simple';
  const Changes = upsert
    ? edits.map(({ after }) => ({ Action: 'UPSERT', ResourceRecordSet: after }))
    : [
        ...edits.map(({ before }) => ({ Action: 'DELETE', ResourceRecordSet: before })),
        ...edits.map(({ after }) => ({ Action: 'CREATE', ResourceRecordSet: after })),
      ];
  const batch = JSON.stringify({ Comment: 'by hand, from the escape page of rampart', Changes }, null, 2);
  const file = `rampart-${config.name.replace(/[^a-z0-9.-]/gi, '_')}.json`;
  return [
    `cat > ${file} <<'RAMPART'\n${batch}\nRAMPART`,
    `${aws(config)} change-resource-record-sets --hosted-zone-id ${config.hostedZone} --change-batch file://${file}`,
  ];
}

function healthCommand(config: Route53Config, id: string, side: Side, on: boolean): string {
  const how = on ? `--no-disabled ${side.inverted ? '--inverted' : '--no-inverted'}` : '--disabled --inverted';
  return `${aws(config)} update-health-check --health-check-id ${id} ${how}`;
}

function lookCommands(config: Route53Config): string[] {
  const asked = config.nameServers?.map((server) => {
    const { host, port } = hostAndPort(server);
    return `@${host} ${port === 53 ? '' : `-p ${port} `}`;
  }) ?? [''];
  return [
    '# What the zone holds, and what its servers answer (within about a minute):',
    `${aws(config)} list-resource-record-sets --hosted-zone-id ${config.hostedZone} --start-record-name ${quoted(config.name)} --max-items 20`,
    ...asked.flatMap((server) => config.types.map((type) => `dig +short ${server}${quoted(config.name)} ${type}`)),
  ];
}

function unreadCommands(config: Route53Config, sides: readonly Side[], to: RegionName): string[] {
  const what = {
    weighted: 'Weight 100 for it and 0 for the others',
    failover: 'Failover PRIMARY for it and SECONDARY for the other',
    latency: 'its health check not disabled, those of the others disabled and inverted',
    simple: 'its target as the value',
  }[config.policy];
  return [
    `# Wanted for ${to}: ${what}.`,
    ...sides.map((side) => `# ${side.region}: ${side.setIdentifier ?? 'simple record'}, ${side.targets.join(', ')}`),
    ...lookCommands(config),
  ];
}

function aws({ region, endpoint }: Route53Config): string {
  return `aws route53 --region ${region}${endpoint === undefined ? '' : ` --endpoint-url ${endpoint}`}`;
}

function quoted(text: string): string {
  return /^[a-z0-9._-]+$/i.test(text) ? text : `'${text}'`;
}
