import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isMap, isScalar, isSeq, parseDocument, type Scalar, stringify } from 'yaml';
import { STAGES } from '../../plan/model.ts';
import { canonicalJson } from '../../topology/canonical.ts';
import type { Topology } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { STEP_STAGES } from '../../topology/steps.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';
import { GOOD } from './good.ts';

const parse = (text: string) => parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });

function valid(text: string): Topology {
  const { topology, problems } = parse(text);
  expect(formatProblems(problems)).toBe('');
  return topology!;
}

describe('normal form', () => {
  const topology = valid(GOOD);
  const checkout = topology.services.checkout!;

  test('defaults, then the service, field by field', () => {
    expect(checkout.owner).toBe('team-checkout');
    expect(topology.tiers.critical).toMatchObject({ name: 'critical', rtoMs: 600_000, rpoMs: 60_000 });
    expect(checkout.ramp).toEqual({
      steps: [50, 100],
      bakeMs: 30_000,
      intervalMs: 5_000,
      analysis: ['orders-healthy'],
      failureLimit: 1,
      onFailure: 'hold',
      unplanned: 'jump',
    });
    expect(checkout.approvals.cutover).toEqual({
      required: 2,
      approvers: ['ana', 'ben'],
      fourEyes: true,
      timeoutMs: 1_200_000,
      onTimeout: 'hold',
      escalateAfterMs: 300_000,
      escalateTo: ['eve'],
    });
    expect(checkout.onFailure).toEqual({ planned: 'hold', unplanned: 'hold' });
    expect(checkout.cutoverLag).toEqual({ ms: 2_000, bytes: 1_048_576 });
    expect(checkout.returningPrimary).toBe('notify');
    expect(checkout.guard).toEqual({ enabled: true, intervalMs: 5_000, proofAgeMs: 2_592_000_000 });
    expect(topology.services.identity).toMatchObject({
      returningPrimary: 'fence',
      guard: { enabled: true, intervalMs: 2_000, proofAgeMs: 7_776_000_000 },
    });
    const moves = ['failover', 'failback'];
    expect(checkout.tier).toEqual({
      ...{ name: 'critical', rtoMs: 480_000, rpoMs: 60_000, freezeBudgetMs: 20_000, fenceProof: 'sessions' },
    });
    // The tier's stand before the service's own; what both name counts as the service says it.
    expect(checkout.assertions?.map(({ name, severity, actions }) => [name, severity, actions])).toEqual([
      ['no row lost', 'fail', moves],
      ['quick', 'fail', ['failover']],
      ['secrets', 'fail', moves],
    ]);
    expect(checkout.evidence).toEqual({
      ...{ environment: 'production', references: ['BIA-7'] },
      ...{ assumptions: ['weekday traffic'], thirdParties: ['DNS provider'] },
    });
    const identity = topology.services.identity!;
    expect(identity).not.toHaveProperty('assertions');
    expect(identity).not.toHaveProperty('evidence');
    expect(identity).toMatchObject({ owner: 'team-shop', standby: ['eu-west'], writes: 'local' });
    expect(identity.ramp.analysis).toEqual(['orders-healthy']);
  });

  test('the report store is whole, its secrets are references', () => {
    expect(topology.reports).toEqual({
      ...{ kind: 's3', bucket: 'rampart-evidence', prefix: 'prod/', region: 'eu-west-1', pathStyle: true },
      ...{ endpoint: 'https://s3.example.com', accessKeyId: '${env:ID}', secretAccessKey: '${env:KEY}' },
      key: '${file:/run/secrets/report.pem}',
    });
  });

  test('task queues follow place, locality and control', () => {
    const { 'orders-db': db, edge, app } = topology.components;
    expect(db!.queue).toBe('rampart');
    expect(edge!.queue).toBe('rampart.eu-west');
    expect(db!.sides['eu-west']!.nodes.map(({ name, queue }) => [name, queue])).toEqual([
      ['db-a', 'rampart.eu-west.rack-1'],
      ['orders-db-eu-west-2', 'rampart.eu-west.rack-2'],
    ]);
    expect(db!.sides['eu-central']!.nodes[0]!.queue).toBe('rampart.eu-central');
    expect(app!.sides['eu-west']!.nodes[0]!.queue).toBe('rampart');
  });

  test('drivers get their own fields only, scalars as numbers, secrets as references', () => {
    const db = topology.components['orders-db']!;
    const password = '${env:ORDERS_PASSWORD}';
    expect(db.config).toEqual({ user: 'rampart', password, maxLag: 16_777_216, stop: { timeout: 5_000 } });
    expect(db.sides['us-east']!.nodes[0]!.config).toEqual({ host: 'us', port: 6_432 });
  });

  test('own steps', () => {
    expect(checkout.steps).toEqual([
      {
        name: 'warm-cache',
        stage: 'prepare',
        summary: 'Warm the cache',
        kind: 'command',
        config: { command: ['/bin/warm', '--all'], env: { TOKEN: '${env:TOKEN}' } },
        at: 'to',
        undo: {
          kind: 'http',
          config: {
            method: 'DELETE',
            url: 'https://cache.example.com/warm',
            headers: {},
            body: null,
            expectStatus: [],
          },
        },
        effect: 'reversible',
        deadlineMs: 120_000,
        onFailure: 'rollback',
        actions: [],
      },
      {
        name: 'flip-flag',
        stage: 'route',
        summary: 'Flip the flag',
        kind: 'http',
        config: {
          method: 'POST',
          url: 'https://flags.example.com',
          headers: { Authorization: '${file:/run/secrets/flags}' },
          body: { on: true },
          expectStatus: [200],
        },
        at: 'run',
        effect: 'irreversible',
        deadlineMs: 5_000,
        onFailure: 'hold',
        actions: ['failover'],
      },
      {
        name: 'rebuild-index',
        stage: 'settle',
        summary: 'Rebuild the index',
        kind: 'workflow',
        config: { type: 'rebuildIndex', input: { full: true } },
        taskQueue: 'checkout-ops',
        at: 'run',
        effect: 'none',
        deadlineMs: 3_600_000,
        onFailure: 'continue',
        actions: [],
      },
    ]);
  });

  test('own steps know the stages of the plan', () => expect(STEP_STAGES).toEqual(STAGES));

  test('the digest says what is meant, not how it is written', () => {
    const reordered = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reordered)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, part]) => [key, reordered(part)]),
            )
          : value;
    const other = stringify(reordered(parseDocument(GOOD).toJS()));
    expect(valid(other).digest).toBe(topology.digest);
    expect(valid(GOOD.replace('bake: 30s', 'bake: 0h30s')).digest).toBe(topology.digest);
    expect(valid(GOOD.replace('bake: 30s', 'bake: 31s')).digest).not.toBe(topology.digest);
    expect(topology.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  test('anchors share values', () => {
    const text = BASE.replace('ramp: {', 'ramp: &ramp {').replace(
      'services:\n',
      'services:\n  other: {owner: x, home: eu-west, standby: us-east, components: [o], checks: [ready], ramp: *ramp}\n',
    );
    // The anchor stands after its alias: that is an error with a position, not a surprise.
    expect(parse(text).problems[0]).toMatchObject({ code: 'unknown_alias' });
  });

  test('what is written in full gives the same topology again', () => {
    // Everything a service may say, written out from its normal form, must read back as that normal form.
    const { approvals, ramp, cutoverLag, onFailure } = checkout;
    const ms = (value: number) => `${value}ms`;
    const written = {
      owner: checkout.owner,
      tier: 'critical',
      ramp: { ...ramp, bake: ms(ramp.bakeMs), interval: ms(ramp.intervalMs), bakeMs: undefined, intervalMs: undefined },
      approvals: Object.fromEntries(
        Object.entries(approvals).map(([gate, { timeoutMs, escalateAfterMs, ...policy }]) => [
          gate,
          { ...policy, timeout: ms(timeoutMs), ...(escalateAfterMs ? { escalateAfter: ms(escalateAfterMs) } : {}) },
        ]),
      ),
      cutoverLag: { time: ms(cutoverLag.ms), bytes: `${cutoverLag.bytes}B` },
      onFailure,
      writes: checkout.writes,
    };
    const document = parseDocument(GOOD);
    for (const [key, value] of Object.entries(JSON.parse(JSON.stringify(written)) as object)) {
      document.setIn(['services', 'checkout', key], document.createNode(value));
    }
    const again = valid(String(document));
    expect(canonicalJson(again.services)).toBe(canonicalJson(topology.services));
    expect(again.digest).toBe(topology.digest);
  });
});

