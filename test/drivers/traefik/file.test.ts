import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { configSchema, nodeSchema } from '../../../drivers/traefik/config.ts';
import { traefik } from '../../../drivers/traefik/driver.ts';
import {
  changeWeights,
  readFileState,
  renderTraefikFile,
  weightsInFile,
  withClaim,
} from '../../../drivers/traefik/file.ts';
import { checkedWeights, type Layout, readWeights } from '../../../drivers/traefik/weights.ts';
import type { Component } from '../../../topology/model.ts';

const EDGE: Layout = {
  kind: 'weighted',
  service: 'shop',
  servers: { 'eu-west': ['http://10.1.0.5:80'], 'eu-central': ['http://10.2.0.5:80', 'http://10.2.0.6:80'] },
};
const WRITER: Layout = {
  kind: 'endpoint',
  service: 'orders',
  servers: { 'eu-west': ['10.1.0.9:5432'], 'eu-central': ['10.2.0.9:5432'] },
};
const WEST = { 'eu-west': 100, 'eu-central': 0 };
const CENTRAL = { 'eu-west': 0, 'eu-central': 100 };

describe('the file', () => {
  test('a first one for an edge writes weight 0', () => {
    const text = renderTraefikFile({ ...EDGE, entryPoint: 'web', weights: WEST });
    expect(parse(text)).toEqual({
      http: {
        routers: { shop: { rule: 'PathPrefix(`/`)', entryPoints: ['web'], service: 'shop' } },
        services: {
          shop: {
            weighted: {
              services: [
                { name: 'shop-eu-west', weight: 100 },
                { name: 'shop-eu-central', weight: 0 },
              ],
            },
          },
          'shop-eu-west': { loadBalancer: { servers: [{ url: 'http://10.1.0.5:80' }] } },
          'shop-eu-central': {
            loadBalancer: { servers: [{ url: 'http://10.2.0.5:80' }, { url: 'http://10.2.0.6:80' }] },
          },
        },
      },
    });
  });

  test('a first one for an endpoint points at one region', () => {
    const text = renderTraefikFile({ ...WRITER, entryPoint: 'pg', router: 'db', weights: CENTRAL });
    expect(parse(text)).toEqual({
      tcp: {
        routers: { db: { rule: 'HostSNI(`*`)', entryPoints: ['pg'], service: 'orders' } },
        services: { orders: { loadBalancer: { servers: [{ address: '10.2.0.9:5432' }] } } },
      },
    });
  });

  test('a change keeps what people wrote: comments, middlewares, settings of the services', () => {
    const byHand = `# The shop. Ask Ada before you touch this.
http:
  middlewares:
    limit: { rateLimit: { average: 100 } } # per second
  routers:
    shop:
      rule: "Host(\`shop.example.com\`)"
      middlewares: [limit]
      service: shop
  services:
    shop:
      weighted:
        sticky: { cookie: {} }
        services:
          - { name: shop-eu-west, weight: 100 }
    shop-eu-west:
      loadBalancer:
        healthCheck: { path: /healthz } # keep
        servers: [{ url: "http://10.1.0.5:80" }]
`;
    const changed = changeWeights(byHand, EDGE, { 'eu-west': 90, 'eu-central': 10 });
    for (const kept of ['Ask Ada', '# per second', '# keep', 'healthCheck', 'sticky', 'middlewares: [ limit ]']) {
      expect(changed).toContain(kept);
    }
    expect(weightsInFile(changed, EDGE).weights).toEqual({ 'eu-west': 90, 'eu-central': 10 });
    expect(parse(changed).http.services['shop-eu-central'].loadBalancer.servers).toHaveLength(2);
    expect(changeWeights(changed, EDGE, { 'eu-west': 90, 'eu-central': 10 })).toBe(changed);
  });

  test.each([
    ['http: [', 'not valid YAML'],
    ['http: { services: { shop: 3 } }', 'something else'],
  ])('a broken one is refused with what to do: %s', (text, message) => {
    expect(() => changeWeights(text, EDGE, WEST)).toThrow(message);
    expect(weightsInFile(text, EDGE).weights).toBe(null);
  });

  test('an empty one gets its services', () => {
    for (const text of ['', 'http:\n', 'http:\n  services:\n']) {
      expect(weightsInFile(changeWeights(text, EDGE, WEST), EDGE).weights).toEqual(WEST);
    }
  });

  test('the claim shows an edit by hand, and only that', () => {
    const body = renderTraefikFile({ ...EDGE, entryPoint: 'web', weights: WEST });
    const text = withClaim(body, { component: 'edge', epoch: 3, runId: 'r', seq: 2, at: 1 });
    expect(readFileState(text)).toMatchObject({ edited: false, body, claim: { epoch: 3, runId: 'r', seq: 2 } });
    expect(readFileState(text.replace('weight: 0', 'weight: 5')).edited).toBe(true);
    expect(readFileState(body)).toMatchObject({ claim: null, edited: false });
    expect(readFileState('# rampart-claim {oops\nhttp: {}\n')).toMatchObject({ claim: null, body: 'http: {}\n' });
  });
});

