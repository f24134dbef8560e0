/** The directions of the house: topology ← plan ← workflows; drivers/ports ← drivers ← activities ← workers. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import { circles, closure, type Import, importsBelow, importsOf, sourcesBelow } from './imports.ts';

const FOLDERS = [
  'topology', 'plan', 'workflows', 'activities', 'drivers', 'workers', 'clients', 'evidence', 'metrics', 'lab', 'bench', 'examples',
]; // biome-ignore format: a list

/** A closed run judges itself, so that its result says it without a report: pure, and tested with the reports. */
const JUDGING = ['evidence/objectives.ts', 'evidence/clocks.ts', 'evidence/format.ts'];
/** Names and words of metrics; recording them is Temporal's. */
const COUNTING = ['metrics/names.ts', 'metrics/objective.ts'];

const AWS_PACKAGES = Object.keys(
  (JSON.parse(readFileSync(join(repositoryRoot(), 'package.json'), 'utf8')) as { optionalDependencies: object })
    .optionalDependencies,
).filter((name) => name.startsWith('@aws-sdk/'));

/**
 * What each folder may need of the others, besides itself. An entry is a file, a folder with a slash, `node:`, or a
 * package. `types` are gone at run time; `lazy` imports happen only when the code that needs them runs.
 */
const RULES: Record<string, { run: string[]; types: string[]; lazy?: string[] }> = {
  topology: { run: ['zod', 'yaml', 'croner', '@marcbachmann/cel-js', 'node:'], types: ['drivers/ports.ts'] },
  plan: { run: ['topology/', 'node:'], types: ['drivers/ports.ts'] },
  workflows: {
    run: [
      'plan/',
      'topology/',
      'drivers/errors.ts',
      ...COUNTING,
      ...JUDGING,
      '@temporalio/workflow',
      '@temporalio/common',
    ],
    types: ['activities/contract.ts', 'drivers/ports.ts', 'evidence/'],
  },
  drivers: {
    run: ['topology/', 'zod', 'yaml', 'node:'],
    types: [],
    // Packages of clouds are optional, and nobody waits for them who does not name them.
    lazy: ['pg', 'cloudflare', '@smithy/node-http-handler', ...AWS_PACKAGES],
  },
  activities: {
    run: [
      'drivers/',
      'plan/',
      'topology/',
      'metrics/',
      'zod',
      'node:',
      '@temporalio/activity',
      '@temporalio/common',
      '@temporalio/client',
      'evidence/assertions.ts',
    ],
    types: ['workflows/contract.ts', 'evidence/'],
    lazy: ['nodemailer'],
  },
  workers: {
    run: [
      'activities/', 'drivers/', 'plan/', 'topology/', 'metrics/', 'workflows/contract.ts', 'node:', 'pino',
      '@temporalio/worker', '@temporalio/envconfig', '@temporalio/common', '@temporalio/client', '@temporalio/activity',
      ...JUDGING,
    ], // biome-ignore format: a list
    types: ['evidence/'],
    lazy: ['pg'],
  },
  metrics: { run: ['node:'], types: [] },
  evidence: { run: ['plan/', 'topology/', 'node:', 'zod', '@marcbachmann/cel-js'], types: ['drivers/ports.ts'] },
  clients: {
    run: [
      'topology/', 'plan/', 'evidence/', 'metrics/', 'drivers/registry.ts', 'drivers/errors.ts', 'drivers/within.ts', 'workflows/contract.ts',
      '@temporalio/client', '@temporalio/common', '@temporalio/envconfig', '@temporalio/proto', 'commander', 'picocolors', 'yaml', 'zod',
      'hono', '@hono/node-server', 'pino', 'node:',
    ], // biome-ignore format: a list
    types: ['drivers/ports.ts', 'workflows/'],
    lazy: ['lab/', 'workers/', 'activities/', 'pg', '@aws-sdk/client-s3'],
  },
  // A world of its own that uses the real parts; nothing in production needs it.
  lab: {
    run: FOLDERS.map((folder) => `${folder}/`).concat(
      'node:',
      'pg',
      'yaml',
      'commander',
      'picocolors',
      '@temporalio/client',
    ),
    types: [],
    // The lab's provider makes what an example needs.
    lazy: AWS_PACKAGES,
  },
  bench: {
    run: FOLDERS.map((folder) => `${folder}/`).concat(
      'test/',
      'yaml',
      'hono',
      '@hono/node-server',
      'node:',
      'pg',
      '@temporalio/client',
      '@temporalio/common',
      '@temporalio/testing',
      '@temporalio/worker',
    ),
    types: [],
  },
  examples: {
    run: ['node:', '@temporalio/activity', '@temporalio/workflow', '@temporalio/worker', '@temporalio/envconfig'],
    types: [],
  },
};