describe('positions', () => {
  /** Every key that a schema, not its author, has named. */
  const keys: Scalar[] = [];
  const free = new Set([
    'regions',
    'tiers',
    'components',
    'services',
    'labels',
    'sides',
    'headers',
    'alertSources',
    'triggers',
    'channels',
    'approvers',
    'drills',
    'env',
    'body',
    'input',
  ]);
  const collect = (node: unknown, named: boolean): void => {
    if (isSeq(node)) for (const item of node.items) collect(item, true);
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      if (named && isScalar(key)) keys.push(key);
      if (isScalar(key) && ['body', 'input'].includes(String(key.value))) continue;
      collect(value, !(isScalar(key) && named && free.has(String(key.value))));
    }
  };
  collect(parseDocument(GOOD).contents, true);

  test('any single slip in any key is reported where it is', () => {
    expect(keys.length).toBeGreaterThan(90);
    const slip = fc.record({
      key: fc.constantFrom(...keys),
      at: fc.nat(),
      letter: fc.constantFrom('x', 'Q', '_', 'z'),
    });
    fc.assert(
      fc.property(slip, ({ key, at, letter }) => {
        const word = String(key.value);
        const i = at % word.length;
        const typed = word.slice(0, i) + letter + word.slice(i + 1);
        fc.pre(typed !== word);
        const [start] = key.range!;
        const text = GOOD.slice(0, start) + typed + GOOD.slice(start + word.length);
        const lines = GOOD.slice(0, start).split('\n');
        const place = { line: lines.length, column: lines.at(-1)!.length + 1 };
        const { topology, problems } = parse(text);
        expect(topology).toBeUndefined();
        const found = problems.find(({ code }) => code === 'unknown_key');
        expect(found, formatProblems(problems, { text })).toMatchObject({ ...place, severity: 'error' });
        expect(found!.message).toContain(`unknown key "${typed}"`);
      }),
      { numRuns: 125 },
    );
  });

  test('problems are sorted and say everything at once', () => {
    const text = BASE.replace('eu-central:\n', 'eu-central: {lables: {}}\n')
      .replace('ttl: 10s', 'ttl: ten')
      .replace('tier: important', 'tier: gold')
      .replace('bake: 1m', 'bake: 1')
      .replace('effect: none', 'effect: maybe');
    const { problems } = parse(text);
    expect(problems.map(({ line, code }) => [line, code])).toEqual([
      [4, 'unknown_key'],
      [15, 'invalid_duration'],
      [22, 'unknown_tier'],
      [27, 'invalid_type'],
      [34, 'invalid_value'],
    ]);
  });

  test('what defaults get wrong for many is said once', () => {
    const services = Array.from(
      { length: 5 },
      (_, i) =>
        `  s${i}: {owner: x, home: eu-west, standby: eu-central, components: [orders-db], checks: [ready], group: g}`,
    );
    const text = BASE.slice(0, BASE.indexOf('services:'))
      .concat(`defaults: {tier: critical, ramp: {bake: 10m}}\nservices:\n${services.join('\n')}\n`)
      .replace('ready:', 'ready:');
    const errors = parse(text).problems.filter(({ severity }) => severity === 'error');
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ code: 'rto_unreachable', field: 'defaults.ramp.bake' });
    expect(errors[0]!.message).toContain('(and so for 4 more services)');
  });
});

