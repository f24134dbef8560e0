import { isIP } from 'node:net';
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import { awsEndpoint } from '../aws/schema.ts';
import { RampartError } from '../errors.ts';

const SECOND = 1_000;
const DAY = 86_400 * SECOND;

const dnsName = z
  .string()
  .regex(/^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}$/i, 'expected a DNS name without final dot')
  .max(240);

/** `192.0.2.53`, `192.0.2.53:5300`, `[2001:db8::53]:53`, and where names are allowed `ns-1.awsdns-01.org`. */
const server = (names: boolean) =>
  z.string().refine(
    (text) => {
      const { host } = hostAndPort(text);
      return isIP(host) !== 0 || (names && dnsName.safeParse(host).success);
    },
    `expected ${names ? 'a name or ' : ''}an address, with a port where it is not 53`,
  );

/** Configuration of a `route53` component. */
export const configSchema = z.strictObject({
  policy: z.enum(['weighted', 'failover', 'latency', 'simple']).meta({
    description:
      'How the records of `name` route. weighted: split by percent. failover: one region, by the roles PRIMARY and SECONDARY. ' +
      'latency: each region on or off, by its health check. simple: one record that points at one region',
    examples: ['weighted', 'failover', 'latency', 'simple'],
  }),
  hostedZone: z
    .string()
    .regex(/^Z[A-Z0-9]{1,31}$/, 'expected the id of a hosted zone, such as Z0123456789ABCDEFGHIJ')
    .meta({ description: 'Id of the hosted zone. Two zones may have one name, so a name would not do' }),
  name: dnsName.meta({ description: 'Name that clients ask for', examples: ['shop.example.com'] }),
  types: z
    .array(z.enum(['A', 'AAAA', 'CNAME']))
    .min(1)
    .max(2)
    .default(['A'])
    .meta({
      description: 'Types of the records that are moved, all in one change',
      examples: [['A', 'AAAA'], ['CNAME']],
    }),
  ttl: durationBetween(0, DAY)
    .prefault('60s')
    .meta({ description: 'TTL of the records while a run moves traffic; whole seconds', examples: ['60s'] }),
  waitForTtl: durationBetween(0, DAY)
    .prefault('10m')
    .meta({
      description:
        'Longest TTL of a record that a planned run waits out, after it has lowered it and before it moves traffic',
      examples: ['10m', '1h'],
    }),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
    .default('us-east-1')
    .meta({
      description: "Where Route 53's API is and calls are signed for: us-east-1, whatever regions a service runs in",
      examples: ['us-east-1', 'us-gov-west-1'],
    }),
  endpoint: awsEndpoint.optional(),
  verify: z
    .enum(['dns', 'readback'])
    .default('dns')
    .meta({
      description:
        'dns: every authoritative server of the zone is asked after a change. readback: only the API and `resolvers`, for ' +
        'private zones and workers that cannot reach port 53',
      examples: ['dns', 'readback'],
    }),
  nameServers: z
    .array(server(true))
    .min(1)
    .optional()
    .meta({
      description: "Authoritative servers to ask; the zone's own when absent",
      examples: [['ns-1.awsdns-01.org', 'ns-2.awsdns-02.com']],
    }),
  resolvers: z
    .array(server(false))
    .default([])
    .meta({
      description: 'Recursive resolvers whose answers are looked at once the TTL has passed',
      examples: [['10.0.0.2', '192.0.2.53:5353']],
    }),
  queries: z
    .int()
    .min(20)
    .max(1_000)
    .default(50)
    .meta({ description: 'Questions to each authoritative server to measure a split', examples: [50, 200] }),
  timeout: durationBetween(50, 60 * SECOND)
    .prefault('5s')
    .meta({ description: 'Longest wait for one answer of the API', examples: ['5s'] }),
  pollEvery: durationBetween(1, 60 * SECOND)
    .prefault('2s')
    .meta({ description: 'Pause between two looks at a change on its way', examples: ['2s'] }),
  deadline: durationBetween(50, 1_800 * SECOND)
    .prefault('3m')
    .meta({ description: 'Longest wait until every authoritative server answers by a change', examples: ['3m'] }),
});

const target = z.string().refine((text) => isIP(text) !== 0 || dnsName.safeParse(text).success, {
  error: 'expected an IP address or a DNS name',
});