/** Single files that may do what their folder may not, each with its reason. */
const EXCEPTIONS: Record<string, { may: string[]; because: string }> = {
  'clients/cli/verbs/init.ts': {
    may: ['drivers/postgres/inspect.ts'],
    because: 'it writes a topology from PostgreSQL',
  },
  'clients/cli/verbs/local-guard.ts': {
    may: ['drivers/postgres/config.ts', 'drivers/postgres/local-guard.ts'],
    because: 'it guards the start of PostgreSQL, without a worker',
  },
  'clients/doctor/systems.ts': {
    may: ['drivers/postgres/grants.ts'],
    because: 'it prints the rights that are missing in PostgreSQL',
  },
  'clients/cli/verbs/demo.ts': { may: ['lab/demo/run.ts'], because: 'the verb is the demo' },
  'workers/reports.ts': {
    may: ['clients/connection.ts', 'clients/reports/open.ts', 'clients/reports/sweep.ts'],
    because: 'it files by itself what `rampart report file` files',
  },
  'workers/guard-deps.ts': {
    may: ['evidence/drill.ts'],
    because: 'the guard and the reports say alike which drills are a proof',
  },
  'workers/drill-deps.ts': {
    may: ['clients/reports/file.ts', 'clients/reports/open.ts'],
    because: 'whether a drill has ever passed stands in the reports that are filed',
  },
  'lab/cloud/edge.ts': {
    may: ['test/fakes/cloudflare/server.ts'],
    because: 'no emulator of Cloudflare exists but the fake that the drivers are tested against',
  },
  'lab/cloud/front.ts': {
    may: ['test/fakes/aws/protocol.ts'],
    because: 'it tells calls apart as the fakes do',
  },
  'lab/cloud/records.ts': {
    may: ['test/fakes/aws/route53-dns.ts', 'test/fakes/aws/route53.ts'],
    because: 'nothing listens on port 53 of an emulator',
  },
  'lab/cloud/instances.ts': {
    may: ['test/fakes/aws/rds.ts'],
    because: 'no emulator promotes a replica: the servers are behind the fake',
  },
  'lab/cloud/rds-postgres.ts': {
    may: ['test/fakes/aws/rds.ts', 'test/fakes/aws/server.ts'],
    because: 'no emulator promotes a replica as RDS does',
  },
  'lab/cloud/tasks.ts': {
    may: ['test/fakes/aws/ecs.ts', 'test/fakes/aws/server.ts'],
    because: 'the emulator has no Application Auto Scaling',
  },
  'clients/cli/verbs/worker.ts': { may: ['workers/main.ts'], because: 'the verb is the worker process' },
};

const present = FOLDERS.filter((folder) => existsSync(join(repositoryRoot(), folder)));
const imports = importsBelow(present);

function covers(patterns: readonly string[], target: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('/') || pattern === 'node:' ? target.startsWith(pattern) : target === pattern,
  );
}

function isAllowed({ file, target, kind }: Import): boolean {
  const folder = file.split('/', 1)[0]!;
  if (target.startsWith(`${folder}/`)) return true;
  const rule = RULES[folder];
  if (rule === undefined) return false;
  const lazy = kind === 'lazy' ? (rule.lazy ?? []) : [];
  const types = kind === 'type' ? [...rule.types, ...(rule.lazy ?? [])] : [];
  return covers([...rule.run, ...types, ...lazy, ...(EXCEPTIONS[file]?.may ?? [])], target);
}

const show = ({ file, line, target, kind }: Import) => `${file}:${line} imports ${target} (${kind})`;

