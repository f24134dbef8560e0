/**
 * A fenced primary is started in every way that a person or an init system has. What comes up must be read-only, or
 * not come up at all; what no file can prevent is listed here as well, and must at least show at once.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { FenceReceipt } from '../../../drivers/ports.ts';
import { postgresIdentity } from '../../../lab/paths.ts';
import { freePort } from '../../../lab/ports.ts';
import { LAB_DATABASE, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { killPostgres, readPostmaster, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { LIMIT, type Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 60_000 });

const WAIT = { timeout: 15_000, interval: 10 };
let pair: Pair;
let run: Run;
let proof: FenceReceipt;
let frozen: string;

const dataOf = (node: string): string => pair.nodes[node]!.data;
const bin = (tool: string): string => join(pair.nodes[A]!.bin, tool);
const log = (): string => join(pair.dir, 'started-by-hand.log');
const identity = (): { uid?: number; gid?: number } => postgresIdentity() ?? {};
const stripped = { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH, LC_ALL: 'C' };

/** Runs a tool as the database's user, to its end. */
function tool(name: string, args: string[], input = ''): { code: number | null; output: string } {
  const options = { ...identity(), env: stripped, cwd: '/', input, encoding: 'utf8' as const, timeout: 20_000 };
  const { status, stdout, stderr } = spawnSync(bin(name), args, options);
  return { code: status, output: `${stdout}${stderr}` };
}

const pgCtl = (...args: string[]) => tool('pg_ctl', ['-D', dataOf(A), '-w', '-t', '15', '-l', log(), ...args]);

/** Starts `postgres` itself, in the background. */
function postgres(...args: string[]): ChildProcess {
  const child = spawn(bin('postgres'), args, {
    ...identity(),
    env: stripped,
    cwd: '/',
    detached: true,
    stdio: 'ignore',
  });
  child.unref();
  return child;
}

const up = () => expect.poll(() => readPostmaster(dataOf(A))?.status, WAIT).toMatch(/ready|standby/);

/** A folder for the database's user. */
function folder(name: string): string {
  const path = join(pair.dir, name);
  mkdirSync(path, { mode: 0o700 });
  const owner = postgresIdentity();
  if (owner) chownSync(path, owner.uid, owner.gid);
  return path;
}

/** Configuration files away from the data, as Debian has them. */
function configElsewhere(): string {
  const path = folder(`etc-${process.hrtime.bigint()}`);
  for (const file of ['pg_hba.conf', 'pg_ident.conf']) cpSync(join(dataOf(A), file), join(path, file));
  const conf = join(path, 'postgresql.conf');
  writeFileSync(
    conf,
    `data_directory = '${dataOf(A)}'\ninclude '${dataOf(A)}/postgresql.conf'\nhba_file = '${path}/pg_hba.conf'\nrecovery_target_timeline = 'current'\n`,
  );
  execFileSync('chmod', ['-R', 'a+rX', path]);
  const owner = postgresIdentity();
  if (owner) execFileSync('chown', ['-R', `${owner.uid}:${owner.gid}`, path]);
  return path;
}

/** The server as the fence left it. */
async function reset(): Promise<void> {
  await killPostgres(dataOf(A));
  rmSync(dataOf(A), { recursive: true, force: true });
  execFileSync('cp', ['-a', ...(process.platform === 'linux' ? ['--reflink=auto'] : []), frozen, dataOf(A)]);
}

async function expectReadOnly(): Promise<void> {
  await up();
  await expect(pair.write(A)).rejects.toThrow('read-only');
  // Also for those who say that they want to write, and as a superuser.
  const forced = pair.sql(A, 'BEGIN READ WRITE; INSERT INTO orders DEFAULT VALUES; COMMIT', LAB_DATABASE);
  await expect(forced).rejects.toThrow(/read-write mode during recovery|read-only/);
  const { fence } = await run.at(A).prove({ region: A });
  expect(fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: proof.fence.finalPosition });
  expect(existsSync(join(dataOf(A), 'standby.signal'))).toBe(true);
}

