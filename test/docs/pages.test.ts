import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { RawRequest } from '../../activities/contract.ts';
import { readHalt } from '../../activities/halts.ts';
import { readRequest } from '../../activities/request.ts';
import { openCluster } from '../../drivers/postgres/config.ts';
import { grantsFor } from '../../drivers/postgres/grants.ts';
import { drivers } from '../../drivers/registry.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { METRICS, type MetricName, specOf } from '../../metrics/names.ts';
import { VARIABLES } from '../../topology/assertions.ts';
import { topologyJsonSchema } from '../../topology/json-schema.ts';
import { loadTopology } from '../../topology/load.ts';
import type { Topology } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { SEARCH_ATTRIBUTES, WORKFLOWS } from '../../workflows/contract.ts';
import { readDrill } from '../../workflows/drill/request.ts';
import {
  EXAMPLES,
  type MessageVerb,
  parseBy,
  parseDecide,
  parseEscalate,
  parseStep,
} from '../../workflows/run/parse.ts';
import { commandsIn, problemOf, program, words } from './commands.ts';
import { expectGenerated } from './generated.ts';
import { topologyKeys } from './topology-keys.ts';

const root = repositoryRoot();
const file = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', ...filesBelow('docs').filter((path) => path.endsWith('.md'))];

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path);
    return [path];
  });
}

const sources = ['clients', 'workers', 'activities', 'workflows', 'drivers', 'lab', 'topology', 'plan', 'metrics']
  .flatMap(filesBelow)
  .filter((path) => path.endsWith('.ts'))
  .map(file)
  .join('\n');