describe('import directions', () => {
  test('every folder needs only what it may', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.filter((entry) => !isAllowed(entry)).map(show)).toEqual([]);
  });

  test.each([
    ['topology/load.ts', 'plan/compile.ts', 'type'],
    ['topology/load.ts', 'drivers/registry.ts', 'run'],
    ['plan/compile.ts', 'drivers/ports.ts', 'run'],
    ['plan/compile.ts', 'workflows/contract.ts', 'type'],
    ['workflows/failover.ts', 'activities/steps.ts', 'run'],
    ['workflows/failover.ts', 'zod', 'run'],
    ['drivers/sql/session.ts', 'pg', 'run'],
    ['drivers/poll.ts', 'activities/steps.ts', 'type'],
    ['activities/steps.ts', 'workers/main.ts', 'lazy'],
    ['clients/start.ts', 'workflows/failover.ts', 'run'],
    ['clients/start.ts', 'drivers/sql/session.ts', 'run'],
    ['workers/main.ts', 'clients/start.ts', 'run'],
    ['evidence/json.ts', 'drivers/ports.ts', 'run'],
    ['workers/main.ts', 'lab/world.ts', 'lazy'],
  ] as const)('%s may not import %s (%s)', (file, target, kind) => {
    expect(isAllowed({ file, target, kind, line: 1 })).toBe(false);
  });

  test('a driver needs its own folder and what all drivers share, never another driver', () => {
    const strangers = imports.filter(({ file, target }) => {
      const [, own, inside] = file.split('/');
      const [top, other, part] = target.split('/');
      if (!file.startsWith('drivers/') || top !== 'drivers' || part === undefined) return false;
      // What all drivers of one cloud share, and all that speak to PostgreSQL.
      if (inside !== undefined && (other === 'aws' || other === 'sql')) return false;
      return inside === undefined ? file !== 'drivers/registry.ts' : own !== other;
    });
    expect(strangers.map(show)).toEqual([]);
  });

  test('ports and the topology model are types: they bring nothing with them', () => {
    const reached = closure(imports, ['drivers/ports.ts', 'topology/model.ts', 'drivers/errors.ts'], ['run']);
    expect([...reached.keys()].sort()).toEqual(['drivers/errors.ts', 'drivers/ports.ts', 'topology/model.ts']);
  });

  test('whatever workflows run is deterministic: no zod, yaml, node builtin or driver, by whatever way', () => {
    const workflows = sourcesBelow(repositoryRoot(), 'workflows');
    const reached = closure(imports, workflows, ['run', 'lazy']);
    const may = [
      ...['workflows/', 'plan/', 'topology/', 'drivers/errors.ts', ...COUNTING, ...JUDGING],
      ...['@temporalio/workflow', '@temporalio/common'],
    ];
    const wrong = [...reached].filter(([target]) => !covers(may, target)).map(([, by]) => show(by!));
    expect(wrong).toEqual([]);
  });

  test('the bundle that workers load holds workflows, their SDK and nothing else', () => {
    const bundle = readFileSync(join(repositoryRoot(), 'dist/workflow-bundle.js'), 'utf8');
    const packages = [...bundle.matchAll(/^\/\*\*\*\/ "\.\/node_modules\/((?:@[^/"]+\/)?[^/"]+)\//gm)].map(
      ([, name]) => name!,
    );
    expect(new Set(packages)).toEqual(
      new Set(['@temporalio/common', '@temporalio/workflow', 'long', 'ms', 'nexus-rpc']),
    );
    const own = [...bundle.matchAll(/^\/\*\*\*\/ "\.\/dist\/([^"]+)"/gm)].map(([, path]) => path!);
    expect(own.length).toBeGreaterThan(3);
    const may = ['workflows/', 'plan/', 'topology/', 'drivers/errors.ts', ...COUNTING, ...JUDGING];
    expect(own.filter((path) => !covers(may, path.replace(/\.js$/, '.ts')))).toEqual([]);
  });

  test('no file needs itself in a circle', () => {
    expect(circles(imports).map((circle) => circle.join(' → '))).toEqual([]);
  });

  test('no barrels: a file that only hands on others is where workflows are listed', () => {
    const files = present.flatMap((folder) => sourcesBelow(repositoryRoot(), folder));
    const handingOn = files.filter((file) => {
      const statements = readFileSync(join(repositoryRoot(), file), 'utf8').match(
        /^(import|export|const|function|class)\b.*$/gm,
      );
      return statements?.every((line) => /^export (type )?(\*|\{[^}]*\}?)/.test(line));
    });
    expect(handingOn).toEqual(['workflows/index.ts']);
  });

  test('exceptions are still needed', () => {
    for (const [file, { may }] of Object.entries(EXCEPTIONS)) {
      const used = imports.filter((entry) => entry.file === file).map(({ target }) => target);
      expect(may.filter((target) => !used.includes(target))).toEqual([]);
    }
  });
});

describe('reading imports', () => {
  const read = (source: string) =>
    importsOf('plan/a/b.ts', source).map(({ target, kind, line }) => `${line} ${kind} ${target}`);

  test('statements, types, several lines, side effects, re-exports and lazy ones', () => {
    const source = [
      "import fs from 'node:fs';",
      "import type { A } from '../c.ts';",
      'import {',
      '  one,',
      '  type Two,',
      "} from '../../topology/model.ts';",
      "import './effect.ts';",
      "export type { B } from '../d.ts';",
      "export { e } from '@temporalio/client/lib/x.js';",
      "const later = await import('pg');",
      "type T = typeof import('zod');",
    ].join('\n');
    expect(read(source)).toEqual([
      '1 run node:fs',
      '2 type plan/c.ts',
      '3 run topology/model.ts',
      '7 run plan/a/effect.ts',
      '8 type plan/d.ts',
      '9 run @temporalio/client',
      '10 lazy pg',
    ]);
  });

  test('comments and templates do not count', () => {
    const source =
      "/**\nimport a from 'a';\n*/\n// import b from 'b';\nconst text = `\nimport c from 'c';\n`;\nexport const from = 'd';";
    expect(read(source)).toEqual([]);
  });

  test('a circle is found', () => {
    const edge = (file: string, target: string): Import => ({ file, target, kind: 'run', line: 1 });
    expect(circles([edge('a', 'b'), edge('b', 'c'), edge('c', 'b')])).toEqual([['b', 'c', 'b']]);
  });
});
