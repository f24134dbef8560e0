import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import type { Capabilities } from '../ports.ts';
import { sampleSchema } from '../sample.ts';
import { type ApiConfig, apiFields, zoneId } from './schema.ts';

const HOST = /^([a-z0-9_*]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9-]+$/;

const ttl = (fallback: string) => durationBetween(30_000, 86_400_000).prefault(fallback);

/** Configuration of a `cloudflare-dns` component. */
export const dnsConfigSchema = z.strictObject({
  ...apiFields,
  zoneId,
  name: z
    .string()
    .regex(HOST, 'expected a whole name in lower case, such as db.example.com')
    .meta({ description: 'Name of the record, with its zone, in lower case (Punycode)', examples: ['db.example.com'] }),
  recordType: z
    .enum(['A', 'AAAA', 'CNAME'])
    .default('A')
    .meta({ description: 'Type of the record', examples: ['A', 'CNAME'] }),
  proxied: z
    .boolean()
    .default(false)
    .meta({
      description:
        "true: clients get Cloudflare's addresses, and a change needs no TTL. Preflight compares it with the record",
      examples: [false],
    }),
  ttl: ttl('5m').meta({
    description: 'Time to live between moves, that clients may keep an old answer',
    examples: ['5m'],
  }),
  switchTtl: ttl('60s').meta({
    description: 'Time to live from `prepare` to the end of the run. Below 60s only in Enterprise zones',
    examples: ['60s'],
  }),
  commentLength: z
    .int()
    .min(100)
    .max(500)
    .default(100)
    .meta({
      description: 'Characters that a comment may have: 100 in zones of the plan Free, 500 in others',
      examples: [100, 500],
    }),
  nameServers: z
    .array(
      z
        .string()
        .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+|[0-9a-fA-F:]+)(:\d{1,5})?$/, 'expected a host, or host:port'),
    )
    .default([])
    .meta({
      description: "The zone's authoritative name servers; all of them must answer with a change before it counts",
      examples: [['ada.ns.cloudflare.com', 'bob.ns.cloudflare.com']],
    }),
  sample: sampleSchema.optional(),
});

/** Configuration of one node: what the record says when it points at this region. */
export const dnsNodeSchema = z.strictObject({
  content: z
    .string()
    .min(1)
    .meta({ description: 'Address or host of the region, as the record says it', examples: ['192.0.2.10'] }),
});

export type DnsConfig = z.output<typeof dnsConfigSchema> & ApiConfig;

/** What the record says for each region, in the topology's order. */
export function contentsOf(component: Component): Record<RegionName, string> {
  return Object.fromEntries(
    Object.values(component.sides).map((side) => [side.region, String(side.nodes[0]!.config.content)]),
  );
}

/** One spelling for addresses and names that are the same. */
export function canonical(content: string): string {
  const text = content.toLowerCase().replace(/\.$/, '');
  return isIPv6(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
}

/** What the schemas cannot say. */
export function validateDns(component: Component) {
  const { recordType, proxied, nameServers, ttl: long, switchTtl } = component.config as unknown as DnsConfig;
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const say = (path: (string | number)[], code: string, message: string) =>
    problems.push({ path, message, code: `cloudflare_dns_${code}` });
  const seen = new Map<string, RegionName>();
  for (const { region, nodes } of Object.values(component.sides)) {
    if (nodes.length !== 1) {
      say(['sides', region], 'nodes', `the record points at one content per region; ${region} has ${nodes.length}`);
    }
    for (const { config } of nodes) {
      const content = canonical(String(config.content));
      const fits = recordType === 'A' ? isIPv4(content) : recordType === 'AAAA' ? isIPv6(content) : HOST.test(content);
      if (!fits)
        say(['sides', region, 'content'], 'content', `${content} is no content of a record of type ${recordType}`);
      const other = seen.get(content);
      if (other !== undefined)
        say(['sides', region, 'content'], 'same', `${region} and ${other} have the same content`);
      seen.set(content, region);
    }
  }
  if (switchTtl > long) say(['switchTtl'], 'ttl', '`switchTtl` is longer than `ttl`: prepare would slow the move down');
  if (proxied && nameServers.length > 0) {
    say(
      ['nameServers'],
      'proxied',
      "name servers answer for a proxied record with Cloudflare's own addresses: nothing to compare",
    );
  }
  return problems;
}

export function dnsCapabilities({ proxied, ttl: long, nameServers, sample, deadline }: DnsConfig): Capabilities {
  return {
    role: 'router',
    kind: 'endpoint',
    resolutionPercent: 100,
    ttlMs: proxied ? 0 : long,
    verify: sample === undefined ? 'readback' : 'sampled',
    preflight: true,
    lookEveryMs: 30_000,
    applyMs: deadline,
    ...(proxied ? {} : { prepareMs: long }),
    unverifiable: [
      'connections that are open when the record changes stay at the old region until it closes them',
      ...(proxied ? [] : ['resolvers that keep an answer for longer than its TTL, and clients that never ask again']),
      ...(!proxied && nameServers.length === 0
        ? ["what Cloudflare's name servers answer: no `nameServers` are configured"]
        : []),
      ...(proxied && sample === undefined ? ['what the edge does with the change: no `sample` is configured'] : []),
    ],
  };
}
