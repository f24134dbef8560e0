/** The JSON Schema of the record: published as it is generated, and true of what runs really leave behind. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../evidence/record.ts';
import { type RecordShape, recordJsonSchema } from '../../evidence/schema.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { plannedFailover, rolledBack, told, unplannedFailover, waiting } from './records.ts';

const validate = new Ajv2020({ strict: false, allErrors: true }).compile(recordJsonSchema());
/** The same, refusing what it does not describe: a schema that forgot a field would pass everything. */
const closed = new Ajv2020({ strict: false, allErrors: true }).compile(
  JSON.parse(JSON.stringify(recordJsonSchema()), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && 'properties' in value && !('additionalProperties' in value)
      ? { ...value, additionalProperties: false }
      : value,
  ) as object,
);
const errors = (record: unknown, check = validate) => (check(record) ? [] : check.errors);
/** Compiles only while every record is what the schema takes. */
const published = (record: RunRecord): RecordShape => record;

it('is published in docs/run-record.schema.json', () => {
  const path = join(repositoryRoot(), 'docs/run-record.schema.json');
  const text = `${JSON.stringify(recordJsonSchema(), null, 2)}\n`;
  if (process.env.RAMPART_UPDATE_DOCS === '1') writeFileSync(path, text);
  // The formatter may lay it out its own way.
  expect(
    JSON.parse(readFileSync(path, 'utf8')),
    'RAMPART_UPDATE_DOCS=1 npx vitest run test/evidence/schema.test.ts',
  ).toEqual(JSON.parse(text));
});

describe('it takes', () => {
  it.each([plannedFailover, rolledBack, unplannedFailover, waiting])('%o', (make) => {
    expect(errors(published(make()), closed)).toEqual([]);
    expect(errors({ ...make(), ...told() }, closed)).toEqual([]);
    expect(errors({ ...make(), aNewField: 1 })).toEqual([]);
  });

  const folder = join(repositoryRoot(), 'test/replay/histories');
  const left = readdirSync(folder).flatMap((file) =>
    recordIn(JSON.parse(readFileSync(join(folder, file), 'utf8'))).map((record) => [file, record] as const),
  );
  it('what recorded runs left behind', () => expect(left.length).toBeGreaterThan(5));
  it.each(left)('what %s left behind', (_file, record) => expect(errors(record)).toEqual([]));
});

it.each([
  ['a missing field', { steps: undefined }],
  ['an outcome that there is not', { outcome: 'done' }],
  ['a time as a text', { startedAt: '2026-11-01' }],
  ['an assertion without a result', { assertions: [{ name: 'a', expr: 'b', severity: 'fail', note: '' }] }],
])('it refuses %s', (_what, change) => {
  expect(errors(JSON.parse(JSON.stringify({ ...plannedFailover(), ...change })))).not.toEqual([]);
});

interface History {
  events: Array<Record<string, unknown>>;
}

/** The record in the result, or in the failure, of a recorded history. */
function recordIn({ events }: History): unknown[] {
  const last = JSON.stringify(events.at(-1));
  return [...last.matchAll(/"data":"([^"]+)"/g)]
    .map(([, data]) => JSON.parse(Buffer.from(data!, 'base64').toString('utf8')) as unknown)
    .filter((value) => typeof value === 'object' && value !== null && 'steps' in value && 'outcome' in value);
}
