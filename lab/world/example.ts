/** The topology of an example, with the addresses of the world's emulators in it and pauses as short as theirs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, parseDocument } from 'yaml';
import type { Ready } from '../cloud/main.ts';
import { repositoryRoot } from '../paths.ts';
import { LAB_DATABASE } from '../postgres/pair.ts';
import type { Cloud, ProviderPorts, RegionSpec, WorldSpec } from './spec.ts';
import { passwordFile } from './topology.ts';

export const exampleFile = (cloud: Cloud): string => join(repositoryRoot(), 'examples', cloud, 'rampart.yaml');

/** What a world puts into an example: values of components, by dotted path below it, and of sides. */
interface Fitting {
  component: Record<string, unknown>;
  side?: (region: RegionSpec) => Record<string, unknown>;
}

/** @returns the text of the example's file as the world runs it */
export function exampleTopology(spec: WorldSpec, ready: Ready): string {
  const { cloud, provider: ports } = spec;
  if (cloud === null || ports === null) throw new Error(`the world ${spec.name} is not built by an example`);
  const file = parseDocument(readFileSync(exampleFile(cloud), 'utf8'));
  const fittings = cloud === 'aws-cloudflare' ? awsCloudflare(spec, ports, ready) : rdsPostgres(spec, ports, ready);
  for (const [component, { component: values, side }] of Object.entries(fittings)) {
    put(file, ['components', component], values);
    if (side)
      for (const region of spec.regions) put(file, ['components', component, 'sides', region.name], side(region));
  }
  put(file, ['services', 'checkout'], {
    'ramp.bake': spec.bake,
    'ramp.interval': '500ms',
    'guard.enabled': spec.guard,
  });
  file.setIn(['reports', 'folder'], join(spec.dir, 'reports'));
  file.commentBefore = ` The example ${cloud} in the lab's world "${spec.name}", written by \`rampart lab up\`.`;
  return file.toString();
}

function put(file: Document, at: string[], values: Record<string, unknown>): void {
  for (const [path, value] of Object.entries(values)) {
    const whole = [...at, ...path.split('.')];
    if (value === undefined) file.deleteIn(whole);
    else file.setIn(whole, value);
  }
}

function awsCloudflare(spec: WorldSpec, ports: ProviderPorts, ready: Ready): Record<string, Fitting> {
  return {
    'orders-db': {
      component: {
        database: LAB_DATABASE,
        password: `\${file:${passwordFile(spec)}}`,
        ssl: 'disable',
        sslRootCert: undefined,
        poll: '200ms',
        claimSettle: '20ms',
      },
      side: ({ name, links }) => ({
        endpoint: api(ports, name),
        // Nothing listens behind the emulator's clusters.
        host: '127.0.0.1',
        port: links.database,
      }),
    },
    edge: {
      component: {
        baseURL: `http://127.0.0.1:${ports.api}/client/v4`,
        accountId: ready.names.edge!.accountId,
        zoneId: ready.names.edge!.zoneId,
        loadBalancerId: ready.names.edge!.loadBalancerId,
        sample: { url: `http://127.0.0.1:${spec.edgePort}/healthz`, header: 'x-region', requests: 100 },
      },
      side: ({ name }) => ({ pool: ready.names.edge![name] }),
    },
    'api-dns': {
      component: {
        hostedZone: ready.names['api-dns']!.hostedZone,
        ttl: '1s',
        endpoint: `http://127.0.0.1:${ports.api}`,
        nameServers: [ready.nameServer],
        pollEvery: '50ms',
      },
    },
    ...common(ports),
  };
}

function rdsPostgres(spec: WorldSpec, ports: ProviderPorts, ready: Ready): Record<string, Fitting> {
  const records = (endpoint: string) => ({
    component: {
      hostedZone: ready.names.edge!.hostedZone,
      ttl: '1s',
      endpoint,
      nameServers: [ready.nameServer],
      pollEvery: '50ms',
    },
  });
  const route53 = `http://127.0.0.1:${ports.api}`;
  return {
    'orders-db': {
      component: {
        database: LAB_DATABASE,
        password: `\${file:${passwordFile(spec)}}`,
        ssl: 'disable',
        sslRootCert: undefined,
        poll: '50ms',
      },
      side: ({ name }) => ({ endpoint: api(ports, name) }),
    },
    // Two texts for one address: a worker keeps to a limit of requests for each, and the emulator has no account whose
    // limit both would share.
    writer: records(route53),
    edge: records(`${route53}/`),
    ...common(ports),
  };
}

/** What both examples have. */
function common(ports: ProviderPorts): Record<string, Fitting> {
  return {
    app: {
      component: { poll: '50ms' },
      side: ({ name }) => ({
        endpoint: api(ports, name),
        scalingEndpoint: api(ports, name),
        cloudwatchEndpoint: api(ports, name),
      }),
    },
    'app-ready': {
      component: {},
      side: ({ links }) => ({ url: `http://127.0.0.1:${links.app}/readyz` }),
    },
  };
}

const api = (ports: ProviderPorts, region: string): string => `http://127.0.0.1:${ports.regions[region]}`;
