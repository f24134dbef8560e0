/** The reference part of docs/topology.md, made from the JSON Schema that `rampart schema` prints. */
import type { JsonSchema } from '../../topology/json-schema.ts';

type Node = Record<string, unknown>;
const node = (value: unknown): Node => (typeof value === 'object' && value !== null ? (value as Node) : {});

/** Keys that every component, and every node, has: said once. */
const COMMON_COMPONENT = ['type', 'place', 'sides'];
const COMMON_NODE = ['name', 'place'];

export function topologyKeys(schema: JsonSchema): string {
  const definitions = schema.definitions as Record<string, Node>;
  const types = Object.keys(definitions).flatMap((d) => /^component-(.+)$/.exec(d)?.[1] ?? []);
  const kinds = Object.keys(definitions).flatMap((d) => /^step-(.+)$/.exec(d)?.[1] ?? []);
  const properties = node(schema.properties);
  const region = node((definitions.region!.anyOf as Node[])[0]);
  const service = definitions.service!;
  const sharedKeys = Object.keys(node(definitions.defaults!.properties));
  const first = definitions[`component-${types[0]}`]!;
  const firstNode = definitions[`node-${types[0]}`]!;
  const firstStep = definitions[`step-${kinds[0]}`]!;
  const stepKeys = Object.keys(node(firstStep.properties)).filter((key) =>
    kinds.every((kind) => key in node(definitions[`step-${kind}`]!.properties)),
  );
  const channels = Object.keys(definitions).flatMap((d) => /^channel-(.+)$/.exec(d)?.[1] ?? []);
  const firstChannel = definitions[`channel-${channels[0]}`]!;
  const channelKeys = Object.keys(node(firstChannel.properties)).filter((key) =>
    // A key of one name and different meanings is told where it belongs.
    channels.every(
      (type) =>
        key === 'type' ||
        JSON.stringify(node(definitions[`channel-${type}`]!.properties)[key]) ===
          JSON.stringify(node(firstChannel.properties)[key]),
    ),
  );
  const out = [
    section('The file', table({ properties }, [])),
    section('`regions`', text(region), table(region)),
    section('`tiers`', text(definitions.tier!), table(definitions.tier!)),
    section(
      '`defaults` and every service',
      'What `defaults` says holds for every service that says nothing else.',
      table(definitions.defaults!),
    ),
    section('`services`', text(service), table(omit(service, [...sharedKeys, 'steps']))),
    section('`drills`', text(definitions.drill!), table(definitions.drill!)),
    section('`divergence`', text(definitions.comparison!), table(definitions.comparison!)),
    section(
      '`services.<name>.steps`',
      "The team's own steps, beside the built-in ones of a stage. Every kind has:",
      table(
        omit(
          firstStep,
          [],
          stepKeys.filter((k) => k !== 'kind'),
        ),
      ),
    ),
    ...kinds.map((kind) => section(`Step \`kind: ${kind}\``, table(omit(definitions[`step-${kind}`]!, stepKeys)))),
    section('`components`: what all have', table(omit(withoutConst(first), [], COMMON_COMPONENT))),
    section(
      'Nodes: what all have',
      'A side is one node, or `{ nodes: [...] }` for several.',
      table(omit(firstNode, [], COMMON_NODE)),
    ),
    ...types.flatMap((type) => componentSections(type, definitions)),
    section('`notifications`', text(definitions.notifications!), table(definitions.notifications!)),
    section(
      '`notifications.channels`: what all have',
      table(omit(withoutConst(firstChannel, 'How people are told'), [], channelKeys)),
    ),
    ...channels.map((type) =>
      section(
        `Channel \`type: ${type}\``,
        text(definitions[`channel-${type}`]!),
        table(omit(definitions[`channel-${type}`]!, channelKeys)),
      ),
    ),
    section('`reports`', text(definitions.reports!), table(definitions.reports!)),
  ];
  return out.join('\n\n');
}

function componentSections(type: string, definitions: Record<string, Node>): string[] {
  const component = definitions[`component-${type}`]!;
  const keys = table(omit(component, COMMON_COMPONENT));
  const nodes = table(omit(definitions[`node-${type}`]!, COMMON_NODE));
  return [
    section(`\`type: ${type}\``, text(component), keys),
    ...(nodes === '' ? [] : [section(`Nodes of \`type: ${type}\``, nodes)]),
  ];
}

/** What all components have names no type of its own. */
function withoutConst(n: Node, description = 'The driven system'): Node {
  return {
    ...n,
    properties: {
      ...node(n.properties),
      type: { type: 'string', description: `${description}, one of those below` },
    },
  };
}

const section = (title: string, ...parts: string[]): string =>
  [`### ${title}`, ...parts.filter((p) => p !== '')].join('\n\n');
const text = (n: Node): string => (typeof n.description === 'string' ? cell(n.description) : '');

