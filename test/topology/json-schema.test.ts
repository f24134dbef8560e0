import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { topologyJsonSchema } from '../../topology/json-schema.ts';
import { BAD, BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';
import { GOOD } from './good.ts';

const schema = topologyJsonSchema(fakeDrivers);
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
const accepts = (text: string) => validate(parseYaml(text));

/** What an editor can see: mistakes of shape. References, arithmetic and roles are `rampart validate`'s. */
const SHAPE = new Set(['unknown_key', 'required', 'invalid_type', 'invalid_value', 'invalid_name', 'invalid_duration', 'invalid_size', 'too_big', 'too_small', 'unknown_type', 'unknown_kind', 'secret_literal', 'secret_partial', 'too_few_sides', 'too_few_regions', 'unknown_version']); // biome-ignore format: one list

describe('the JSON Schema', () => {
  test.each([
    ['the base', BASE],
    ['every field', GOOD],
  ])('accepts %s', (_name, text) => {
    expect(accepts(text), JSON.stringify(validate.errors)).toBe(true);
  });

  const misshapen = BAD.filter(({ name, text, problems }) => {
    const codes = problems.map((line) => /\[(\w+)\]$/.exec(line)![1]!);
    // Whether an owner is missing depends on `defaults`, which an editor's message could not explain.
    if (name === 'owner missing') return false;
    return text === undefined && codes.length > 0 && codes.every((code) => SHAPE.has(code));
  });
  test.each(misshapen)('refuses $name', ({ change }) => {
    expect(accepts(BASE.replace(change![0], () => change![1]))).toBe(false);
  });
  test('many of the mistakes are of shape', () => expect(misshapen.length).toBeGreaterThan(20));

  test('every reference leads somewhere', () => {
    const definitions = schema.definitions as object;
    const text = JSON.stringify(schema);
    for (const [, name] of text.matchAll(/"#\/definitions\/([^"]+)"/g)) expect(definitions).toHaveProperty([name!]);
  });

  test('fields are described, with examples, for completion', () => {
    const { definitions } = schema as {
      definitions: Record<string, { properties: Record<string, Record<string, unknown>> }>;
    };
    const service = definitions.service!.properties;
    for (const [name, field] of Object.entries(service)) expect(field.description, name).toBeTypeOf('string');
    expect(service.components).toMatchObject({ type: 'array', minItems: 1, examples: [['orders-db']] });
    expect(service.ramp!.properties).toMatchObject({ bake: { type: 'string', examples: ['1m'] } });
    expect(definitions.component!.properties.type).toMatchObject({
      enum: ['fakeapp', 'fakecheck', 'fakedb', 'fakeedge'],
    });
  });
});
