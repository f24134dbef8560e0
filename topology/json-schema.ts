/** The JSON Schema that editors complete and check with, made from the schemas that validate. */
import { z } from 'zod';
import type { Driver } from '../drivers/ports.ts';
import { alertSourceSchema, triggerSchema } from './alert-schema.ts';
import { closed, type Drivers } from './components.ts';
import { BUILT_IN_TIERS } from './defaults.ts';
import { comparisonSchema } from './divergence-schema.ts';
import { drillSchema } from './drill-schema.ts';
import type { OwnStepKind } from './model.ts';
import { channelSchemas, notificationsSchema } from './notification-schema.ts';
import { reportsSchema } from './reports.ts';
import {
  componentSchema,
  defaultsSchema,
  fileSchema,
  nameSchema,
  nodeSchema,
  regionSchema,
  serviceSchema,
  tierSchema,
} from './schema.ts';
import { stepSchemas, undoSchemas } from './steps.ts';
import { watchSchema } from './watch-schema.ts';

/** A JSON Schema, draft 7: the newest that the YAML language server and the JSON editors all read. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

/** What a whole topology file may hold, given the known component types. Draft 7. */
export function topologyJsonSchema(drivers: Drivers): JsonSchema {
  const known = [...drivers.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  const definitions: Record<string, JsonSchema> = {
    region: { anyOf: [toJson(regionSchema), { type: 'null' }] },
    tier: toJson(tierSchema),
    defaults: toJson(defaultsSchema),
    service: withSteps(toJson(serviceSchema)),
    reports: toJson(reportsSchema),
    alertSource: toJson(alertSourceSchema),
    trigger: toJson(triggerSchema),
    notifications: toJson(notificationsSchema),
    channel: byDiscriminator(
      'type',
      Object.keys(channelSchemas).map((type) => [type, ref(`channel-${type}`)]),
      'How people are told',
    ),
    drill: toJson(drillSchema),
    comparison: toJson(comparisonSchema),
    watch: toJson(watchSchema),
    step: byDiscriminator(
      'kind',
      kinds((kind) => ref(`step-${kind}`)),
      'What the step does',
    ),
    undo: byDiscriminator(
      'kind',
      kinds((kind) => ref(`undo-${kind}`)),
      'How the step is taken back',
    ),
    component: byDiscriminator(
      'type',
      known.map(({ type }) => [type, ref(`component-${type}`)]),
      'The driven system',
      Object.fromEntries(known.map(({ type, summary }) => [type, summary])),
    ),
  };
  for (const kind of Object.keys(stepSchemas) as OwnStepKind[]) {
    definitions[`step-${kind}`] = extend(toJson(stepSchemas[kind]), { undo: ref('undo') }, []);
    definitions[`undo-${kind}`] = toJson(undoSchemas[kind]);
  }
  for (const [type, schema] of Object.entries(channelSchemas)) definitions[`channel-${type}`] = toJson(schema);
  for (const driver of known) {
    definitions[`component-${driver.type}`] = componentJson(driver);
    definitions[`node-${driver.type}`] = extend(
      toJson(closed(driver.node)),
      toJson(nodeSchema).properties as object,
      [],
    );
  }
  const file = toJson(fileSchema);
  const notifications = definitions.notifications!;
  const map = (definition: string, minimum: number): JsonSchema => ({
    type: 'object',
    propertyNames: toJson(nameSchema),
    ...(minimum > 0 ? { minProperties: minimum } : {}),
    additionalProperties: ref(definition),
  });
  notifications.properties = {
    ...(notifications.properties as object),
    channels: { ...map('channel', 0), description: 'Where people are told, by name' },
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Rampart topology',
    description: 'What exists: regions, tiers, components and services that Rampart can move',
    ...file,
    properties: {
      version: (file.properties as JsonSchema).version,
      defaults: ref('defaults'),
      regions: {
        ...map('region', 2),
        description: 'Regions by name. Which one is active is observed, never declared.',
      },
      tiers: {
        ...map('tier', 0),
        properties: Object.fromEntries(Object.keys(BUILT_IN_TIERS).map((name) => [name, ref('tier')])),
        additionalProperties: { allOf: [ref('tier')], required: ['rto', 'rpo'] },
        description: 'Objectives by tier; critical, important and standard are built in',
      },
      components: { ...map('component', 0), description: 'Stores, routers, workloads and checks by name' },
      services: { ...map('service', 1), description: 'Services by name' },
      reports: ref('reports'),
      alertSources: { ...map('alertSource', 0), description: 'Who may send alerts to `rampart serve`, by name' },
      triggers: { ...map('trigger', 0), description: 'What follows when alerts say that something is wrong, by name' },
      notifications: ref('notifications'),
      drills: { ...map('drill', 0), description: 'What is rehearsed, and when, by name' },
      divergence: { ...map('comparison', 0), description: 'What two regions hold, compared, by name' },
      watch: { ...map('watch', 0), description: "Rampart's own probes of services and regions, by name" },
    },
    definitions,
  };
}

function componentJson(driver: Driver): JsonSchema {
  const envelope = toJson(componentSchema).properties as Record<string, JsonSchema>;
  const node = ref(`node-${driver.type}`);
  const needsSides = driver.role !== 'check' || !closed(driver.node).safeParse({}).success;
  const emptyNode = closed(driver.node).safeParse({}).success ? [{ type: 'null' }] : [];
  const sides = {
    ...envelope.sides,
    description: 'One entry per region: one node, or {nodes: [...]}',
    propertyNames: toJson(nameSchema),
    ...(driver.role === 'store' ? { minProperties: 2 } : needsSides ? { minProperties: 1 } : {}),
    additionalProperties: {
      // The presence of `nodes` decides, so that an editor completes and reports the right one of the two forms.
      if: { type: 'object', required: ['nodes'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: {
        type: 'object',
        properties: { nodes: { type: 'array', minItems: 1, items: node, description: 'Several nodes in one region' } },
        additionalProperties: false,
      },
      else: emptyNode.length > 0 ? { anyOf: [node, ...emptyNode] } : node,
    },
  };
  const type = { const: driver.type, description: driver.summary };
  const json = extend(
    toJson(closed(driver.config)),
    { type, place: envelope.place!, sides, recovery: envelope.recovery! },
    needsSides ? ['type', 'sides'] : ['type'],
  );
  return { description: driver.summary, ...json };
}

/** The input side of a schema: what people write, before durations become milliseconds. */
function toJson(schema: z.ZodType): JsonSchema {
  const { $schema: _draft, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
    // zod drops the examples of whatever is transformed, taking them for those of the result; ours are of the input.
    override: ({ zodSchema, jsonSchema }) => {
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      if (Array.isArray(examples)) jsonSchema.examples = examples;
    },
  });
  return json;
}

const ref = (definition: string): JsonSchema => ({ $ref: `#/definitions/${definition}` });

/** Adds properties to an object schema, or to each branch of a union of them. */
function extend(json: JsonSchema, properties: object, required: string[]): JsonSchema {
  for (const union of ['anyOf', 'oneOf'] as const) {
    const branches = json[union];
    if (Array.isArray(branches)) {
      return { ...json, [union]: branches.map((branch: JsonSchema) => extend(branch, properties, required)) };
    }
  }
  return {
    ...json,
    properties: { ...(json.properties as object | undefined), ...properties },
    required: [...new Set([...((json.required as string[] | undefined) ?? []), ...required])],
  };
}

/** One schema per value of a key, chosen by that key: completion and messages stay those of the one that is meant. */
function byDiscriminator(
  key: string,
  branches: ReadonlyArray<readonly [string, JsonSchema]>,
  description: string,
  summaries: Readonly<Record<string, string>> = {},
): JsonSchema {
  const values = branches.map(([value]) => value);
  return {
    type: 'object',
    required: [key],
    properties: {
      [key]: {
        enum: values,
        description,
        // Read by VS Code and its kin, ignored by validators.
        ...(Object.keys(summaries).length > 0 ? { enumDescriptions: values.map((value) => summaries[value]) } : {}),
      },
    },
    allOf: branches.map(([value, schema]) => ({
      if: { type: 'object', properties: { [key]: { const: value } }, required: [key] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: schema,
    })),
  };
}

function kinds(make: (kind: OwnStepKind) => JsonSchema): Array<[string, JsonSchema]> {
  return (Object.keys(stepSchemas) as OwnStepKind[]).map((kind) => [kind, make(kind)]);
}

function withSteps(service: JsonSchema): JsonSchema {
  const steps = { type: 'array', items: ref('step'), description: "The team's own steps, beside the built-in ones" };
  return extend(service, { steps }, []);
}
