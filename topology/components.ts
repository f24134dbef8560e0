/** Components: dispatches on `type`, validates with the driver's schemas, works out task queues. */
import { z } from 'zod';
import type { Driver, Json } from '../drivers/ports.ts';
import { INVALID, isObject, type Validator } from './issues.ts';
import type { Component, Node, Side } from './model.ts';
import type { Path } from './problem.ts';
import { mentionsSecret, secretProblem } from './scalars.ts';
import { componentSchema, nodeSchema } from './schema.ts';
import { hint } from './suggest.ts';

export type Drivers = ReadonlyMap<string, Driver>;

/** Task queue of the control workers; a region's and a place's queues extend it. */
export const CONTROL_QUEUE = 'rampart';

/** The queue of a region's workers, or of those at one place in it. */
export function queueOf(region: string, place?: string): string {
  return place === undefined ? `${CONTROL_QUEUE}.${region}` : `${CONTROL_QUEUE}.${region}.${place}`;
}

/** Task queues that the workers of a place poll; of no region: the control workers. */
export function queuesOfPlace({ region, place }: { region: string | null; place: string | null }): string[] {
  if (region === null) return [CONTROL_QUEUE];
  return place === null ? [queueOf(region)] : [queueOf(region), queueOf(region, place)];
}

/** Made once for each schema: zod compiles a schema when it is first used. */
const closedSchemas = new WeakMap<z.ZodType, z.ZodType>();

/** The driver's schema, closed: a key it does not know is a slip. */
export function closed(schema: z.ZodType): z.ZodType {
  if (!(schema instanceof z.ZodObject) || schema.def.catchall !== undefined) return schema;
  const known = closedSchemas.get(schema) ?? schema.strict();
  closedSchemas.set(schema, known);
  return known;
}

/** What of a component is known although it may not be valid as a whole; enough for the checks across components. */
export interface ComponentDraft {
  name: string;
  driver: Driver | undefined;
  regions: string[];
  /** Present only when everything in it is valid. */
  component: Component | undefined;
}

export function readComponent(
  name: string,
  raw: unknown,
  regions: ReadonlySet<string>,
  drivers: Drivers,
  validator: Validator,
): ComponentDraft {
  const path = ['components', name];
  const draft: ComponentDraft = { name, driver: undefined, regions: [], component: undefined };
  if (!isObject(raw)) {
    validator.report(path, 'invalid_type', 'expected a map of keys and values, with at least type and sides');
    return draft;
  }
  if (isObject(raw.sides)) draft.regions = Object.keys(raw.sides);
  const driver = typeof raw.type === 'string' ? drivers.get(raw.type) : undefined;
  draft.driver = driver;
  const types = [...drivers.keys()].sort();
  if (driver === undefined) {
    if (raw.type === undefined) validator.missing([...path, 'type'], `is required: one of ${types.join(', ')}`);
    else if (typeof raw.type !== 'string')
      validator.report([...path, 'type'], 'invalid_type', `expected one of ${types.join(', ')}`);
    else validator.report([...path, 'type'], 'unknown_type', `unknown type "${raw.type}"${hint(raw.type, types)}`);
    if (raw.type === undefined) {
      const near = Object.keys(raw).find(
        (key) => !['place', 'sides', 'recovery'].includes(key) && drivers.has(String(raw[key])),
      );
      if (near !== undefined) validator.unknownKey(path, near, ['type']);
    }
  }

  const { type: _type, place, sides, recovery, ...own } = raw;
  const envelope = validator.fields(componentSchema, { type: raw.type ?? '-', place, sides, recovery }, path);
  if (envelope === INVALID) return draft;
  if (regions.size > 0 && envelope.place !== undefined && !regions.has(envelope.place.region)) {
    validator.report(
      [...path, 'place', 'region'],
      'unknown_region',
      `there is no region "${envelope.place.region}"${hint(envelope.place.region, regions)}`,
    );
  }
  for (const region of draft.regions) {
    if (regions.size > 0 && !regions.has(region)) {
      validator.report(
        [...path, 'sides', region],
        'unknown_region',
        `there is no region "${region}"${hint(region, regions)}`,
        { at: 'key' },
      );
    }
  }
  if (driver === undefined) return draft;

  checkSecrets(own, path, driver, validator);
  const config = readConfig(closed(driver.config), own, path, Object.keys(componentSchema.shape), validator);
  const read = readSides(name, envelope.sides ?? {}, [...path, 'sides'], driver, validator);
  checkSides(name, draft.regions, path, driver, validator);
  if (config === INVALID || read === undefined || validator.isBroken(path)) return draft;
  draft.component = complete(draft, driver, config, read, envelope, raw, validator);
  return draft;
}