/** An object schema, or the branches of a union of them, without some keys or with only some. */
function omit(n: Node, without: string[], only?: string[]): Node {
  const branches = (n.anyOf ?? n.oneOf) as Node[] | undefined;
  const properties =
    branches === undefined ? node(n.properties) : Object.assign({}, ...branches.map((b) => node(b.properties)));
  const kept = Object.entries(properties).filter(([key]) => !without.includes(key) && (only?.includes(key) ?? true));
  const required =
    branches === undefined
      ? n.required
      : (branches[0]!.required as string[]).filter((k) => branches.every((b) => (b.required as string[]).includes(k)));
  return { ...n, properties: Object.fromEntries(kept), required };
}

function table(n: Node, path: string[] = []): string {
  const rows = rowsOf(n, path);
  if (rows.length === 0) return '';
  return [
    '| key | value | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map((r) => `| ${r.join(' | ')} |`),
  ].join('\n');
}

function rowsOf(n: Node, path: string[]): string[][] {
  const required = (n.required as string[] | undefined) ?? [];
  return Object.entries(node(n.properties)).flatMap(([key, raw]) => {
    const value = node(raw);
    const nested = value.type === 'object' && value.properties !== undefined;
    const inner = !nested ? [] : alike(value) ? gates(value, [...path, key]) : rowsOf(value, [...path, key]);
    // What a group is for stands in its own row, when it is said.
    if (nested && inner.length > 0 && value.description === undefined) return inner;
    return [row([...path, key], value, required.includes(key)), ...inner];
  });
}

/** Whether a group holds several groups with the same keys, as `approvals` does. */
function alike(n: Node): boolean {
  const keys = Object.values(node(n.properties)).map((p) => Object.keys(node(node(p).properties)).join());
  return keys.length > 1 && keys[0] !== '' && keys.every((k) => k === keys[0]);
}

/** One row per group, and their common keys once. */
function gates(n: Node, path: string[]): string[][] {
  const groups = Object.entries(node(n.properties));
  const rows = groups.map(([key, value]) => row([...path, key], node(value), false));
  return [...rows, ...rowsOf(node(groups[0]![1]), [...path, '<gate>'])];
}

function row(path: string[], value: Node, required: boolean): string[] {
  const said = typeof value.description === 'string' ? value.description : '';
  // Some descriptions say their default in words.
  const [, meaning, inWords] = /^(.*?); default (?!:)(.+)$/s.exec(said) ?? [undefined, said, undefined];
  const fallback =
    value.default !== undefined && JSON.stringify(value.default) !== '{}'
      ? `\`${yaml(value.default)}\``
      : (inWords ?? '');
  const example = (value.examples as unknown[] | undefined)?.[0];
  const dull =
    example === undefined ||
    String(example).startsWith('${env:NAME') ||
    kind(value) === 'duration' ||
    example === value.default;
  const sentence = meaning === undefined || meaning === '' || /[.:]$/.test(meaning) ? (meaning ?? '') : `${meaning}.`;
  const words = dull ? sentence : `${sentence} For example ${code(yaml(example))}.`;
  return [`\`${path.join('.')}\``, kind(value), required ? '**required**' : cell(fallback), cell(words)];
}

/** Inline code, also for a value with backticks in it. */
const code = (t: string): string => (t.includes('`') ? `\`\`${t}\`\`` : `\`${t}\``);

/** A value as somebody writes it on one line of YAML. */
function yaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(yaml).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{ ${Object.entries(value)
      .map(([k, v]) => `${k}: ${yaml(v)}`)
      .join(', ')} }`;
  return value === '' ? '""' : String(value);
}

function kind(value: Node): string {
  if (value.const !== undefined) return `\`${String(value.const)}\``;
  if (Array.isArray(value.enum)) return value.enum.map((v) => `\`${String(v)}\``).join(' ');
  const pattern = typeof value.pattern === 'string' ? value.pattern : '';
  if (pattern.includes('ms)?$')) return 'duration';
  if (pattern.includes('KiB')) return 'size';
  if (pattern.includes('env:')) return 'secret reference';
  const ref = typeof value.$ref === 'string' ? value.$ref.split('/').at(-1)! : '';
  if (ref !== '') return ref;
  const union = (value.anyOf ?? value.oneOf) as Node[] | undefined;
  if (union !== undefined) return [...new Set(union.map(kind))].join(' or ');
  if (value.type === 'array') return `list of ${kind(node(value.items))}`;
  if (value.type === 'object') return 'mapping';
  if (Array.isArray(value.type)) return value.type.join(' or ');
  return value.type === 'integer' ? 'whole number' : String(value.type ?? 'anything');
}

const cell = (t: string): string => t.replace(/\s+/g, ' ').replace(/\|/g, '\\|').replace(/</g, '&lt;').trim();