/** It takes writes: no proof holds any more, whoever looks sees it, and the promotion is refused. */
async function expectNoticed(): Promise<void> {
  await expect.poll(() => pair.write(A).then(() => 'written', String), WAIT).toBe('written');
  const { fence } = await run.at(A).prove({ region: A });
  expect(fence.cannotWrite).toBe('none');
  expect(await run.at(null).sample({ region: A })).toMatchObject([{ state: 'writable' }]);
  expect(await run.observe(A)).toMatchObject({ state: 'writable', fence: null });
  const weak = { ...proof, fence };
  const promoted = run.at(B).promote({ region: B }, A, weak, { timeline: 1 });
  // Conflict: the target may have followed it to another timeline.
  await expect(promoted).rejects.toMatchObject({ type: expect.stringMatching('NotFenced|Conflict') });
}

beforeAll(async () => {
  pair = await startPair();
  run = await pair.newRun();
  await pair.write(A);
  await run.at(null).converge(A, B, LIMIT);
  frozen = join(pair.dir, 'as-fenced');
}, 60_000);
afterAll(() => pair?.close());

describe('an init system that starts it again whenever it ends', () => {
  test.each([0, 20])('with %i ms between: fenced all the same, read-only, and it may go back', async (pause) => {
    const script = join(pair.dir, `restart-${pause}.sh`);
    const wait = pause === 0 ? '' : `sleep ${pause / 1000}; `;
    writeFileSync(script, `#!/bin/sh\nwhile :; do ${wait}"$1" -D "$2" >>"$3" 2>&1; done\n`);
    chmodSync(script, 0o755);
    const options = { ...identity(), env: stripped, cwd: '/', detached: true, stdio: 'ignore' as const };
    const loop = spawn(script, [bin('postgres'), dataOf(A), log()], options);
    try {
      const fenced = await run.at(A).fence({ region: A });
      expect(fenced.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: { text: expect.any(String) } });
      expect(fenced.facts.stoppedWrites).toBe(true);
      await up();
      await expect(pair.write(A)).rejects.toThrow('read-only');
      expect((await run.at(A).prove({ region: A })).fence).toMatchObject({
        cannotWrite: 'stopped',
        finalPosition: fenced.fence.finalPosition,
      });
      // The answer of the first may be lost; what this run stopped is told all the same.
      expect(await run.at(A).fence({ region: A })).toMatchObject({ already: true, facts: { stoppedWrites: true } });
      await run.at(A).unfence({ region: A }, { to: B, deadline: null });
      await pair.write(A);
      expect(await run.observe(A)).toMatchObject({ state: 'writable', timeline: 1 });
    } finally {
      process.kill(-loop.pid!, 'SIGSTOP');
      loop.kill('SIGKILL');
      process.kill(-loop.pid!, 'SIGCONT');
    }
  });
});