describe('weights', () => {
  test('whatever is written is read back, and every region is named', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), (west) => {
        const weights = { 'eu-west': west, 'eu-central': 100 - west };
        const text = renderTraefikFile({ ...EDGE, entryPoint: 'web', weights });
        expect(weightsInFile(text, EDGE)).toEqual({ weights, detail: '' });
        expect(text.match(/weight:/g)).toHaveLength(2);
      }),
    );
  });

  test('relative weights read as percent that add up to 100', () => {
    const natural = fc.integer({ min: 0, max: 1_000 });
    fc.assert(
      fc.property(natural, natural, (a, b) => {
        fc.pre(a + b > 0);
        const services = [{ name: 'shop-eu-west@file', weight: a }, { name: 'shop-eu-central', weight: b }]; // biome-ignore format: pair
        const { weights } = readWeights(EDGE, { weighted: { services } });
        const [west, central] = [weights!['eu-west']!, weights!['eu-central']!];
        expect(west + central).toBe(100);
        expect(Math.abs(west - (100 * a) / (a + b))).toBeLessThan(1);
      }),
    );
  });

  test('a split it does not understand is no reading', () => {
    const other = { weighted: { services: [{ name: 'shop-eu-west', weight: 9 }, { name: 'canary', weight: 1 }] } }; // biome-ignore format: pair
    expect(readWeights(EDGE, other)).toMatchObject({ weights: null, detail: expect.stringContaining('canary') });
    expect(readWeights(EDGE, undefined).weights).toBe(null);
    expect(readWeights(WRITER, { loadBalancer: { servers: [{ address: '10.9.9.9:1' }] } }).weights).toBe(null);
    expect(readWeights(WRITER, { loadBalancer: { servers: [] } }).weights).toBe(null);
  });

  test('all zero reads as what it is', () => {
    const services = [{ name: 'shop-eu-west', weight: 0 }];
    expect(readWeights(EDGE, { weighted: { services } })).toMatchObject({
      weights: { 'eu-west': 0, 'eu-central': 0 },
      detail: expect.stringContaining('nobody'),
    });
  });

  test('an endpoint takes no split, and no region gets traffic without a server', () => {
    expect(() => checkedWeights(WRITER, { 'eu-west': 50, 'eu-central': 50 })).toThrow('exactly one');
    expect(checkedWeights(WRITER, { 'eu-west': 100 })).toEqual(WEST);
    const bare = { ...EDGE, servers: { ...EDGE.servers, 'us-east': [] } };
    expect(() => checkedWeights(bare, { 'us-east': 100 })).toThrow('no server');
    expect(() => checkedWeights(EDGE, { constructor: 100 })).toThrow('no region');
  });
});

describe('the configuration', () => {
  const config = { kind: 'weighted', file: '/etc/traefik/shop.yml', api: 'http://127.0.0.1:8080', service: 'shop' };
  const component = (kind: string, ...nodes: object[]): Component => ({
    name: 'edge',
    type: 'traefik',
    role: 'router',
    queue: 'rampart',
    config: { ...config, kind },
    sides: { a: { region: 'a', nodes: nodes.map((node) => ({ name: 'n', queue: 'q', config: node as never })) } },
    capabilities: { role: 'router' },
  });

  test('durations become milliseconds; editors get descriptions and defaults', () => {
    expect(configSchema.parse({ ...config, deadline: '1m' })).toMatchObject({ deadline: 60_000 });
    expect(configSchema.parse({ ...config, sample: { url: 'http://edge/' } }).sample).toMatchObject({
      header: 'x-region',
      requests: 200,
      timeout: 2_000,
    });
    const schema = z.toJSONSchema(configSchema, { io: 'input' });
    for (const property of Object.values(schema.properties!)) expect(property).toHaveProperty('description');
    expect(schema.properties!.deadline).toMatchObject({ type: 'string', default: '5s' });
  });

  test.each([
    [{ file: 'relative.yml' }],
    [{ file: '/etc/traefik/shop.toml' }],
    [{ api: 'http://user:pw@host' }],
    [{ apiAuthorization: 'Basic abc' }],
    [{ kind: 'onOff' }],
    [{ wieghts: {} }],
  ])('refuses %j', (wrong) => {
    expect(configSchema.safeParse({ ...config, ...wrong }).success).toBe(false);
  });

  test('each kind has its own address', () => {
    expect(nodeSchema.safeParse({ address: 'host' }).success).toBe(false);
    expect(traefik.validate!(component('weighted', { url: 'http://a' }))).toEqual([]);
    expect(traefik.validate!(component('weighted', { address: 'a:1' }))).toHaveLength(2);
    expect(traefik.validate!(component('endpoint', { address: 'a:1' }, { address: 'b:1' }))).toHaveLength(1);
  });
});