describe('excerpts', () => {
  test('a caret under the place, in colour on a terminal', () => {
    const text = BASE.replace('bake: 1m', 'bake: 60');
    const { problems } = parse(text);
    expect(formatProblems(problems, { text }).split('\n').slice(1)).toEqual([
      '   27 |     ramp: {steps: [10, 50, 100], bake: 60}',
      '      |                                        ^~',
    ]);
    expect(formatProblems(problems, { text, color: true })).toContain('\u001b[31merror:\u001b[39m');
    expect(formatProblems(problems)).not.toContain('\u001b');
  });

  test('a literal secret is not repeated anywhere', () => {
    const text = BASE.replace('${env:DB}', 'hunter2').replace('fakedb\n', 'fakedb\n    usr: x\n');
    const { problems } = parse(text);
    expect(problems).toHaveLength(2);
    expect(formatProblems(problems, { text })).not.toContain('hunter2');
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });
});

describe('hostile input never throws', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 12 }, (_, i) => {
    const [from, to] = ['abcdefghijklmn'[i]!, 'abcdefghijklmn'[i + 1]!];
    return `${to}: &${to} [${Array(9).fill(`*${from}`).join(',')}]`;
  }).join('\n')}\n`;
  test.each([
    ['an alias bomb', bomb],
    ['an alias bomb under services', BASE + bomb.replaceAll(/^/gm, '  ')],
    ['a cycle of anchors', 'services: &s\n  a: *s\n'],
    ['bottomless nesting', `a: ${'['.repeat(50_000)}`],
    ['deep nesting', `a: ${'['.repeat(200)}${']'.repeat(200)}`],
    ['tabs', '\t\t\t'],
    ['only markers', '---\n...\n---\n'],
    ['a number', '7'],
    ['keys that are maps', '? {a: 1}\n: 2\n'],
    ['prototype keys', '__proto__: {version: 1}\nconstructor: {prototype: {}}\nversion: 1\n'],
    ['endless numbers', 'version: .inf\nregions: .nan\n'],
    ['control characters', '\u0000\u0001\uFFFF'],
    ['a lone surrogate', 'a: "\\ud800"'],
    ['a huge text', `#${'x'.repeat(9 * 2 ** 20)}`],
  ])('%s', (_name, text) => {
    const { topology, problems } = parse(text);
    expect(topology).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) {
      expect(problem.line).toBeGreaterThan(0);
      expect(problem.column).toBeGreaterThan(0);
    }
    expect(typeof formatProblems(problems, { text, color: true })).toBe('string');
  });

  test('wrong types everywhere', () => {
    const places: Array<Array<string | number>> = [];
    const walk = (value: unknown, path: Array<string | number>): void => {
      if (path.length > 0) places.push(path);
      if (Array.isArray(value)) for (const [i, part] of value.entries()) walk(part, [...path, i]);
      else if (typeof value === 'object' && value !== null) {
        for (const [key, part] of Object.entries(value)) walk(part, [...path, key]);
      }
    };
    walk(parseDocument(GOOD).toJS(), []);
    const wrong = fc.oneof(
      fc.constantFrom<unknown>(null, 0, -1, 1e300, true, '', [], {}, [[]], { '': null }, [null], '${env:X', '${env:X}'),
      fc.jsonValue({ maxDepth: 2 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...places), wrong, (path, value) => {
        const document = parseDocument(GOOD);
        document.setIn(path, document.createNode(value));
        const text = String(document);
        const { topology, problems } = parse(text);
        expect(topology !== undefined || problems.some(({ severity }) => severity === 'error')).toBe(true);
        formatProblems(problems, { text });
      }),
      { numRuns: 150 },
    );
  });

  test('any text at all', () => {
    const pieces = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '-',
      '[',
      ']',
      '{',
      '}',
      '&x',
      '*x',
      '!',
      '|',
      '>',
      '"',
      "'",
      '?',
      '<<',
      '\t',
      '#',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        const text = parts.join('');
        formatProblems(parse(text).problems, { text });
      }),
      { numRuns: 300 },
    );
  });
});

