/** The section `divergence`: what it gives, and what is said of a wrong one. */
import { describe, expect, test } from 'vitest';
import { drivers } from '../../drivers/registry.ts';
import { parseTopology } from '../../topology/parse.ts';

const FILE = (section: string): string => `version: 1
regions: { eu-west: {}, eu-central: {} }
components:
  orders-db:
    type: postgres
    database: shop
    user: rampart
    password: \${env:DB_PASSWORD}
    sides:
      eu-west: { host: 10.0.0.5 }
      eu-central: { host: 10.1.0.5, port: 5433 }
  app:
    type: http-contract
    token: \${env:APP_TOKEN}
    sides: { eu-west: { url: 'http://10.0.0.6/rampart' }, eu-central: { url: 'http://10.1.0.6/rampart' } }
services:
  checkout: { owner: shop, home: eu-west, standby: [eu-central], components: [orders-db, app] }
divergence:
${section}`;

const read = (section: string) => parseTopology(FILE(section), { path: 'rampart.yaml', drivers });
const problems = (section: string): string[] =>
  read(section).problems.map(({ code, field, message }) => `${field} ${code}: ${message}`);

test('is read into normal form, with the address of a component', () => {
  const { topology, problems: found } = read(`  orders:
    service: checkout
    between: { eu-west: { component: orders-db }, eu-central: { http: 'https://x.example/rows', token: '\${env:T}' } }
    table: public.orders
    key: id
    timestamp: updated_at
    every: 5m
`);
  expect(found.filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(topology!.divergence!.orders).toEqual({
    ...{
      name: 'orders',
      service: 'checkout',
      table: 'public.orders',
      query: null,
      key: ['id'],
      columns: null,
      timestamp: 'updated_at',
    },
    sides: [
      {
        region: 'eu-west',
        source: {
          kind: 'sql',
          url: null,
          host: '10.0.0.5',
          port: 5432,
          user: 'rampart',
          password: '${env:DB_PASSWORD}',
          database: 'shop',
          ssl: 'disable',
        },
      },
      { region: 'eu-central', source: { kind: 'http', url: 'https://x.example/rows', token: '${env:T}' } },
    ],
    ...{
      samplePercent: 100,
      everyMs: 300_000,
      settleMs: 10_000,
      maxRows: 20_000,
      concurrency: 2,
      timeoutMs: 30_000,
      lagSloMs: 60_000,
    },
  });
});

describe('is refused where', () => {
  const between = 'between: { eu-west: { component: orders-db }, eu-central: { component: orders-db } }';
  test.each([
    [
      'something is missing',
      '  orders: { key: id }\n',
      /divergence.orders.service .*required[\s\S]*between|between[\s\S]*divergence.orders.service/,
    ],
    [
      'there is one side',
      '  orders: { service: checkout, between: { eu-west: { component: orders-db } }, table: t, key: id }\n',
      /two_sides/,
    ],
    [
      'a side has two sources',
      `  orders: { service: checkout, between: { eu-west: { component: orders-db, http: 'http://x/' }, eu-central: { component: orders-db } }, table: t, key: id }\n`,
      /one_source.*not component and http/,
    ],
    ['nothing is named', `  orders: { service: checkout, ${between}, key: id }\n`, /divergence.orders.table /],
    [
      'table and query',
      `  orders: { service: checkout, ${between}, table: t, query: SELECT 1, key: id }\n`,
      /table_and_query/,
    ],
    [
      'the service is unknown',
      `  orders: { service: chekout, ${between}, table: t, key: id }\n`,
      /unknown_service.*did you mean/,
    ],
    [
      'the component is no database',
      `  orders: { service: checkout, between: { eu-west: { component: app }, eu-central: { component: orders-db } }, table: t, key: id }\n`,
      /wrong_type/,
    ],
    [
      'the region is unknown',
      `  orders: { service: checkout, between: { eu-wset: { component: orders-db }, eu-central: { component: orders-db } }, table: t, key: id }\n`,
      /unknown_region.*did you mean/,
    ],
    [
      'a password stands in the open',
      `  orders: { service: checkout, between: { eu-west: { url: 'postgres://u:p@h/d' }, eu-central: { component: orders-db } }, table: t, key: id }\n`,
      /secret/,
    ],
    ['a field is misspelt', `  orders: { service: checkout, ${between}, tabel: t, key: id }\n`, /did you mean "table"/],
  ])('%s', (_, section, said) => {
    expect(problems(section).join('\n')).toMatch(said);
  });
});