describe('started after the fence', () => {
  beforeAll(async () => {
    // Stopped, not killed: it may be an orphan of the loop above, and where nobody reaps those a killed one looks alive.
    await stopPostgres(dataOf(A));
    await startPostgres({ data: dataOf(A), bin: pair.nodes[A]!.bin });
    proof = await run.at(A).fence({ region: A });
    expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: { text: expect.any(String) } });
    execFileSync('cp', ['-a', dataOf(A), frozen]);
  }, 60_000);
  afterEach(reset, 30_000);

  describe('it is read-only', () => {
    const ways: Record<string, () => unknown> = {
      'pg_ctl start': () => pgCtl('start'),
      'pg_ctl restart': () => pgCtl('restart'),
      'postgres by its own': () => postgres('-D', dataOf(A)),
      'with options that ask for writes': () =>
        pgCtl('start', '-o', '-c default_transaction_read_only=off -c transaction_read_only=off'),
      'with another primary, another timeline, and no restore command': () =>
        pgCtl('start', '-o', `-c primary_conninfo='' -c recovery_target_timeline=current -c restore_command=`),
      'with its configuration elsewhere': () => postgres('-D', configElsewhere()),
      'with another configuration file': () =>
        postgres('-D', dataOf(A), '-c', `config_file=${join(configElsewhere(), 'postgresql.conf')}`),
      'with a recovery target that ends in a promotion: there is nothing to replay': () =>
        pgCtl('start', '-o', '-c recovery_target=immediate -c recovery_target_action=promote'),
      'after recovery.signal was added': () => {
        writeFileSync(join(dataOf(A), 'recovery.signal'), '');
        return pgCtl('start', '-o', '-c restore_command=false');
      },
      'after a stale "promote" file was left': () => {
        writeFileSync(join(dataOf(A), 'promote'), '');
        return pgCtl('start');
      },
      'after it was killed in that state': async () => {
        // As a child of ours: where nobody reaps orphans, a killed one would go on looking alive.
        await startPostgres({ data: dataOf(A), bin: pair.nodes[A]!.bin });
        await killPostgres(dataOf(A));
        // A backend of the killed server may hold its shared memory for a moment: whoever starts it tries again.
        await expect.poll(() => pgCtl('start').code, WAIT).toBe(0);
      },
      'after postmaster.pid was deleted': () => {
        writeFileSync(join(dataOf(A), 'postmaster.pid'), '1\n');
        rmSync(join(dataOf(A), 'postmaster.pid'));
        return pgCtl('start');
      },
    };
    /** What rests on Rampart's own judgement; the others rest on PostgreSQL's, and run with `RAMPART_TESTS=full`. */
    const always = ['pg_ctl start', 'with its configuration elsewhere', 'after it was killed in that state'];
    const full = process.env.RAMPART_TESTS === 'full';
    test.each(Object.keys(ways).filter((way) => full || always.includes(way)))('%s', async (way) => {
      await ways[way]!();
      await expectReadOnly();
    });
  });

  describe('it does not start', () => {
    test('in single-user mode', async () => {
      const insert = "INSERT INTO orders (at) VALUES ('2001-01-01')\n";
      const { code, output } = tool('postgres', ['--single', '-D', dataOf(A), LAB_DATABASE], insert);
      expect(code).not.toBe(0);
      expect(output).toContain('standby mode is not supported by single-user servers');
      expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('stopped');
    });

    test('a second time beside the running one, although postmaster.pid was deleted', async () => {
      pgCtl('start');
      rmSync(join(dataOf(A), 'postmaster.pid'));
      const second = pgCtl('start', '-o', `-c port=${await freePort()}`);
      expect(second.code).not.toBe(0);
      // Without its file nothing is proven, and the fence finds and ends what still runs.
      expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('none');
      await run.at(A).fence({ region: A });
      expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('stopped');
    });
  });

  describe('no file prevents it, and it shows at once', () => {
    test('somebody promotes it', async () => {
      pgCtl('start');
      expect(pgCtl('promote').code).toBe(0);
      await expectNoticed();
    });

    test('somebody removes standby.signal', async () => {
      rmSync(join(dataOf(A), 'standby.signal'));
      expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('none');
      pgCtl('start');
      await expectNoticed();
    });

    test('a copy from before the fence is started in its place', async () => {
      const copy = join(pair.nodes[A]!.dir, 'copy');
      execFileSync('cp', ['-a', frozen, copy]);
      rmSync(join(copy, 'standby.signal'));
      try {
        postgres('-D', copy);
        await expect
          .poll(
            () => withClient(urlOf(pair.nodes[A]!), async (c) => (await c.query('SELECT 1')).rows.length).catch(String),
            WAIT,
          )
          .toBe(1);
        await pair.write(A);
        const { fence } = await run.at(A).prove({ region: A });
        expect(fence.cannotWrite).toBe('none');
        expect(await run.at(null).sample({ region: A })).toMatchObject([{ state: 'writable' }]);
      } finally {
        await killPostgres(copy);
      }
    });
  });
});
