import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sqlCheck } from '../../../drivers/checks/sql.ts';
import { installPart } from '../../../lab/parts/install.ts';
import { postgresHome } from '../../../lab/paths.ts';
import { freePorts } from '../../../lab/ports.ts';
import { createPrimary, LAB_PASSWORDS, type PostgresNode, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { freezePostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { checkComponent, describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const REGION = 'eu-west';
const PASSWORD = '${env:ORDERS_PASSWORD}';
const URL_REF = '${file:/run/orders-url}';
const secrets: Record<string, string> = { [PASSWORD]: LAB_PASSWORDS.app };

let node: PostgresNode;
let folder: string;
/** Takes connections and says nothing, as a host that has hung. */
let mute: Server;
let mutePort: number;

async function start(): Promise<void> {
  const { bin } = await installPart('postgres');
  const [port, silentPort] = (await freePorts(2)) as [number, number];
  folder = mkdtempSync(join(postgresHome(), 'check-'));
  // PostgreSQL runs as another user when the tests run as root.
  chmodSync(folder, 0o755);
  node = await createPrimary({ dir: join(folder, 'a'), port, bin });
  await withClient(urlOf({ port }, 'app'), async (client) => {
    await client.query("CREATE TABLE jobs (state text); INSERT INTO jobs VALUES ('stuck'), ('done'), ('done')");
  });
  secrets[URL_REF] = urlOf({ port }, 'app');
  mute = createServer((socket) => socket.on('error', () => undefined));
  mutePort = silentPort;
  await new Promise<void>((resolve) => {
    mute.listen(mutePort, '127.0.0.1', resolve);
  });
}

async function stop(): Promise<void> {
  mute.close();
  await stopPostgres(node.data, 'immediate');
  rmSync(folder, { recursive: true });
}

const ask = (query: string, expected: object, where: object = {}, config: object = {}) => {
  const access = { user: 'app', password: PASSWORD, database: 'app', timeout: '500ms' };
  const nodes = [{ host: '127.0.0.1', port: node.port, ...where }];
  return checkComponent(sqlCheck, { query, expect: expected, ...access, ...config }, { [REGION]: nodes });
};
const run = (...args: Parameters<typeof ask>) => sqlCheck.open(ask(...args), driverContext({ secrets })).run(REGION);

let running: Promise<void> | undefined;
const STUCK = "SELECT count(*) FROM jobs WHERE state = 'stuck'";

describeCheck('sql', async () => {
  running ??= start();
  await running;
  return {
    driver: sqlCheck,
    region: REGION,
    secrets,
    good: ask(STUCK, { max: 1 }),
    bad: ask(STUCK, { max: 0 }),
    nobody: ask(STUCK, { max: 1 }, { port: 1 }),
    silent: ask(STUCK, { max: 1 }, { port: mutePort }),
    empty: ask('SELECT NULL::int', { max: 1 }),
    refused: { component: ask(STUCK, { max: 1 }), secrets: { [PASSWORD]: 'wrong-but-secret' } },
    close: async () => undefined,
  };
});

describe('sql check', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    running ??= start();
    await running;
  }, 120_000);
  afterAll(stop);

  test.each([
    [STUCK, { equals: 1 }, 'pass', 'value = 1'],
    ['SELECT 1.50::numeric', { min: 1.5 }, 'pass', 'value = 1.5'],
    ['SELECT true', { equals: true }, 'pass', 'value = true'],
    ["SELECT 'on'", { equals: 'off' }, 'fail', 'value = "on"'],
    ["SELECT 1 FROM jobs WHERE state = 'lost'", { equals: 1 }, 'fail', 'no row'],
    ['SELECT FROM jobs', { equals: 1 }, 'unknown', 'no value'],
    ['SELEC 1', { equals: 1 }, 'unknown', 'no answer'],
    ['SELECT pg_sleep(30)', { equals: 1 }, 'unknown', 'no answer'],
  ])('%s against %j: %s', async (query, expected, outcome, observed) => {
    expect(await run(query, expected)).toMatchObject({ outcome, observed: expect.stringContaining(observed) });
  });

  test('it cannot write, not even by leaving its transaction', async () => {
    for (const query of [
      'DELETE FROM jobs RETURNING 1',
      'COMMIT; DELETE FROM jobs',
      'COMMIT; BEGIN; DELETE FROM jobs',
    ]) {
      expect(await run(query, { equals: 1 })).toMatchObject({ outcome: 'unknown' });
    }
    expect(await run('SELECT count(*) FROM jobs', { equals: 3 })).toMatchObject({ outcome: 'pass' });
  });

  test('a whole connection string by reference works, and stays out of the result', async () => {
    const result = await run(STUCK, { max: 1 }, { url: URL_REF });
    expect(result).toMatchObject({ outcome: 'pass' });
    expect(JSON.stringify(result)).not.toContain(LAB_PASSWORDS.app);
  });

  test('a server that hangs in the middle is unknown', async () => {
    freezePostgres(node.data, true);
    try {
      expect(await run(STUCK, { max: 1 })).toMatchObject({ outcome: 'unknown', observed: 'no answer' });
    } finally {
      freezePostgres(node.data, false);
    }
  });

  test('a slow answer fails its latency bound', async () => {
    const result = await run('SELECT 1 FROM pg_sleep(0.05)', { equals: 1 }, {}, { latency: '20ms' });
    expect(result).toMatchObject({ outcome: 'fail', threshold: expect.stringContaining('≤ 20 ms') });
  });
});
