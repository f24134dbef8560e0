/** What the command line says of itself, of wrong arguments and of a wrong topology: exact texts and exit codes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { built } from '../../lab/paths.ts';
import { rampart } from './terminal.ts';

const VERBS = [
  'status', 'history', 'report', 'plan', 'start', 'reprotect', 'release', 'approve', 'reject', 'pause', 'resume',
  'retry', 'skip', 'abort', 'escalate', 'withdraw', 'note', 'escape', 'doctor', 'local-guard', 'guard', 'drills', 'refence', 'init', 'validate', 'schema',
  'worker', 'lab',
]; // biome-ignore format: a list

const TOPOLOGY = `version: 1
regions: { eu-west: {}, eu-central: {} }
components:
  app:
    type: http-contract
    sides:
      eu-west: { url: 'http://127.0.0.1:1/rampart' }
      eu-central: { url: 'http://127.0.0.1:2/rampart' }
  edge:
    type: traefik
    kind: weighted
    file: /tmp/rampart-test-edge.yml
    api: http://127.0.0.1:3
    service: checkout
    entryPoint: web
    sides:
      eu-west: { url: 'http://127.0.0.1:1' }
      eu-central: { url: 'http://127.0.0.1:2' }
services:
  checkout:
    owner: shop
    tier: critical
    home: eu-west
    standby: [eu-central]
    components: [app, edge]
    ramp: { steps: [50, 100], bake: 1s }
`;

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'rampart-usage-'));
  writeFileSync(join(cwd, 'rampart.yaml'), TOPOLOGY);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

describe('local-guard', () => {
  const node = (name: string, place: string) =>
    `{ name: ${name}, place: ${place}, host: 127.0.0.1, dataDir: /var/lib/postgresql/18/main }`;
  const topology = `${TOPOLOGY.replace('components: [app, edge]', 'components: [db, app, edge]')}`.replace(
    'components:\n',
    `components:
  db:
    type: postgres
    database: app
    user: rampart
    sides:
      eu-west: { nodes: [${node('w1', 'one')}, ${node('w2', 'two')}] }
      eu-central: { host: 127.0.0.1, port: 1, dataDir: /var/lib/postgresql/18/main }
`,
  );
  const ask = (...more: string[]) => {
    writeFileSync(join(cwd, 'two.yaml'), topology);
    return rampart(['local-guard', '--config', 'two.yaml', '--region', 'eu-west', ...more], { cwd });
  };

  test('does not judge a node of another machine by the directory of this one', async () => {
    const both = await ask();
    expect(both.err).toContain('beside different workers, so perhaps on different machines: w1 of db, w2 of db');
    expect(both.err).toContain('rampart local-guard --region eu-west --place one');
    expect(both.code).toBe(2);
    expect((await ask('--data-dir', '/var/lib/postgresql/18/main')).code).toBe(2);
    // It goes on to the directory, which is not there.
    for (const which of [
      ['--place', 'two'],
      ['--node', 'w2'],
    ])
      expect(await ask(...which)).toMatchObject({ code: 1 });
  });

  test('names what the topology has when nothing fits', async () => {
    const none = await ask('--data-dir', '/data');
    expect(none.err).toContain(
      'no PostgreSQL node in eu-west is /data; the topology has w1 of db in /var/lib/postgresql/18/main',
    );
    expect(none.code).toBe(2);
  });
});

describe('help', () => {
  test('lists every verb and the exit codes', async () => {
    const { code, out } = await rampart(['--help']);
    expect(code).toBe(0);
    for (const verb of VERBS) expect(out).toMatch(new RegExp(`^  ${verb}\\b`, 'm'));
    expect(out).toContain('Exit codes: 0 done, 1 failed or blocked, 2 bad input, 3 waiting for people or timed out.');
  });

  test.each(VERBS)('of %s says what it takes', async (verb) => {
    const { code, out } = await rampart([verb, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: rampart ${verb}`);
  });

  test('alone is bad input, with the help', async () => {
    const { code, err } = await rampart([]);
    expect(code).toBe(2);
    expect(err).toContain('Usage: rampart');
  });

  test('the built program starts, and loads no verb for its help', () => {
    const ran = spawnSync(process.execPath, [built('clients/cli/main.js'), '--version'], { encoding: 'utf8' });
    expect({ status: ran.status, out: ran.stdout, err: ran.stderr }).toEqual({ status: 0, out: '0.1.0\n', err: '' });
  });
});

describe('wrong arguments', () => {
  test.each([
    [['stauts'], "rampart: unknown command 'stauts'\n  Did you mean status?\n"],
    [['status', '--wacth'], "rampart: unknown option '--wacth'\n  Did you mean --watch?\n"],
    [['approve'], "rampart: missing required argument 'service'\n"],
    [
      ['start', 'failovr', '--service', 'checkout'],
      'rampart: there is no action "failovr"; did you mean "failover"?\n',
    ],
    [
      ['start', 'failover'],
      'rampart: --service must name the service\n  rampart start failover --service checkout --to eu-central\n',
    ],
    [
      ['start', 'failover', 'chekout', '--to', 'eu-central'],
      'rampart: rampart.yaml has no service "chekout"; did you mean "checkout"?\n',
    ],
    [
      ['start', 'failover', '--service', 'checkout', '--to', 'eu-centrl'],
      'rampart: --to eu-centrl: checkout is not in that region; did you mean "eu-central"?\n',
    ],
    [
      ['plan', 'failover', 'checkout', '--to', 'eu-central', '--mode', 'fast'],
      'rampart: --mode fast: there are planned (zero loss) and unplanned (the source is dead or dying)\n',
    ],
    [
      ['plan', 'failover', 'checkout', '--to', 'eu-central', '--percent', '20'],
      'rampart: --percent belongs to ramp: how much of the traffic shall have moved\n',
    ],
    [['plan', 'ramp', 'checkout', '--percent', '200'], 'rampart: --percent 200: a whole number from 0 to 100\n'],
    [
      ['plan', 'ramp', 'checkout', '--steps', '50,10'],
      'rampart: --steps 50,10: whole numbers that rise, up to 100, such as 10,25,50,100\n',
    ],
    [['start', 'failover', 'a', '--service', 'b'], 'rampart: the service is named twice: a and b\n'],
    [['approve', 'checkout', '--max-loss', '30'], 'rampart: --max-loss 30: a duration such as 30s or 2m\n'],
    [
      ['skip', 'checkout', 'drain:app@eu-west'],
      "rampart: --reason must say why it is safe to skip\n  rampart skip checkout drain:app@eu-west --reason 'its host is gone'\n",
    ],
    [['status', '--timeout', 'soon'], 'rampart: --timeout soon: a duration such as 90s, 10m or 1h\n'],
    [['report', 'checkout', '--format', 'pdf'], 'rampart: --format pdf: there are json, md, html and junit\n'],
    [
      ['worker', '--place', 'db1'],
      'rampart: --place needs --region: a place is a part of a region\n  rampart worker --region <region> --place <place>\n',
    ],
    [
      ['init', '10.0.0.5'],
      'rampart: give the addresses of two databases, each with the name of its region\n  rampart init eu-west=10.0.0.5:5432 eu-central=10.1.0.5:5432\n',
    ],
    [
      ['release', 'checkout', '--waive'],
      'rampart: --waive needs --reason: why the old data may go although the debt is not paid\n',
    ],
  ])('%j', async (argv, text) => {
    const { code, out, err } = await rampart(argv, { cwd });
    expect(err).toBe(text);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  test('with --json the error is a document as well', async () => {
    const { code, json } = await rampart(['plan', 'failover', 'chekout', '--json'], { cwd });
    expect(code).toBe(2);
    expect(json()).toEqual({
      error: { code: 'badInput', message: 'rampart.yaml has no service "chekout"; did you mean "checkout"?', next: [] },
    });
  });
});

describe('validate', () => {
  const broken = TOPOLOGY.replace('home: eu-west', 'home: eu-wset').replace('owner: shop', 'ownr: shop');
  const write = (text: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'rampart-validate-'));
    writeFileSync(join(folder, 'rampart.yaml'), text);
    return folder;
  };

  test('a valid file', async () => {
    const { code, out } = await rampart(['validate'], { cwd });
    expect(out).toMatch(/rampart\.yaml: valid: 1 service, 2 components, 2 regions\n$/);
    expect(code).toBe(0);
  });

  test('every error at once, one line each in a log', async () => {
    const folder = write(broken);
    const { code, out } = await rampart(['validate'], { cwd: folder });
    const lines = out.trimEnd().split('\n');
    expect(lines.filter((line) => /^rampart\.yaml:\d+:\d+: (error|warning): /.test(line))).toHaveLength(
      lines.length - 1,
    );
    expect(out).toContain('did you mean "owner"?');
    expect(out).toContain('did you mean "eu-west"?');
    expect(lines.at(-1)).toMatch(/^rampart\.yaml: \d+ errors$/);
    expect(code).toBe(2);
    rmSync(folder, { recursive: true });
  });

  test('a caret under the place on a terminal', async () => {
    const folder = write(broken);
    const { out } = await rampart(['validate', '--no-color'], { cwd: folder, tty: true });
    expect(out).toMatch(/\| {5}home: eu-wset\n +\| +\^~{6}\n/);
    rmSync(folder, { recursive: true });
  });

  test('for programs', async () => {
    const folder = write(broken);
    const { code, json } = await rampart(['validate', '--json'], { cwd: folder });
    const answer = json<{ valid: boolean; digest: null; problems: object[] }>();
    expect(Object.keys(answer).sort()).toEqual(['digest', 'path', 'problems', 'valid']);
    expect(answer.valid).toBe(false);
    expect(Object.keys(answer.problems[0]!).sort()).toEqual(
      ['code', 'column', 'field', 'length', 'line', 'message', 'path', 'severity'].sort(),
    );
    expect(code).toBe(2);
    rmSync(folder, { recursive: true });
  });

  test('as annotations of a pull request', async () => {
    const folder = write(broken);
    const { out } = await rampart(['validate', '--format', 'github'], { cwd: folder });
    expect(out).toMatch(/^::error file=rampart\.yaml,line=\d+,col=\d+,endColumn=\d+,title=\w+::services\.checkout/m);
    rmSync(folder, { recursive: true });
  });

  test('no file says how to get one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rampart-validate-'));
    const { code, out } = await rampart(['validate'], { cwd: folder });
    expect(out).toBe(
      'rampart.yaml:1:1: error: there is no such file; `rampart init` writes a first topology, --config or RAMPART_CONFIG names another place [no_file]\nrampart.yaml: 1 error\n',
    );
    expect(code).toBe(2);
    rmSync(folder, { recursive: true });
  });
});

test('schema prints what accepts a valid file', async () => {
  const { code, out } = await rampart(['schema']);
  expect(code).toBe(0);
  const check = new Ajv({ strict: false }).compile(JSON.parse(out));
  expect(check(parse(TOPOLOGY)), JSON.stringify(check.errors)).toBe(true);
});

describe('colours', () => {
  const ESC = '\u001b[';
  const broken = { env: { RAMPART_CONFIG: '/nonexistent/rampart.yaml' } };
  test.each([
    [{ ...broken, tty: true }, [], true],
    [{ ...broken, tty: false }, [], false],
    [{ ...broken, tty: true }, ['--no-color'], false],
    [{ env: { ...broken.env, NO_COLOR: '1' }, tty: true }, [], false],
  ])('%j %j', async (options, flags, colored) => {
    for (const argv of [
      ['validate', ...flags],
      [...flags, 'validate'],
    ]) {
      expect((await rampart(argv, options)).out.includes(ESC)).toBe(colored);
    }
  });
});
