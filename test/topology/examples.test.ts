/** The examples and the first topology, with the real drivers. */
import { readdirSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { drivers } from '../../drivers/registry.ts';
import { firstTopology, type ObservedDatabase } from '../../topology/init.ts';
import { topologyJsonSchema } from '../../topology/json-schema.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';

const folder = new URL('../../examples/', import.meta.url);
const examples = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith('.yaml'));
const schema = topologyJsonSchema(drivers);
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);

describe('examples', () => {
  test('there are some', () =>
    expect(examples.sort()).toEqual([
      ...['aws-cloudflare/rampart.yaml', 'checkout.yaml', 'minimal.yaml', 'rds-postgres/rampart.yaml'],
    ]));

  test.each(examples)('%s is valid, without warnings, for Rampart and for editors', (name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const { topology, problems } = parseTopology(text, { path: name, drivers });
    expect(formatProblems(problems, { text })).toBe('');
    expect(topology).toBeDefined();
    expect(validate(parseYaml(text)), JSON.stringify(validate.errors, null, 1)).toBe(true);
  });

  test('editors see a broken example as broken', () => {
    const text = readFileSync(new URL('checkout.yaml', folder), 'utf8');
    for (const [find, replace] of [
      ['kind: weighted', 'kind: weigthed'],
      ['stopTimeout: 20s', 'stopTimeout: 20'],
      ['type: http-contract', 'type: http-contact'],
      ['${file:/run/secrets/rampart-db}', 'hunter2'],
      ['host: db.eu-west.internal', 'hots: db.eu-west.internal'],
      ['taskQueue: checkout-ops', 'taskQeue: checkout-ops'],
    ] as const) {
      expect(text).toContain(find);
      expect(validate(parseYaml(text.replace(find, () => replace))), replace).toBe(false);
    }
  });
});

describe('the first topology', () => {
  const west: ObservedDatabase = { host: '10.1.0.5', port: 5432, region: 'eu-west', role: 'primary', systemId: '7' };
  const central: ObservedDatabase = {
    host: 'db.central',
    port: 5433,
    region: 'eu-central',
    role: 'replica',
    systemId: '7',
  };
  const write = (...databases: [ObservedDatabase, ObservedDatabase]) => firstTopology({ databases });

  function topologyOf(result: ReturnType<typeof firstTopology>) {
    if ('refusals' in result) throw new Error(result.refusals.join('; '));
    const { topology, problems } = parseTopology(result.text, { path: 'rampart.yaml', drivers });
    expect(
      formatProblems(
        problems.filter(({ severity }) => severity === 'error'),
        { text: result.text },
      ),
    ).toBe('');
    expect(validate(parseYaml(result.text)), JSON.stringify(validate.errors)).toBe(true);
    return { topology: topology!, remarks: result.remarks };
  }

  test('is valid and calls the writable side home', () => {
    for (const result of [write(west, central), write(central, west)]) {
      const { topology, remarks } = topologyOf(result);
      expect(topology.services.checkout).toMatchObject({ home: 'eu-west', standby: ['eu-central'] });
      expect(topology.components['checkout-db']!.sides['eu-central']!.nodes[0]!.config).toMatchObject({
        host: 'db.central',
        port: 5433,
      });
      expect(remarks).toEqual([]);
    }
  });

  test('says what it could not see', () => {
    const { topology, remarks } = topologyOf(write({ ...west, role: 'unreachable', systemId: null }, central));
    // The one that answered is a replica, so the silent one is its primary until somebody knows better.
    expect(topology.services.checkout!.home).toBe('eu-west');
    expect(remarks).toEqual([
      '10.1.0.5:5432 did not answer: eu-west is written down as it was given, unchecked',
      'no database that answered accepts writes: home is set to eu-west, check it',
    ]);
  });

  test('hosts and names of any shape stay what they are', () => {
    const odd = { ...west, host: '::1', region: undefined };
    const { topology } = topologyOf(
      firstTopology({
        databases: [odd, { ...central, host: 'yes', region: undefined }],
        database: 'a: b #c',
        user: 'on',
      }),
    );
    const { config, sides } = topology.components['checkout-db']!;
    expect(config).toMatchObject({ database: 'a: b #c', user: 'on' });
    expect(sides['region-a']!.nodes[0]!.config.host).toBe('::1');
    expect(sides['region-b']!.nodes[0]!.config.host).toBe('yes');
  });

  test.each([
    ['strangers', write(west, { ...central, systemId: '8' }), 'not copies of each other'],
    ['a split brain', write(west, { ...central, role: 'primary' }), 'both databases accept writes'],
    ['one database twice', write(west, { ...west, region: 'other' }), 'both addresses are the same'],
    ['one region', write(west, { ...central, region: 'eu-west' }), 'needs two regions'],
    ['a bad region name', write(west, { ...central, region: 'EU' }), '"EU": a name is made of'],
    ['a literal password', firstTopology({ databases: [west, central], password: 'hunter2' }), 'must be a reference'],
  ])('refuses %s', (_name, result, reason) => {
    expect('refusals' in result && result.refusals.join('\n')).toContain(reason);
    expect(JSON.stringify(result)).not.toContain('hunter2');
  });
});
