import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import { arn, awsEndpoint, awsRegion } from '../aws/schema.ts';

const CONTROL_EXAMPLE = 'arn:aws:route53-recovery-control::111122223333:controlpanel/0123/routingcontrol/aaaa';
const RULE_EXAMPLE = 'arn:aws:route53-recovery-control::111122223333:controlpanel/0123/safetyrule/cccc';

/** "Number of routing controls per UpdateRoutingControlStates operation call" in the quotas for routing control. */
const CONTROLS_PER_CALL = 10;

const endpoint = z.strictObject({
  region: awsRegion.meta({ description: 'Region of AWS that the endpoint is in', examples: ['us-east-1'] }),
  endpoint: awsEndpoint.meta({
    description: 'Address of the endpoint, as `aws route53-recovery-control-config describe-cluster` shows it',
    examples: ['https://host-aaaaaa.us-east-1.example.com/v1'],
  }),
});

/** Configuration of an `arc-routing-control` component. */
export const configSchema = z.strictObject({
  endpoints: z
    .array(endpoint)
    .length(5, 'a cluster has five endpoints: list all of them, any may be down when they are needed')
    .meta({
      description: 'The five endpoints of the cluster. Kept here, because what tells them may be what is down',
    }),
  confirm: z
    .int()
    .min(1)
    .max(5)
    .default(2)
    .meta({ description: 'Endpoints that must show a change before it is believed', examples: [2, 3] }),
  answerTimeout: durationBetween(50, 30_000)
    .prefault('3s')
    .meta({ description: 'Longest wait for one endpoint before the next one is asked', examples: ['3s'] }),
  deadline: durationBetween(100, 600_000)
    .prefault('45s')
    .meta({ description: 'Longest wait until the endpoints show a change', examples: ['45s'] }),
  ruleWait: durationBetween(0, 300_000)
    .prefault('10s')
    .meta({
      description:
        "How long a change that a safety rule refuses is asked for again: longer than the rules' wait period, in which they refuse every change",
      examples: ['10s'],
    }),
  override: z
    .array(
      arn('route53-recovery-control', RULE_EXAMPLE).refine((text) => text.includes('/safetyrule/'), {
        error: 'expected the ARN of a safety rule',
      }),
    )
    .default([])
    .meta({
      description: 'Safety rules that a run may override, once a person has accepted `safetyRule` for it by name',
      examples: [[RULE_EXAMPLE]],
    }),
  clientTtl: durationBetween(0, 86_400_000)
    .prefault('60s')
    .meta({
      description: 'How long clients may keep the old answer: the TTL of the records that follow the routing controls',
      examples: ['60s'],
    }),
});

/** Configuration of one node: a routing control. A region with several is on when all of its controls are. */
export const nodeSchema = z.strictObject({
  routingControl: arn('route53-recovery-control', CONTROL_EXAMPLE)
    .refine((text) => text.includes('/routingcontrol/'), { error: 'expected the ARN of a routing control' })
    .meta({ description: 'ARN of the routing control that turns the region on', examples: [CONTROL_EXAMPLE] }),
  control: z
    .string()
    .min(1)
    .meta({
      description: "The routing control's name, which AWS must show: an ARN of the wrong region cannot be told by eye",
      examples: ['checkout-eu-west'],
    }),
});

export type ArcConfig = z.output<typeof configSchema>;

export interface Control {
  region: RegionName;
  arn: string;
  name: string;
}

/** The routing controls of all regions, in the topology's order. */
export function controlsOf(component: Component): Control[] {
  return Object.values(component.sides).flatMap(({ region, nodes }) =>
    nodes.map(({ config }) => ({ region, arn: String(config.routingControl), name: String(config.control) })),
  );
}

/** What the schemas cannot say. */
export function validateArc(component: Component) {
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const config = component.config as unknown as ArcConfig;
  const seen = new Set<string>();
  for (const [index, { region }] of (config.endpoints ?? []).entries()) {
    if (!seen.has(region)) seen.add(region);
    else {
      const message = `two endpoints in ${region}: a cluster has one in each of five regions`;
      problems.push({ path: ['endpoints', index, 'region'], message, code: 'arc_endpoint_twice' });
    }
  }
  const controls = controlsOf(component);
  for (const { region, arn: own } of controls.filter(
    (one, index) => index !== controls.findIndex((c) => c.arn === one.arn),
  )) {
    const message = `${region} has the routing control of another region: ${own}`;
    problems.push({ path: ['sides', region], message, code: 'arc_control_twice' });
  }
  if (controls.length > CONTROLS_PER_CALL) {
    const message = `${controls.length} routing controls: one request takes ${CONTROLS_PER_CALL}, and safety rules must see one change`;
    problems.push({ path: ['sides'], message, code: 'arc_too_many_controls' });
  }
  return problems;
}