/** Asks the driver for what only it knows; its faults are reported, not thrown. */
function complete(
  draft: ComponentDraft,
  driver: Driver,
  config: Record<string, Json>,
  sides: Record<string, Side>,
  { place, recovery }: Pick<z.output<typeof componentSchema>, 'place' | 'recovery'>,
  raw: Record<string, unknown>,
  validator: Validator,
): Component | undefined {
  const path = ['components', draft.name];
  try {
    const component: Component = {
      name: draft.name,
      type: driver.type,
      role: driver.role,
      queue: place === undefined ? CONTROL_QUEUE : queueOf(place.region, place.place),
      config,
      sides,
      capabilities: driver.capabilities(config),
      ...(recovery === undefined ? {} : { recovery }),
    };
    for (const { path: at, code, message, severity = 'error' } of driver.validate?.(component) ?? []) {
      validator.report([...path, ...asWritten(at, raw)], code, message, { severity });
    }
    return component;
  } catch (error) {
    validator.report(
      path,
      'driver_failed',
      `the driver ${driver.type} could not judge this configuration: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

/** Validates what belongs to the driver; keys beside it that are ours are named in suggestions too. */
function readConfig(
  schema: z.ZodType,
  own: Record<string, unknown>,
  path: Path,
  ours: readonly string[],
  validator: Validator,
): Record<string, Json> | typeof INVALID {
  if (!(schema instanceof z.ZodObject) || (schema.def.checks ?? []).length > 0)
    return validator.check(schema, own, path) as Record<string, Json> | typeof INVALID;
  const shape = Object.keys(schema.shape);
  if (schema.def.catchall instanceof z.ZodNever) {
    for (const key of Object.keys(own))
      if (!Object.hasOwn(schema.shape, key)) validator.unknownKey(path, key, [...shape, ...ours]);
    own = Object.fromEntries(Object.entries(own).filter(([key]) => Object.hasOwn(schema.shape, key)));
  }
  return validator.check(schema, own, path) as Record<string, Json> | typeof INVALID;
}

function readSides(
  component: string,
  raw: Record<string, unknown>,
  path: Path,
  driver: Driver,
  validator: Validator,
): Record<string, Side> | undefined {
  const sides: Record<string, Side> = {};
  const names = new Map<string, string>();
  let valid = true;
  for (const [region, value] of Object.entries(raw)) {
    const several = isObject(value) && Object.hasOwn(value, 'nodes');
    const at = [...path, region];
    if (several) {
      for (const key of Object.keys(value)) {
        if (key !== 'nodes')
          validator.report(
            [...at, key],
            'unknown_key',
            `unknown key "${key}": a side is either one node or only a list of nodes`,
            { at: 'key' },
          );
      }
      if (!Array.isArray(value.nodes) || value.nodes.length === 0) {
        validator.report([...at, 'nodes'], 'invalid_type', 'expected a list of at least one node');
        valid = false;
        continue;
      }
    }
    const list: unknown[] = several ? (value.nodes as unknown[]) : [value ?? {}];
    const nodes = list.map((entry, i) =>
      readNode(
        entry ?? {},
        several ? [...at, 'nodes', i] : at,
        region,
        list.length === 1 ? `${component}-${region}` : `${component}-${region}-${i + 1}`,
        list.length,
        driver,
        validator,
      ),
    );
    for (const [i, node] of nodes.entries()) {
      if (node === undefined) valid = false;
      else if (names.has(node.name)) {
        validator.report(
          several ? [...at, 'nodes', i, 'name'] : [...at, 'name'],
          'duplicate',
          `another node of ${component} is named "${node.name}" (in ${names.get(node.name)})`,
        );
      } else names.set(node.name, region);
    }
    sides[region] = { region, nodes: nodes.filter((node) => node !== undefined) };
  }
  return valid ? sides : undefined;
}

function readNode(
  raw: unknown,
  path: Path,
  region: string,
  defaultName: string,
  siblings: number,
  driver: Driver,
  validator: Validator,
): Node | undefined {
  if (!isObject(raw)) {
    validator.report(path, 'invalid_type', 'expected a node (a map of keys and values) or {nodes: [...]}');
    return undefined;
  }
  const { name, place, ...own } = raw;
  const envelope = validator.fields(nodeSchema, { name, place }, path);
  checkSecrets(own, path, driver, validator);
  const config = readConfig(closed(driver.node), own, path, Object.keys(nodeSchema.shape), validator);
  if (envelope === INVALID || config === INVALID) return undefined;
  const local = askLocal(driver, config, path, validator);
  if (local && siblings > 1 && place === undefined) {
    validator.report(
      path,
      'place_missing',
      `this node needs a worker beside it and its side has ${siblings} nodes: give each its place (rampart worker --region ${region} --place …)`,
    );
  }
  return {
    name: envelope.name ?? defaultName,
    ...(envelope.place === undefined ? {} : { place: envelope.place }),
    queue: envelope.place !== undefined ? queueOf(region, envelope.place) : local ? queueOf(region) : CONTROL_QUEUE,
    config,
  };
}

function askLocal(driver: Driver, config: Record<string, Json>, path: Path, validator: Validator): boolean {
  try {
    return driver.local(config);
  } catch (error) {
    validator.report(
      path,
      'driver_failed',
      `the driver ${driver.type} could not judge this node: ${error instanceof Error ? error.message : String(error)}`,
    );
    return false;
  }
}

function checkSides(name: string, regions: readonly string[], path: Path, driver: Driver, validator: Validator): void {
  if (driver.role === 'store' && regions.length < 2) {
    const message = `a store needs a side in at least two regions, ${name} has ${regions.length === 0 ? 'none' : `only ${regions[0]}`}`;
    if (regions.length === 0) validator.missing([...path, 'sides'], `is required: ${message}`);
    else validator.report([...path, 'sides'], 'too_few_sides', message);
  } else if (regions.length === 0 && (driver.role !== 'check' || !closed(driver.node).safeParse({}).success)) {
    validator.missing([...path, 'sides'], 'is required: one entry per region');
  }
}

/** Secrets stand by reference in the driver's secret fields, and references nowhere else. */
function checkSecrets(own: Record<string, unknown>, path: Path, driver: Driver, validator: Validator): void {
  const patterns = driver.secrets.map((field) => field.split('.'));
  const walk = (value: unknown, at: Path): void => {
    if (typeof value === 'string') {
      const secret = patterns.some(
        (pattern) => pattern.length === at.length && pattern.every((part, i) => part === '*' || part === String(at[i])),
      );
      const problem = secret ? secretProblem(value) : misplaced(value, driver);
      if (problem !== undefined) validator.report([...path, ...at], problem.code, problem.message, { secret });
    } else if (Array.isArray(value)) {
      for (const [i, entry] of value.entries()) walk(entry, [...at, i]);
    } else if (isObject(value)) {
      for (const [key, entry] of Object.entries(value)) walk(entry, [...at, key]);
    }
  };
  walk(own, []);
}

function misplaced(value: string, driver: Driver): { code: string; message: string } | undefined {
  if (!mentionsSecret(value)) return undefined;
  const where =
    driver.secrets.length === 0
      ? `${driver.type} has none`
      : `those of ${driver.type} are ${driver.secrets.join(', ')}`;
  return { code: 'secret_misplaced', message: `a secret reference is resolved only in secret fields; ${where}` };
}

/** A driver names a field by the normal form; in the file, `config` is not written and a single node needs no list. */
function asWritten(path: ReadonlyArray<string | number>, raw: Record<string, unknown>): Path {
  const [first, region, ...rest] = path;
  if (first === 'config') return path.slice(1);
  if (first !== 'sides' || typeof region !== 'string') return path;
  const side = isObject(raw.sides) ? raw.sides[region] : undefined;
  const listed = isObject(side) && Object.hasOwn(side, 'nodes');
  const index = rest[0] === 'nodes' && typeof rest[1] === 'number' ? rest[1] : 0;
  const inNode = rest[0] === 'nodes' ? rest.slice(2) : rest;
  if (inNode[0] === 'config') inNode.shift();
  return listed ? ['sides', region, 'nodes', index, ...inNode] : ['sides', region, ...inNode];
}