/** Configuration of one node: what the region's record is, so that nothing but that is ever changed. */
export const nodeSchema = z.strictObject({
  setIdentifier: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ description: "SetIdentifier of the region's records; not for simple", examples: ['eu-west'] }),
  target: z.union([target, z.array(target).min(1)]).meta({
    description:
      'What the record answers: addresses, a name for CNAME, or the name of an alias target. A record that says something ' +
      'else is never changed: so two regions cannot be taken for one another',
    examples: ['192.0.2.10', ['192.0.2.10', '2001:db8::10'], 'shop-1234.eu-west-1.elb.amazonaws.com'],
  }),
  aliasZone: z
    .string()
    .regex(/^Z[A-Z0-9]{1,31}$/)
    .optional()
    .meta({
      description: "Hosted zone of the alias target; marks the region's records as alias records",
      examples: ['Z32O12XQLNTSW2'],
    }),
  healthCheckInverted: z
    .boolean()
    .default(false)
    .meta({
      description:
        'Whether the health check of the records is inverted when it is in use, as in taking a region off and on by it',
      examples: [false],
    }),
});

export type Route53Config = z.output<typeof configSchema>;
export type Route53Node = z.output<typeof nodeSchema>;
export type RecordType = Route53Config['types'][number];

/** One region of the component. */
export interface Side {
  region: RegionName;
  setIdentifier: string | null;
  targets: string[];
  aliasZone: string | null;
  inverted: boolean;
}

/** In the topology's order. */
export function sidesOf(component: Component): Side[] {
  return Object.values(component.sides).map(({ region, nodes }) => {
    const node = nodes[0]!.config as unknown as Route53Node;
    return {
      region,
      setIdentifier: node.setIdentifier ?? null,
      targets: [node.target].flat(),
      aliasZone: node.aliasZone ?? null,
      inverted: node.healthCheckInverted ?? false,
    };
  });
}

/**
 * What a record of this type and region has as its values.
 * @returns addresses of the type's family, names for CNAME and aliases
 */
export function valuesOf(side: Side, type: RecordType): string[] {
  if (side.aliasZone !== null || type === 'CNAME') return side.targets;
  return side.targets.filter((text) => isIP(text) === (type === 'A' ? 4 : 6));
}

export function hostAndPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return { host: text, port: 53 };
  return { host: match[1] ?? match[2]!, port: Number(match[3] ?? 53) };
}

/** What the schemas cannot say. */
export function validateRoute53(component: Component) {
  const config = component.config as unknown as Route53Config;
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const report = (path: (string | number)[], code: string, message: string) => problems.push({ path, message, code });
  for (const key of ['ttl', 'waitForTtl'] as const)
    if (config[key] % SECOND !== 0) report([key], 'route53_whole_seconds', `${key} must be whole seconds`);
  if (config.types.includes('CNAME') && config.types.length > 1)
    report(['types'], 'route53_types', 'a name that has a CNAME has no other records');
  const sides = sidesOf(component);
  if (config.policy === 'failover' && sides.length !== 2)
    report(
      ['sides'],
      'route53_failover_regions',
      `failover has a PRIMARY and a SECONDARY, not ${sides.length} regions`,
    );
  const taken = new Map<string, RegionName>();
  for (const side of sides) {
    const path = ['sides', side.region];
    const twice = (what: string, key: string) => {
      const other = taken.get(key);
      if (other !== undefined && other !== side.region)
        report(
          path,
          'route53_not_distinct',
          `${side.region} and ${other} have the same ${what}: they could not be told apart`,
        );
      taken.set(key, side.region);
    };
    if (component.sides[side.region]!.nodes.length > 1)
      report(path, 'route53_nodes', `a region has one node: its records; ${side.region} has more`);
    if ((config.policy === 'simple') !== (side.setIdentifier === null))
      report(
        path,
        'route53_set_identifier',
        config.policy === 'simple'
          ? 'a simple record has no setIdentifier'
          : `the ${config.policy} records of ${side.region} need their setIdentifier`,
      );
    if (side.setIdentifier !== null) twice('setIdentifier', `id ${side.setIdentifier}`);
    for (const one of side.targets) twice('target', one.toLowerCase());
    for (const type of config.types) {
      const values = valuesOf(side, type);
      const names = side.aliasZone !== null || type === 'CNAME';
      const fits = names ? values.length === 1 && isIP(values[0]!) === 0 : values.length > 0;
      if (!fits)
        report(
          path,
          'route53_target',
          `${side.region} needs ${names ? 'one name' : `an address for ${type}`} in \`target\``,
        );
    }
  }
  return problems;
}

/** @throws InvalidInput when the component has no such region */
export function sideOf(sides: readonly Side[], region: RegionName): Side {
  const found = sides.find((side) => side.region === region);
  if (found !== undefined) return found;
  throw new RampartError('InvalidInput', `there is no region ${region}`, {
    remedy: `Give one of ${sides.map((side) => side.region).join(', ')}.`,
  });
}
