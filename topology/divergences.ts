/** Comparisons: what the file gives, brought into normal form, and what the schema cannot see of them. */
import type { z } from 'zod';
import type { Comparison, RowSourceSpec } from './divergence.ts';
import { comparisonSchema } from './divergence-schema.ts';
import type { Drafts } from './drafts.ts';
import { INVALID, type Validator } from './issues.ts';
import type { Component } from './model.ts';
import type { Source } from './source.ts';
import { hint } from './suggest.ts';

const MINUTE = 60_000;
const DEFAULTS = {
  samplePercent: 100,
  everyMs: 15 * MINUTE,
  settleMs: 10_000,
  maxRows: 20_000,
  concurrency: 2,
  timeoutMs: 30_000,
  lagSloMs: MINUTE,
} as const;

type Given = z.output<typeof comparisonSchema>;
type GivenSource = Given['between'][string];

/** A comparison whose component sources are still names. */
export interface ComparisonDraft extends Omit<Comparison, 'sides'> {
  sides: Array<{ region: string; source: GivenSource }>;
}

/** @returns `undefined` when something is wrong with it, which is reported */
export function readComparison(name: string, raw: unknown, validator: Validator): ComparisonDraft | undefined {
  const path = ['divergence', name];
  const given = validator.fields(comparisonSchema, raw, path);
  if (given === INVALID) return undefined;
  for (const field of ['service', 'between', 'key'] as const)
    if (given[field] === undefined && !validator.isBroken([...path, field])) validator.missing([...path, field]);
  const sides = Object.entries(given.between ?? {});
  if (given.between !== undefined && sides.length !== 2 && !validator.isBroken([...path, 'between']))
    validator.report(
      [...path, 'between'],
      'two_sides',
      `names two regions, not ${sides.length}: a comparison has two sides`,
    );
  for (const [region, source] of sides) checkSource(source, [...path, 'between', region], validator);
  const sql = sides.some(([, { http }]) => http === undefined);
  if (sql && given.table === undefined && given.query === undefined && !validator.isBroken(path))
    validator.missing([...path, 'table'], 'is required: what is compared; or write a query');
  if (given.table !== undefined && given.query !== undefined)
    validator.report([...path, 'query'], 'table_and_query', 'there is a table already: write one of the two', {
      at: 'key',
    });
  if (validator.isBroken(path) || given.service === undefined || given.key === undefined || sides.length !== 2)
    return undefined;
  return {
    name,
    service: given.service,
    sides: sides.map(([region, source]) => ({ region, source })),
    table: given.table ?? null,
    query: given.query ?? null,
    key: given.key,
    columns: given.columns ?? null,
    timestamp: given.timestamp ?? null,
    samplePercent: given.sample ?? DEFAULTS.samplePercent,
    everyMs: given.every ?? DEFAULTS.everyMs,
    settleMs: given.settle ?? DEFAULTS.settleMs,
    maxRows: given.maxRows ?? DEFAULTS.maxRows,
    concurrency: given.concurrency ?? DEFAULTS.concurrency,
    timeoutMs: given.timeout ?? DEFAULTS.timeoutMs,
    lagSloMs: given.lagSlo ?? DEFAULTS.lagSloMs,
  };
}

function checkSource(source: GivenSource, path: string[], validator: Validator): void {
  const named = (['component', 'url', 'http'] as const).filter((one) => source[one] !== undefined);
  if (named.length !== 1)
    validator.report(
      path,
      'one_source',
      `write one of component, url and http${named.length === 0 ? '' : `, not ${named.join(' and ')}`}`,
    );
  if (source.token !== undefined && source.http === undefined)
    validator.report([...path, 'token'], 'wrong_field', 'only an http source has a token', { at: 'key' });
}

/** References of comparisons. */
export function checkComparisons(
  comparisons: ReadonlyMap<string, ComparisonDraft>,
  drafts: Drafts,
  source: Source,
): void {
  for (const { name, service, sides } of comparisons.values()) {
    const path = ['divergence', name];
    if (!drafts.serviceNames.has(service))
      source.report(
        [...path, 'service'],
        'unknown_service',
        `there is no service "${service}"${hint(service, drafts.serviceNames)}`,
      );
    for (const { region, source: given } of sides) {
      const at = [...path, 'between', region];
      if (!drafts.regions.has(region))
        source.report(at, 'unknown_region', `there is no region "${region}"${hint(region, drafts.regions)}`, {
          at: 'key',
        });
      if (given.component === undefined) continue;
      const component = drafts.components?.get(given.component);
      if (component === undefined)
        source.report(
          [...at, 'component'],
          'unknown_component',
          `there is no component "${given.component}"${hint(given.component, new Set(drafts.components?.keys()))}`,
        );
      else if (component.driver !== undefined && component.driver.type !== 'postgres')
        source.report(
          [...at, 'component'],
          'wrong_type',
          `rows are read from postgres components, not ${component.driver.type}`,
        );
      else if (!component.regions.includes(region))
        source.report([...at, 'component'], 'no_side', `${given.component} has no side in ${region}`);
    }
  }
}

/** Fills component sources in, when everything in the file is valid. */
export function finishComparison(draft: ComparisonDraft, components: Record<string, Component>): Comparison {
  const [left, right] = draft.sides.map(({ region, source }) => ({
    region,
    source: specOf(region, source, components),
  }));
  return { ...draft, sides: [left!, right!] };
}

function specOf(region: string, given: GivenSource, components: Record<string, Component>): RowSourceSpec {
  if (given.http !== undefined) return { kind: 'http', url: given.http, token: given.token ?? null };
  const none = {
    host: null,
    port: 5432,
    user: 'postgres',
    password: null,
    database: 'postgres',
    ssl: 'disable' as const,
  };
  if (given.component === undefined) return { kind: 'sql', url: given.url!, ...none };
  const { config, sides } = components[given.component]!;
  const node = sides[region]!.nodes[0]!.config;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return {
    ...{ kind: 'sql', url: null, host: text(node.host), port: typeof node.port === 'number' ? node.port : 5432 },
    user: text(node.user) ?? text(config.user) ?? 'postgres',
    password: text(node.password) ?? text(config.password),
    database: text(config.database) ?? 'postgres',
    ssl: (text(config.ssl) ?? 'disable') as 'disable',
  };
}
