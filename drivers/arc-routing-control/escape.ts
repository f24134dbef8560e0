import type { ArcConfig } from './config.ts';
import type { States } from './states.ts';

/** The commands that switch by hand: each tries one endpoint after the other until one takes it, or shows it. */
export function escapeCommands(config: ArcConfig, states: States): string[] {
  const entries = Object.entries(states).map(([arn, state]) => ({
    RoutingControlArn: arn,
    RoutingControlState: state,
  }));
  const update = `update-routing-control-states --update-routing-control-state-entries ${quoted(JSON.stringify(entries))}`;
  const reads = Object.keys(states).map((arn) =>
    atAny(config, `get-routing-control-state --routing-control-arn ${quoted(arn)}`),
  );
  return [
    '# With the AWS CLI and credentials for the account of the cluster; one of its five endpoints is enough:',
    atAny(config, update),
    ...config.override.map(
      (rule) => `# If the safety rule refuses and you accept that, add: --safety-rules-to-override ${quoted(rule)}`,
    ),
    '# Each routing control must show its new state:',
    ...reads,
  ];
}

function atAny({ endpoints }: ArcConfig, command: string): string {
  const tries = endpoints.map(
    ({ region, endpoint }) =>
      `AWS_MAX_ATTEMPTS=1 aws route53-recovery-cluster ${command} --region ${region} --endpoint-url ${quoted(endpoint)} --cli-connect-timeout 3 --cli-read-timeout 5`,
  );
  return tries.join(' ||\n  ');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
