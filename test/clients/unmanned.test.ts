/** A Temporal server without workers and without search attributes: what each verb says then. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { freePorts } from '../../lab/ports.ts';
import { type Ran, rampart } from './terminal.ts';

vi.setConfig({ testTimeout: 180_000 });

const TOPOLOGY = `version: 1
regions: { eu-west: {}, eu-central: {} }
components:
  app:
    type: http-contract
    token: \${env:NO_SUCH_TOKEN}
    sides:
      eu-west: { url: 'http://127.0.0.1:9/rampart' }
      eu-central: { url: 'http://127.0.0.1:9/rampart', place: far }
services:
  checkout:
    owner: shop
    home: eu-west
    standby: [eu-central]
    components: [app]
`;

let cwd: string;
let address: string;
let server: ChildProcess;
const end = (): void => void server?.kill('SIGKILL');

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'rampart-unmanned-'));
  writeFileSync(join(cwd, 'rampart.yaml'), TOPOLOGY);
  const { bin } = await installPart('temporal');
  const [port, uiPort, httpPort] = await freePorts(3);
  address = `127.0.0.1:${port}`;
  const ports = ['--port', String(port), '--ui-port', String(uiPort), '--http-port', String(httpPort)];
  server = spawn(bin, ['server', 'start-dev', '--ip', '127.0.0.1', ...ports, '--log-level', 'error'], {
    stdio: 'ignore',
  });
  process.once('exit', end);
  await untilUp();
});
afterAll(() => {
  end();
  process.off('exit', end);
  rmSync(cwd, { recursive: true, force: true });
});

async function untilUp(): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await sleep(50)) {
    const connection = await Connection.connect({ address, connectTimeout: 1_000 }).catch(() => null);
    const found = await connection?.workflowService.describeNamespace({ namespace: 'default' }).catch(() => null);
    await connection?.close();
    if (found) return;
    if (Date.now() > deadline) throw new Error(`the dev server at ${address} does not answer`);
  }
}

const run = (...argv: string[]): Promise<Ran> =>
  rampart(argv, { cwd, env: { TEMPORAL_ADDRESS: address, RAMPART_BY: 'ada', HOME: cwd } });

test('plan says that nobody can observe, and leaves no workflow behind', async () => {
  const { code, err } = await run('plan', 'failover', 'checkout', '--to', 'eu-central');
  expect(err).toBe(
    'rampart: no worker polls the task queue rampart: nobody can observe\n  Start one: rampart worker\n',
  );
  expect(code).toBe(1);
});

test('start holds the lock and says that it waits for a worker', async () => {
  const { code, out, err } = await run('start', 'failover', 'checkout', '--to', 'eu-central');
  expect(out).toMatch(
    /^failover\/checkout {2}run [0-9a-f-]+\nset RAMPART_UI=<address of the Temporal Web UI> for a link \(run [0-9a-f-]+\)\n$/,
  );
  expect(err).toBe('The run waits: no worker polls the task queue rampart. Start one: rampart worker\n');
  expect(code).toBe(3);
});

test('status says so too, and what may still be done', async () => {
  const { code, out } = await run('status', 'checkout');
  expect(out).toMatch(
    /^checkout: a run is on since .*, and no worker answers for failover\/checkout; start one: rampart worker\n/,
  );
  expect(code).toBe(3);
  const again = await run('start', 'failover', 'checkout', '--to', 'eu-central');
  expect(again.err).toContain('(no worker says where it is; run ');
  expect(again.err).not.toContain('--replace');
});

test('a word nobody takes is not said to be delivered', async () => {
  const abort = await run('abort', 'checkout', '--reason', "it's late", '--json');
  expect(abort.code).toBe(1);
  const { error } = abort.json<{ error: { code: string; next: string[] } }>();
  expect(error.code).toBe('noWorker');
  expect(error.next.at(-1)).toBe(
    `temporal workflow signal -w failover/checkout --name abort -i '{"by":"ada","reason":"it'\\''s late"}'`,
  );
  const approve = await run('approve', 'checkout');
  expect(approve.err).toContain('no worker answers for failover/checkout');
  expect(approve.code).toBe(1);
});

test('doctor names every lack and the command that mends it', async () => {
  const { code, json } = await run('doctor', '--json');
  const { checks, healthy } = json<{
    healthy: boolean;
    checks: Array<{ code: string; level: string; subject: string; message: string; remedy: string[] }>;
  }>();
  const of = (name: string) => checks.filter((check) => check.code === name);
  expect(of('searchAttributes')).toMatchObject([
    {
      level: 'warning',
      remedy: [
        `temporal operator search-attribute create --address ${address} --namespace default --name RampartService --type Keyword --name RampartPhase --type Keyword --name RampartAction --type Keyword --name RampartMode --type Keyword --name RampartFrom --type Keyword --name RampartTo --type Keyword --name RampartTrafficPercent --type Int --name RampartAwaiting --type KeywordList`,
        'A control worker with the right registers them by itself at its start.',
      ],
    },
  ]);
  expect(of('noWorker').map(({ subject, remedy }) => [subject, ...remedy])).toEqual([
    ['task queue rampart', 'Start one: rampart worker'],
    ['task queue rampart.eu-central.far', 'Start one: rampart worker --region eu-central --place far'],
    ['task queue rampart-guard', 'Start one: rampart worker'],
  ]);
  expect(of('secret')).toMatchObject([
    { level: 'warning', message: 'the environment variable NO_SUCH_TOKEN is not set on this machine' },
  ]);
  expect(of('workloadReachable').every(({ level }) => level === 'error')).toBe(true);
  expect(of('webUi')).toMatchObject([{ level: 'info' }]);
  expect(healthy).toBe(false);
  expect(code).toBe(1);
});

test('the page by hand says first what a running guard does, and what stops it; none of that is run as printed', async () => {
  const database = `  orders-db:
    type: postgres
    user: rampart
    password: \${env:NO_SUCH_TOKEN}
    sides:
      eu-west: { host: 127.0.0.1, port: 9 }
      eu-central: { host: 127.0.0.2, port: 9 }
services:`;
  const page = async (policy: string) => {
    const path = join(cwd, `${policy}.yaml`);
    const text = TOPOLOGY.replace('services:', database).replace('[app]', `[app, orders-db]\n    ${policy}`);
    writeFileSync(path, text);
    const { json } = await rampart(['escape', 'checkout', '--to', 'eu-central', '--json'], {
      cwd,
      env: { RAMPART_CONFIG: path, HOME: cwd },
    });
    return json<{ steps: Array<{ title: string; commands: string[] }> }>().steps;
  };
  const [guard, next] = await page('returningPrimary: fence');
  expect(guard!.title).toBe('Know what the guard of checkout does to orders-db in eu-west');
  expect(guard!.commands.every((line) => line.startsWith('#'))).toBe(true);
  expect(guard!.commands.join('\n')).toMatch(
    /fences eu-west by itself.*returningPrimary: notify.*rampart refence checkout/s,
  );
  expect(next!.title).toBe('Make app ready in eu-central');
  expect((await page('returningPrimary: notify'))[0]!.title).toBe('Make app ready in eu-central');
  expect((await page('guard: { enabled: false }'))[0]!.title).toBe('Make app ready in eu-central');
});

test('a namespace that is not there', async () => {
  const { code, err } = await rampart(['status', 'checkout'], {
    cwd,
    env: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'nowhere', HOME: cwd },
  });
  expect(err).toBe(
    'rampart: Temporal has no namespace nowhere\n  Set TEMPORAL_NAMESPACE, or create it: temporal operator namespace create --namespace <name>\n',
  );
  expect(code).toBe(1);
});

test('a profile that is not there', async () => {
  const { code, err } = await rampart(['status', 'checkout'], { cwd, env: { TEMPORAL_PROFILE: 'nope', HOME: cwd } });
  expect(err).toMatch(/^rampart: the connection to Temporal is not configured right: /);
  expect(code).toBe(2);
});

test('a broken topology keeps nobody from stopping a run', async () => {
  writeFileSync(join(cwd, 'broken.yaml'), 'version: 1\nservices: {');
  const { err } = await run('status', 'checkout', '--config', 'broken.yaml');
  expect(err).toBe('rampart: the topology file is not valid (rampart validate); going on without it\n');
  const refused = await run('start', 'failover', 'checkout', '--config', 'broken.yaml');
  expect(refused.err).toMatch(/^rampart: broken\.yaml:2:\d+: error: /);
  expect(refused.code).toBe(2);
});

test('a run whose workflow task fails is not one that no worker answers', async () => {
  const worker = await failEveryTask();
  try {
    const said = /the workflow task of failover\/checkout fails on its workers \(Unable to query .*\): roll them back/;
    const status = await run('status', 'checkout', '--json');
    expect(status.json<{ trouble: string }>().trouble).toMatch(said);
    expect(status.code).toBe(3);
    const shown = await run('status', 'checkout');
    expect(shown.out).toMatch(/temporal workflow show -w failover\/checkout -r \S+ says why/);
    const approve = await run('approve', 'checkout', '--json');
    expect(approve.json()).toMatchObject({ error: { code: 'taskFails', message: expect.stringMatching(said) } });
    expect(approve.code).toBe(1);
    const abort = await run('abort', 'checkout', '--json');
    expect(abort.json<{ error: { next: string[] } }>()).toMatchObject({ error: { code: 'taskFails' } });
    expect(abort.json<{ error: { next: string[] } }>().error.next.at(-1)).toMatch(/^temporal workflow signal /);
    const again = await run('start', 'failover', 'checkout', '--to', 'eu-central');
    expect(again.err).toMatch(/^rampart: checkout is locked: /);
    expect(again.err).toMatch(said);
    for (const { out, err } of [status, shown, approve, abort, again]) expect(out + err).not.toContain('no worker');
  } finally {
    await worker.stop();
  }
});

/** A worker of a build that cannot go on with the run: it is there, and fails its task each time. */
async function failEveryTask(): Promise<{ stop(): Promise<void> }> {
  const connection = await Connection.connect({ address });
  const { workflowService } = connection;
  const of = { namespace: 'default', identity: 'a newer build' };
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  let failed = 0;
  const polling = (async () => {
    while (!stop.signal.aborted) {
      const { taskToken, workflowExecution } = await connection.withAbortSignal(stop.signal, () =>
        connection.withDeadline(Date.now() + 60_000, () =>
          workflowService.pollWorkflowTaskQueue({ ...of, taskQueue: { name: 'rampart' } }),
        ),
      );
      if (taskToken.length === 0) continue;
      const failure = { message: 'Nondeterminism error' };
      await workflowService.respondWorkflowTaskFailed({ ...of, taskToken, cause: 24, failure });
      if (workflowExecution?.workflowId === 'failover/checkout') failed += 1;
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  const stopped = async () => {
    stop.abort();
    await polling.finally(() => connection.close());
  };
  // From the third one on the server itself answers what the run is asked.
  const threeFailed = async () => {
    for (const deadline = Date.now() + 30_000; failed < 3 && Date.now() < deadline; ) await sleep(20);
    if (failed < 3) throw new Error(`only ${failed} tasks were asked for`);
  };
  try {
    await Promise.race([polling, threeFailed()]);
  } catch (error) {
    await stopped();
    throw error;
  }
  return { stop: stopped };
}

test('nobody listens', async () => {
  const [port] = await freePorts(1);
  const { code, err } = await rampart(['abort', 'checkout'], {
    cwd,
    env: { TEMPORAL_ADDRESS: `127.0.0.1:${port}`, HOME: cwd },
  });
  expect(err).toBe(
    [
      `rampart: Temporal does not answer at 127.0.0.1:${port} (from TEMPORAL_ADDRESS, namespace default): nothing listens there`,
      '  Set TEMPORAL_ADDRESS=<host:port>, or choose a profile of temporal.toml with TEMPORAL_PROFILE.',
      '  Without Temporal: rampart escape checkout prints the manual commands.',
      '',
    ].join('\n'),
  );
  expect(code).toBe(1);
});