test('a driver that fails is a problem, not a crash', () => {
  const broken = new Map(fakeDrivers);
  const base = fakeDrivers.get('fakeedge')!;
  broken.set('fakeedge', {
    ...base,
    capabilities: () => {
      throw new Error('cannot say');
    },
  });
  const { problems } = parseTopology(BASE, { path: 'x', drivers: broken });
  expect(problems.map(({ code }) => code)).toContain('driver_failed');
});

test('topology knows drivers by type only, so that any layer may read it', () => {
  for (const file of ['parse', 'components', 'checks', 'json-schema', 'schema', 'load']) {
    const text = readFileSync(new URL(`../../topology/${file}.ts`, import.meta.url), 'utf8');
    for (const line of text.split('\n').filter((each) => each.includes("from '../")))
      expect(line).toMatch(/^import type/);
  }
});

test('the time grows with the file, not with its square', () => {
  const big = (count: number) => {
    const names = Array.from({ length: count }, (_, i) => i);
    return `version: 1
regions: {eu-west: , eu-central: }
components:
${names.map((i) => `  db-${i}: {type: fakedb, password: "\${env:P}", sides: {eu-west: {host: a}, eu-central: {host: b}}}`).join('\n')}
  ready: {type: fakecheck}
services:
${names.map((i) => `  s-${i}: {owner: o, home: eu-west, standby: eu-central, components: [db-${i}], checks: [ready]${i > 0 ? `, dependsOn: [s-${i - 1}]` : ''}}`).join('\n')}
`;
  };
  const { topology } = parse(big(1_000));
  expect(Object.keys(topology!.services)).toHaveLength(1_000);
});
