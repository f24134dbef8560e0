import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import { arn, awsEndpoint, awsRegion } from '../aws/schema.ts';

const GROUP_EXAMPLE =
  'arn:aws:globalaccelerator::111122223333:accelerator/1234abcd-abcd-1234-abcd-1234abcdefgh/listener/0123vxyz/endpoint-group/098765zyxwvu';

/** Where Global Accelerator's API is, for every accelerator of every region. */
export const API_REGION = 'us-west-2';

/** What an accelerator's tags have room for. */
const MOST_UNITS = 16;

/** Configuration of a `global-accelerator` component. */
export const configSchema = z.strictObject({
  by: z.enum(['dial', 'weight']).meta({
    description:
      'dial: the traffic dials of endpoint groups, one per region of AWS. weight: the weights of endpoints inside one endpoint group, where the regions are cells of one region of AWS',
    examples: ['dial', 'weight'],
  }),
  deadline: durationBetween(100, 3_600_000)
    .prefault('5m')
    .meta({ description: 'Longest wait until a change is deployed at all edge locations', examples: ['5m'] }),
  healthWait: durationBetween(0, 3_600_000)
    .prefault('2m')
    .meta({
      description: 'Longest wait until Global Accelerator itself finds a region healthy that is to get traffic',
      examples: ['2m'],
    }),
  lookEvery: durationBetween(10, 60_000)
    .prefault('2s')
    .meta({ description: 'Pause between two looks while a change is being deployed', examples: ['2s'] }),
  answerTimeout: durationBetween(50, 60_000)
    .prefault('10s')
    .meta({ description: 'Longest wait for one answer of the API', examples: ['10s'] }),
  endpoint: awsEndpoint.optional(),
});

/** Configuration of one node: an endpoint group, or an endpoint inside it. */
export const nodeSchema = z.strictObject({
  endpointGroup: arn('globalaccelerator', GROUP_EXAMPLE)
    .refine((text) => /\/listener\/[^/]+\/endpoint-group\/[^/]+$/.test(text), {
      error: 'expected the ARN of an endpoint group',
    })
    .meta({ description: 'ARN of the endpoint group that serves the region', examples: [GROUP_EXAMPLE] }),
  awsRegion: awsRegion.meta({
    description: 'Region of AWS that the endpoint group is in. AWS must show the same, so that swapped ARNs are found',
    examples: ['eu-west-1'],
  }),
  endpointId: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "by weight: the region's endpoint in the group, an ARN of a load balancer, an allocation or instance ID",
      examples: ['arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/checkout-a/50dc6c495c0c9188'],
    }),
});

export type AcceleratorConfig = z.output<typeof configSchema>;

/** What is turned for a region: an endpoint group's dial, or an endpoint's weight. */
export interface Unit {
  region: RegionName;
  node: string;
  group: string;
  awsRegion: string;
  /** by weight. */
  endpointId: string | null;
  /** Short, stable name for tags, which have little room. */
  key: string;
}

/** Everything that is turned, in the topology's order. */
export function unitsOf(component: Component): Unit[] {
  return Object.values(component.sides).flatMap(({ region, nodes }) =>
    nodes.map(({ name, config }) => {
      const { endpointGroup: group, awsRegion: own, endpointId = null } = config as z.output<typeof nodeSchema>;
      const key = createHash('sha256').update(`${group} ${endpointId}`).digest('hex').slice(0, 8);
      return { region, node: name, group, awsRegion: own, endpointId, key };
    }),
  );
}

export const listenerOf = (group: string): string => group.replace(/\/endpoint-group\/.*$/, '');
export const acceleratorOf = (group: string): string => group.replace(/\/listener\/.*$/, '');

/** What the schemas cannot say. */
export function validateAccelerator(component: Component) {
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const say = (region: RegionName, code: string, message: string) =>
    problems.push({ path: ['sides', region], message, code });
  const byWeight = component.config.by === 'weight';
  const units = unitsOf(component);
  const [first] = units;
  for (const [index, unit] of units.entries()) {
    if (acceleratorOf(unit.group) !== acceleratorOf(first!.group)) {
      say(unit.region, 'accelerator_other', `${unit.region} belongs to another accelerator than ${first!.region}`);
    } else if (units.findIndex(({ key }) => key === unit.key) !== index) {
      say(
        unit.region,
        'accelerator_twice',
        `${unit.region} has what another node has: ${unit.endpointId ?? unit.group}`,
      );
    }
    if (byWeight && unit.group !== first!.group) {
      say(
        unit.region,
        'accelerator_group',
        'by weight: all regions are endpoints of one endpoint group; across groups, turn dials',
      );
    }
    if (byWeight && unit.endpointId === null)
      say(unit.region, 'accelerator_endpoint', `by weight needs \`endpointId\` for ${unit.region}`);
    if (!byWeight && unit.endpointId !== null)
      say(unit.region, 'accelerator_endpoint', 'by dial takes no `endpointId`');
  }
  if (units.length > MOST_UNITS) {
    problems.push({
      path: ['sides'],
      message: `${units.length} nodes: at most ${MOST_UNITS}`,
      code: 'accelerator_nodes',
    });
  }
  return problems;
}