const ALERTS = [...file('deploy/prometheus/rules.yml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);

describe('generated parts', () => {
  it('docs/topology.md lists every key', () => {
    expectGenerated('docs/topology.md', 'keys', topologyKeys(topologyJsonSchema(drivers)));
  });

  it('docs/security.md lists the least rights for PostgreSQL', async () => {
    const { topology } = await loadTopology({ path: join(root, 'deploy/compose/rampart.yaml') }, drivers);
    const component = topology!.components['orders-db']!;
    const config = { ...component, config: { ...component.config, controlDatabase: 'postgres' } };
    const grants = grantsFor(
      openCluster(config, { place: { region: null, place: null } } as Parameters<typeof openCluster>[1]),
      'rampart',
    );
    const only = { sqlFence: '; only for a fence by SQL', rewind: '; only for pg_rewind' };
    const lines = grants.map(
      (g) =>
        `${g.sql.padEnd(76)} -- ${g.why}${g.onlyFor === null ? '' : only[g.onlyFor]}${g.database === undefined ? '' : `; in ${g.database}`}`,
    );
    expectGenerated('docs/security.md', 'grants', `\`\`\`sql\n${lines.join('\n')}\n\`\`\``);
  });

  it('docs/evidence.md lists what assertions may speak of', () => {
    const types: Record<string, string> = {
      'google.protobuf.Duration': 'duration',
      'google.protobuf.Timestamp': 'timestamp',
    };
    const rows = VARIABLES.flatMap(({ name, fields, what, entries }) =>
      Object.entries(fields).map(
        ([field, type]) =>
          `| \`${name}${entries === undefined ? '' : '["…"]'}.${field}\` | \`${types[type] ?? type}\` | ${what[field]} |`,
      ),
    );
    expectGenerated(
      'docs/evidence.md',
      'variables',
      ['| variable | type | what |', '| --- | --- | --- |', ...rows].join('\n'),
    );
  });

  it('docs/metrics.md lists every metric', () => {
    const rows = (Object.keys(METRICS) as MetricName[]).map((name) => {
      const { type, labels, from, help } = specOf(name);
      return `| \`${name}\` | ${type} | ${labels.join(', ')} | ${from} | ${help} |`;
    });
    const head = ['| metric | type | labels | from | meaning |', '| --- | --- | --- | --- | --- |'];
    expectGenerated('docs/metrics.md', 'metrics', [...head, ...rows].join('\n'));
  });

  it('docs/metrics.md says what each alert means, as the rules do', () => {
    const { groups } = parse(file('deploy/prometheus/rules.yml')) as {
      groups: Array<{
        rules: Array<{
          alert: string;
          for?: string;
          labels: { severity: string };
          annotations: Record<string, string>;
        }>;
      }>;
    };
    const parts = groups
      .flatMap(({ rules }) => rules)
      .map(({ alert, for: held, labels, annotations }) => {
        const since = held === undefined ? '' : `, after ${held}`;
        const command = annotations.command!.replace(/\{\{ \$labels\.(\w+) \}\}/g, '<$1>');
        return `### ${alert}\n\n_${labels.severity}${since}_. ${annotations.description}\n\nFirst: \`${command}\``;
      });
    expectGenerated('docs/metrics.md', 'alerts', parts.join('\n\n'));
  });

  it('docs/temporal.md lists every message with its example', () => {
    const what: Record<MessageVerb, string> = {
      decide: 'approve or reject the open gate',
      approve: 'approve the open gate',
      reject: 'reject the open gate',
      pause: 'pause before the next stage or weight; takes effect outside the freeze',
      resume: 'go on after a pause',
      skip: 'go on without a failed step; never claim, fence, catch-up, promote, verify or route',
      retry: 'try again everything that failed',
      abort: 'stop; see below',
      escalate: 'turn the run into an unplanned one from where it is; `to` may be the old source',
      withdraw: 'end a run that has done nothing yet',
      note: 'write something into the log of the run, for its report',
    };
    const rows = Object.entries(EXAMPLES).map(
      ([verb, json]) => `| \`${verb}\` | \`${json}\` | ${what[verb as MessageVerb]} |`,
    );
    expectGenerated(
      'docs/temporal.md',
      'messages',
      ['| name | input | what it does |', '| --- | --- | --- |', ...rows].join('\n'),
    );
  });
});

describe.each(pages)('%s', (page) => {
  const text = file(page);

  it('names commands that exist', async () => {
    const cli = await program();
    for (const { line, mention } of commandsIn(text)) expect(problemOf(cli, line, mention), line).toBeNull();
  });

  it('links to what is there', () => {
    const code = text.replace(/```.*?```/gs, '').replace(/`[^`]*`/g, '');
    for (const [, target] of code.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|#|mailto:)/.test(target!)) continue;
      const path = resolve(root, dirname(page), target!.split('#')[0]!);
      expect(existsSync(path), `${page}: ${target}`).toBe(true);
    }
  });

  const known = `${sources}RAMPART_UPDATE_DOCS`;

  it('names variables, metrics and search attributes that the code knows', () => {
    for (const [name] of text.matchAll(/\bRAMPART_[A-Z][A-Z_]*\b/g)) expect(known.includes(name), name).toBe(true);
    for (const [name] of text.matchAll(/\brampart_[a-z]+(?:_[a-z]+)+\b/g))
      expect(known.includes(name), name).toBe(true);
    for (const [name] of text.matchAll(/\bRampart[A-Z][A-Za-z]+\b/g))
      expect([...Object.keys(SEARCH_ATTRIBUTES), ...ALERTS, 'RampartError'], name).toContain(name);
  });

  it('holds topologies that are valid', () => {
    for (const [, yaml] of text.matchAll(/```yaml\n(.*?)```/gs)) {
      if (!/^version: 1/m.test(yaml!)) continue;
      const { problems } = parseTopology(yaml!, { path: page, drivers });
      expect(formatProblems(problems.filter((p) => p.severity === 'error'))).toBe('');
    }
  });

  it('sends through the temporal CLI only what a run understands', async () => {
    const { topology } = await loadTopology({ path: join(root, 'deploy/compose/rampart.yaml') }, drivers);
    const joined = text.replace(/\\\n\s*/g, ' ');
    for (const [line] of joined.matchAll(/^temporal (?:workflow|schedule) .*$/gm)) {
      const given = words(line);
      const value = (flag: string) => given[given.indexOf(flag) + 1]!;
      if (!given.includes('--input')) continue;
      const input = JSON.parse(value('--input')) as unknown;
      if (given.includes('--task-queue')) {
        const type = value('--type');
        expect(WORKFLOWS).toContain(type);
        const raw = { input, workflowType: type, workflowId: value('--workflow-id') };
        expect(() => read(raw, topology!), line).not.toThrow();
      } else {
        const verb = value('--name') as MessageVerb;
        expect(parseMessage(verb, input), line).toMatchObject({ ok: true });
      }
    }
  });
});

function parseMessage(verb: MessageVerb, input: unknown): { ok: boolean } {
  switch (verb) {
    case 'decide':
    case 'approve':
    case 'reject':
      return parseDecide(verb, input);
    case 'skip':
    case 'retry':
      return parseStep(verb, input);
    case 'escalate':
      return parseEscalate(input);
    default:
      return parseBy(verb, input);
  }
}

/** As the workflow of that type reads its input. @throws what it would refuse it with */
function read(raw: RawRequest, topology: Topology): unknown {
  if (raw.workflowType === 'drill') return readDrill(raw.input);
  return raw.workflowType === 'halt' ? readHalt(raw, topology) : readRequest(raw, topology);
}

it('shows only request fields that are read', async () => {
  const { topology } = await loadTopology({ path: join(root, 'deploy/compose/rampart.yaml') }, drivers);
  const rows = [
    ...file('docs/temporal.md').matchAll(
      /^\| `(failover|failback|trafficRamp|reprotect|refence|release|drill|halt|plan)`\s*\|[^|]*\| `(\{.*?\})`/gm,
    ),
  ];
  expect(rows.map((r) => r[1]).sort()).toEqual([...WORKFLOWS].sort());
  for (const [, type, json] of rows)
    expect(() => {
      const workflowId = type === 'halt' ? 'halt/checkout' : 'failover/checkout';
      read({ input: JSON.parse(json!), workflowType: type!, workflowId }, topology!);
    }).not.toThrow();
});
