/**
 * The command line against a whole world: real Temporal, workers, a PostgreSQL pair, a router. The tests tell one story
 * and run in order.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { WorldReport } from '../../lab/world/running.ts';
import { openWorld, removeWorld, type World } from '../../lab/world.ts';
import { type Ran, rampart, type TerminalOptions } from './terminal.ts';

// A whole world beside other tests on two cores: what takes a second alone may take ten.
vi.setConfig({ testTimeout: 240_000 });

const NAME = `cli-${process.pid}`;
let world: World;
let report: WorldReport;
let env: Record<string, string>;

beforeAll(async () => {
  world = await openWorld({ name: NAME, load: 20, workers: 1, tied: true });
  report = (await world.status()).world;
  env = {
    RAMPART_CONFIG: report.config,
    TEMPORAL_ADDRESS: report.temporal.address,
    TEMPORAL_NAMESPACE: report.temporal.namespace,
    RAMPART_UI: report.temporal.ui!,
    RAMPART_STATE_DIR: join(world.dir, 'state'),
    RAMPART_BY: 'ada',
    HOME: tmpdir(),
    PATH: process.env.PATH!,
  };
}, 180_000);
afterAll(async () => {
  await removeWorld(NAME);
}, 60_000);

const run = (argv: string[], options: TerminalOptions = {}): Promise<Ran> =>
  rampart(argv, { ...options, env: { ...env, ...options.env } });
const keys = (value: unknown): string[] => Object.keys(value as object).sort();

const RUN_KEYS = [
  'action', 'closedAt', 'link', 'outcome', 'runId', 'service', 'startedAt', 'state', 'status', 'statusAt', 'text',
  'trouble', 'workflowId',
]; // biome-ignore format: a list

describe('before any run', () => {
  test('status sees what is, and says who saw it', async () => {
    const { code, json, err } = await run(['status', '--json']);
    const answer = json<{ services: Array<Record<string, unknown>>; temporal: object }>();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(keys(answer)).toEqual(['at', 'services', 'temporal']);
    expect(keys(answer.temporal)).toEqual(['address', 'error', 'namespace', 'ui']);
    expect(keys(answer.services[0])).toEqual(
      [
        ...[
          'active',
          'halted',
          'home',
          'lag',
          'last',
          'lock',
          'observedAt',
          'observedBy',
          'owner',
          'run',
          'service',
          'state',
        ],
        ...['text', 'tier', 'unseen', 'weights'],
      ].sort(),
    );
    expect(answer.services[0]).toMatchObject({
      service: 'checkout',
      active: 'eu-west',
      state: 'steady',
      observedBy: 'here',
      unseen: [],
      weights: { edge: { 'eu-west': 100, 'eu-central': 0 } },
      run: null,
      last: null,
    });
  });

  test('the workers can be asked instead', async () => {
    const { json } = await run(['status', '--json', '--observe', 'workers']);
    expect(json<{ services: object[] }>().services[0]).toMatchObject({ active: 'eu-west', observedBy: 'workers' });
  });

  test('a service that never moved', async () => {
    const { code, out } = await run(['status', 'checkout']);
    expect(out).toMatch(/^checkout: no run yet\nSeen from this machine at /);
    expect(code).toBe(0);
  });

  test('words to no run are refused', async () => {
    const { code, err } = await run(['pause', 'checkout']);
    expect(err).toContain('rampart: no run of checkout is on: there has never been one under failover/checkout');
    expect(code).toBe(1);
  });
});

describe('plan', () => {
  test('shows a plan and how to start exactly it', async () => {
    const shown = await run(['plan', 'failover', 'checkout', '--to', 'eu-central']);
    expect(shown.code).toBe(0);
    expect(shown.out).toContain('Failover of checkout: eu-west → eu-central (planned)');
    expect(shown.out).toContain('point of no return: promote:orders-db');
    const { json } = await run(['plan', 'failover', 'checkout', '--to', 'eu-central', '--json']);
    const { digest } = json<{ digest: string }>();
    expect(shown.out).toContain(
      `Start it: rampart start failover --service checkout --to eu-central --digest ${digest}\n`,
    );
  });

  test('is blocked where the source is healthy and the mode is unplanned', async () => {
    const { code, json } = await run([
      'plan',
      'failover',
      'checkout',
      '--to',
      'eu-central',
      '--mode',
      'unplanned',
      '--json',
    ]);
    expect(json<{ facts: { blockers: Array<{ code: string }> } }>().facts.blockers.map((one) => one.code)).toContain(
      'healthySource',
    );
    expect(code).toBe(1);
  });

  test('says when there is nothing to do', async () => {
    const { code, json } = await run(['plan', 'failback', 'checkout', '--json']);
    expect(json<{ nothingToDo: string }>().nothingToDo).toMatch(/eu-west/);
    expect(code).toBe(0);
  });

  test('leaves nothing behind when interrupted', async () => {
    const signal = AbortSignal.abort();
    const { code, err } = await run(['plan', 'failback', 'checkout'], { signal });
    expect(err).toBe('rampart: interrupted; the plan was cancelled\n');
    expect(code).toBe(130);
  });
});

describe('a move', () => {
  let first: string;

  test('start says where it got to, and links to it', async () => {
    const { code, out } = await run(['start', 'failover', 'checkout', '--to', 'eu-central', '--reason', 'test']);
    expect(code).toBe(0);
    const [head, link] = out.split('\n');
    expect(head).toMatch(/^failover\/checkout {2}run [0-9a-f-]+$/);
    first = head!.split(' run ')[1]!;
    expect(link).toBe(`${report.temporal.ui}/namespaces/default/workflows/failover%2Fcheckout/${first}/history`);
    expect(out).toContain('waits for a decision on cutover.1');
    expect(out).toContain('rampart approve checkout --gate cutover.1');
  });

  test('status says that people are waited for', async () => {
    const { code, out } = await run(['status', 'checkout']);
    expect(out).toContain('Gate cutover.1: ');
    expect(code).toBe(3);
    const { json, code: again } = await run(['status', 'checkout', '--json']);
    expect(keys(json())).toEqual([...RUN_KEYS, 'halted'].sort());
    expect(json()).toMatchObject({ state: 'running', outcome: null, status: { gate: { id: 'cutover.1' } } });
    expect(again).toBe(3);
  });

  test('a second start names the holder and what may be done', async () => {
    const argv = ['start', 'failover', 'checkout', '--to', 'eu-central'];
    const { code, err } = await run(argv);
    expect(err).toContain('rampart: checkout is locked: failover/checkout has been running since ');
    expect(err).toContain('waiting at gate cutover.1');
    expect(err).toContain('rampart start failover --service checkout --to eu-central --replace ');
    expect(code).toBe(1);
    const { json } = await run([...argv, '--json']);
    const { error } = json<{ error: { code: string; holder: object } }>();
    expect(error).toMatchObject({ code: 'locked', holder: { runId: first, gate: 'cutover.1', action: 'failover' } });
  });

  test('--replace withdraws a run that has done nothing', async () => {
    const { code, json, err } = await run([
      'start',
      'failover',
      'checkout',
      '--to',
      'eu-central',
      '--replace',
      '--json',
    ]);
    expect({ code, err }).toEqual({ code: 0, err: `Withdrew run ${first}.\n` });
    expect(json()).toMatchObject({ state: 'running', service: 'checkout' });
    expect(json<{ runId: string }>().runId).not.toBe(first);
  });

  test('a decision for another gate is not sent', async () => {
    const { code, err } = await run(['approve', 'checkout', '--gate', 'promote.1']);
    expect(err).toBe('rampart: the open gate is cutover.1, not promote.1\n  rampart status checkout shows its facts\n');
    expect(code).toBe(1);
  });

  test("the run's own refusal is shown as it is", async () => {
    const { code, err } = await run(['skip', 'checkout', 'promote:orders-db', '--reason', 'why not']);
    expect(err).toBe(
      'rampart: promote:orders-db can never be skipped: promote is what keeps the data safe; retry, abort or escalate\n',
    );
    expect(code).toBe(1);
  });

  test('a person sees the facts and may still say no', async () => {
    const { code, out, err } = await run(['approve', 'checkout'], { tty: true, answers: ['n'] });
    expect(out).toContain('No acknowledged write is missing.');
    expect(err).toBe('Approve gate cutover.1 of checkout as ada? [y/N] Not approved; nothing was sent.\n');
    expect(code).toBe(1);
  });

  test('a word by the name of another service of the group says whose run it is', async () => {
    const grouped = join(world.dir, 'grouped.yaml');
    const service = (name: string) =>
      `  ${name}:\n    group: checkout\n    tier: critical\n    owner: lab\n    home: eu-west\n    standby: [eu-central]\n`;
    const text = readFileSync(report.config, 'utf8');
    expect(text).toContain('services:\n  checkout:\n');
    writeFileSync(
      grouped,
      text
        .replace('services:\n', `services:\n${service('billing')}    components: [app]\n`)
        .replace('  checkout:\n', '  checkout:\n    group: checkout\n'),
    );
    const billing = (argv: string[], options: TerminalOptions = {}) =>
      run(argv, { ...options, env: { RAMPART_CONFIG: grouped } });
    const approve = await billing(['approve', 'billing'], { tty: true, answers: ['n'] });
    expect(approve.err).toContain('Approve gate cutover.1 of checkout (one group with billing) as ada? [y/N] ');
    const noted = await billing(['note', 'billing', '--reason', 'INC-4711', '--json']);
    expect(noted.json()).toMatchObject({ service: 'billing', runOf: 'checkout', applied: true });
    const told = await billing(['note', 'billing', '--reason', 'INC-4711']);
    expect(told.out).toMatch(/^checkout \(one group with billing\): /);
    const byLock = await run(['note', 'failover/checkout', '--reason', 'INC-4711']);
    expect(byLock.out).toMatch(/^checkout: /);
  });

  test('watching sees it to its end, line by line', async () => {
    let approved: Promise<Ran> | undefined;
    const { code, out } = await run(['status', 'checkout', '-w'], {
      // The gate is shown first, then somebody approves.
      onOut: (text) => {
        if (text.includes('rampart approve'))
          approved ??= run(['approve', 'checkout', '--gate', 'cutover.1', '--json']);
      },
    });
    expect((await approved!).json()).toMatchObject({
      applied: true,
      gate: 'cutover.1',
      by: 'ada',
      verb: 'approve',
      runOf: 'checkout',
    });
    expect(out).not.toContain('\u001b');
    expect(out).toContain('approve by ada');
    expect(out).toContain('traffic edge: eu-west 0 %, eu-central 100 %');
    expect(out).toMatch(/completed {2}.*took/);
    const times = [...out.matchAll(/^(\d\d:\d\d:\d\d)Z /gm)].map(([, time]) => time!);
    expect(times.length).toBeGreaterThan(8);
    expect(code).toBe(0);
  });

  test('status of what is over', async () => {
    const { code, json } = await run(['status', 'checkout', '--json']);
    expect(json()).toMatchObject({ state: 'closed', outcome: 'completed', status: null });
    expect(code).toBe(0);
    const all = await run(['status']);
    expect(all.out).toMatch(/checkout {2}critical {2}eu-central \(not home\) .*last: failover completed/);
    expect(all.code).toBe(0);
  });

  test('words to a run that is over', async () => {
    const { code, err } = await run(['abort', 'checkout']);
    expect(err).toMatch(/^rampart: no run of checkout is on: the last one ended .*\n {2}rampart report checkout\n$/);
    expect(code).toBe(1);
  });

  test('history has both runs', async () => {
    const { code, json } = await run(['history', 'checkout', '--json']);
    const { runs } = json<{ runs: Array<Record<string, unknown>> }>();
    expect(runs.map(({ outcome }) => outcome)).toEqual(['completed', 'withdrawn']);
    expect(keys(runs[0])).toEqual(
      [
        ...['action', 'by', 'closedAt', 'from', 'link', 'mode', 'outcome', 'report', 'rpaMs', 'rtaMs', 'runId'],
        ...['startedAt', 'state', 'text', 'to', 'verdict', 'workflowId'],
      ].sort(),
    );
    expect(runs[0]).toMatchObject({
      action: 'failover',
      mode: 'planned',
      from: 'eu-west',
      to: 'eu-central',
      by: 'ada',
    });
    expect(code).toBe(0);
  });

  test('report in every format', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rampart-report-'));
    expect((await run(['report'])).out).toContain('# Failover of checkout, eu-west → eu-central');
    expect((await run(['report', 'checkout', '--json'])).json()).toBeTypeOf('object');
    expect((await run(['report', 'checkout', '--format', 'junit'])).out).toMatch(/^<\?xml /);
    const past = await run(['report', 'failover/checkout', '--run', first, '--out', 'past.html'], { cwd: folder });
    expect(past.out).toBe(`Wrote ${join(folder, 'past.html')}\n`);
    expect(readFileSync(join(folder, 'past.html'), 'utf8')).toContain('withdrawn');
    rmSync(folder, { recursive: true });
    const none = await run(['report', 'checkout', '--run', '00000000-0000-4000-8000-000000000000']);
    expect(none.code).toBe(1);
    expect(none.err).toContain('there is no run of checkout with run ID 00000000-');
  });

  test('reports are filed once, and stay as they were filed', async () => {
    // The workers of this world file by themselves: what they have not come to yet is filed here.
    const filed = await run(['report', 'file', '--json']);
    expect(filed.json()).toMatchObject({ left: [] });
    expect(filed.code).toBe(0);
    expect((await run(['report', 'file', 'checkout'])).out).toMatch(/^Nothing to file in /);
    expect((await run(['report', 'verify'])).out).toMatch(/^checkout {2}as filed {2}2 reports, not signed\n/);
    const { json } = await run(['history', '--json']);
    expect(json()).toMatchObject({
      services: [{ service: 'checkout', runs: 2, lastProven: { daysAgo: 0, mode: 'planned', to: 'eu-central' } }],
      trouble: null,
    });
    expect((await run(['history', 'checkout', '--json'])).json()).toMatchObject({
      runs: [{ report: 2 }, { report: 1 }],
    });
    expect((await run(['report', 'checkout', '--exit-code'])).code).toBe(0);
  });
});

describe('a rejected move', () => {
  test('is watched live on a terminal, and fails', async () => {
    let rejected: Promise<Ran> | undefined;
    const { code, out } = await run(['start', 'failback', 'checkout', '--wait'], {
      tty: true,
      onOut: (text) => {
        if (text.includes('Gate cutover.1')) {
          rejected ??= run(['reject', 'checkout', '--comment', 'not today', '--by', 'bob']);
        }
      },
    });
    expect((await rejected!).out).toContain('checkout: gate cutover.1: reject by bob\n');
    expect(out).toContain('\u001b[?25l');
    expect(out.trimEnd().split('\n').join(' ')).toContain('rejected by bob: not today');
    expect(out.lastIndexOf('\u001b[?25h')).toBeGreaterThan(out.lastIndexOf('\u001b[?25l'));
    expect(code).toBe(1);
  });

  test('that nobody decides ends the watch, not the run', async () => {
    const waited = await run(['start', 'failback', 'checkout', '--wait', '--timeout', '3s', '--json']);
    expect(waited.code).toBe(3);
    const last = waited.lines().at(-1)!;
    expect(keys(last)).toEqual(RUN_KEYS);
    expect(last).toMatchObject({ state: 'running', action: 'failback' });
    expect((await run(['withdraw', 'checkout', '--json'])).json()).toMatchObject({ verb: 'withdraw', applied: true });
    const ended = await run(['status', 'checkout', '-w', '--timeout', '60s', '--json']);
    expect(ended.lines().at(-1)).toMatchObject({ state: 'closed', outcome: 'withdrawn' });
    expect(ended.code).toBe(1);
  });
});

test('release lets go of what a rebuild kept, under the same lock', async () => {
  const { code, json } = await run(['release', 'checkout', '--json']);
  expect(keys(json())).toEqual(['link', 'outcome', 'released', 'runId', 'service', 'text', 'workflowId']);
  expect(json()).toMatchObject({ workflowId: 'failover/checkout', released: true, outcome: 'completed' });
  expect(code).toBe(0);
});

test('the watch of all services ends with its time, a line per change', async () => {
  const { code, out } = await run(['status', '-w', '--timeout', '3s']);
  expect(out).toMatch(
    /^\d\d:\d\d:\d\dZ Temporal answers\n\d\d:\d\d:\d\dZ checkout: eu-central \(not home\); eu-central 100 %; last: release completed\n$/,
  );
  expect(code).toBe(0);
});

describe('without help', () => {
  test('doctor finds this world in order', async () => {
    const { code, json, out } = await run(['doctor', '--json']);
    const answer = json<{ healthy: boolean; checks: Array<Record<string, unknown>> }>();
    expect(keys(answer)).toEqual(['checks', 'errors', 'healthy', 'warnings']);
    expect(keys(answer.checks[0])).toEqual(['area', 'code', 'level', 'message', 'remedy', 'subject']);
    expect(
      answer.checks.filter(({ level }) => level === 'error'),
      out,
    ).toEqual([]);
    const of = (code: string) => answer.checks.filter((one) => one.code === code);
    expect(of('oneWorker').map(({ subject }) => subject)).toEqual([
      'task queue rampart',
      'task queue rampart.eu-west',
      'task queue rampart.eu-central',
    ]);
    expect(of('searchAttributes')[0]).toMatchObject({ level: 'ok' });
    expect(of('grants')[0]).toMatchObject({ level: 'ok' });
    expect(of('clockSkew').length).toBeGreaterThan(1);
    expect(code).toBe(0);
  });

  test('init writes a topology that validates, and never over another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rampart-init-'));
    const address = (region: string) => `${region}=${report.regions[region]!.database}`;
    const argv = ['init', address('eu-west'), address('eu-central'), '--config', 'first.yaml'];
    const { code, out, err } = await run(argv, { cwd: folder });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/PostgreSQL [\d.]+, replica, follows 127\.0\.0\.1:\d+/);
    const text = readFileSync(join(folder, 'first.yaml'), 'utf8');
    expect(text).toContain('home: eu-central');
    expect(text).not.toContain('rampart-lab');
    expect((await run(['validate', '--config', 'first.yaml'], { cwd: folder })).code).toBe(0);
    const again = await run(argv, { cwd: folder });
    expect(again.err).toBe(`rampart: ${join(folder, 'first.yaml')} is there already; --force writes over it\n`);
    expect(again.code).toBe(2);
    expect((await run([...argv, '--force'], { cwd: folder })).code).toBe(0);
    rmSync(folder, { recursive: true });
  });

  test('local-guard lets a database start that nobody has taken over from', async () => {
    const allowed = await run(['local-guard', '--region', 'eu-central', '--json']);
    expect(allowed.json()).toMatchObject({ allowed: true, guarded: [{ component: 'orders-db', unseen: [] }] });
    expect(allowed.code).toBe(0);
    // As if the active side were a peer of itself: a peer that takes writes forbids the start.
    const { database, dataDir } = report.regions['eu-central']!;
    const { host, username, password } = new URL(database);
    const argv = ['local-guard', '--data-dir', dataDir, '--peer', host, '--user', username];
    const refused = await run(argv, { env: { PGPASSWORD: password } });
    expect(refused.out).toContain('refused: ');
    expect(refused.code).toBe(1);
  });

  test('without Temporal, status and escape still see the world', async () => {
    await world.kill({ what: 'temporal' });
    const status = await run(['status', '--json']);
    const answer = status.json<{ services: object[]; temporal: { error: string } }>();
    expect(answer.services[0]).toMatchObject({ active: 'eu-central', run: null, last: null });
    expect(answer.temporal.error).toContain(`Temporal does not answer at ${report.temporal.address}`);
    expect(status.code).toBe(1);

    const away = await run(['status', 'checkout', '--json']);
    expect(away.json()).toMatchObject({ error: { code: 'temporalAway' } });
    expect(away.err).toContain('rampart escape checkout');

    const { code, out, json } = await run(['escape', 'checkout', '--json']);
    const page = json<{
      from: string;
      to: string;
      steps: Array<{ component: string; commands: string[] }>;
      page: { path: string };
    }>();
    expect(page).toMatchObject({ from: 'eu-central', to: 'eu-west', state: 'steady', unseen: [] });
    expect(page.steps.map(({ component }) => component)).toEqual([
      'app',
      'orders-db',
      'writer',
      'edge',
      // The app of the old side is left as standby, once before and once after its database follows.
      'app',
      'app',
      'orders-db',
    ]);
    expect(page.steps[1]!.commands.join('\n')).toContain('pg_promote');
    expect(existsSync(page.page.path), out).toBe(true);
    expect(code).toBe(0);
    const text = await run(['escape', 'checkout']);
    expect(text.out).toContain('Step 2: Move orders-db from eu-central to eu-west');
    expect(text.out).toContain('what stands above is newer.');
    const blind = await run(['escape', 'checkout'], { env: { RAMPART_CONFIG: '' }, cwd: tmpdir() });
    expect(blind.out).toContain('# checkout: by hand');
  });
});
