import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import { httpUrl, sampleSchema } from '../sample.ts';

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'a Traefik name: letters, digits, - and _')
  .meta({ examples: ['edge', 'writer'] });

/** Configuration of a `traefik` component. */
export const configSchema = z.strictObject({
  kind: z.enum(['weighted', 'endpoint']).meta({
    description:
      'weighted: an HTTP service split by percent. endpoint: a TCP service that points at exactly one region',
    examples: ['weighted', 'endpoint'],
  }),
  file: z
    .string()
    .regex(/^\/.*\.ya?ml$/, 'expected an absolute path that ends in .yml or .yaml')
    .meta({
      description: 'Dynamic configuration file of this component alone, in the folder that Traefik watches',
      examples: ['/etc/traefik/dynamic/checkout-edge.yml'],
    }),
  api: httpUrl.meta({
    description: "Address of Traefik's API, where every change is read back",
    examples: ['http://127.0.0.1:8080'],
  }),
  apiAuthorization: secretSchema.optional().meta({
    description: 'Authorization header for the API, whole, for example "Basic …"',
    examples: ['${env:TRAEFIK_API_AUTHORIZATION}'],
  }),
  service: name.meta({ description: 'Traefik service that Rampart moves; regions become `<service>-<region>`' }),
  router: name.optional().meta({ description: 'Router that a new file gets; the service name when absent' }),
  entryPoint: name.optional().meta({
    description: 'Entry point of that router. Needed only when Rampart is to create the file',
    examples: ['web', 'postgres'],
  }),
  rule: z
    .string()
    .optional()
    .meta({
      description: 'Rule of that router; PathPrefix(`/`) or HostSNI(`*`) when absent',
      examples: ['Host(`shop.example.com`)'],
    }),
  deadline: durationBetween(50, 600_000)
    .prefault('5s')
    .meta({ description: 'Longest wait until the API shows a change', examples: ['5s'] }),
  sample: sampleSchema.optional(),
});

/** Configuration of one node: an HTTP server for `weighted`, a TCP server for `endpoint`. */
export const nodeSchema = z.strictObject({
  url: httpUrl
    .optional()
    .meta({ description: 'weighted: address of the region as Traefik reaches it', examples: ['http://10.1.0.5:8080'] }),
  address: z
    .string()
    .regex(/^[^\s/]+:\d{1,5}$/, 'expected host:port')
    .optional()
    .meta({ description: 'endpoint: host:port of the region as Traefik reaches it', examples: ['10.1.0.5:5432'] }),
});

export type TraefikConfig = z.output<typeof configSchema>;

/** Servers by region, in the topology's order: URLs for `weighted`, host:port for `endpoint`. */
export type Servers = Record<RegionName, string[]>;

export function serversOf(component: Component, kind: TraefikConfig['kind']): Servers {
  const field = kind === 'weighted' ? 'url' : 'address';
  return Object.fromEntries(
    Object.values(component.sides).map((side) => [
      side.region,
      side.nodes.map((node) => node.config[field]).filter((value) => typeof value === 'string'),
    ]),
  );
}

/** What the schemas cannot say: each node needs the address of its kind. */
export function validateTraefik(component: Component) {
  const kind = component.config.kind === 'endpoint' ? 'endpoint' : 'weighted';
  const [wanted, other] = kind === 'weighted' ? ['url', 'address'] : ['address', 'url'];
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  for (const side of Object.values(component.sides)) {
    for (const node of side.nodes) {
      const path = ['sides', side.region];
      if (node.config[wanted!] === undefined) {
        const message = `kind ${kind} needs \`${wanted}\` for ${side.region}`;
        problems.push({ path, message, code: 'traefik_address_missing' });
      }
      if (node.config[other!] !== undefined) {
        const message = `kind ${kind} takes \`${wanted}\`, not \`${other}\``;
        problems.push({ path: [...path, other!], message, code: 'traefik_address_kind' });
      }
    }
    if (kind === 'endpoint' && side.nodes.length > 1) {
      const message = `an endpoint points at one address per region; ${side.region} has ${side.nodes.length}`;
      problems.push({ path: ['sides', side.region], message, code: 'traefik_endpoint_nodes' });
    }
  }
  return problems;
}
