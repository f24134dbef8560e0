/** A pair whose nodes are reached by SQL only, and one that is fenced by the team's own command. */
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { LAB_DATABASE, LAB_PASSWORDS, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { readPostmaster } from '../../../lab/postgres/server.ts';
import type { Run } from '../../conformance/store/run.ts';
import { LIMIT } from '../../conformance/store/run.ts';
import { A, B, type Pair, type PairOptions, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

let pair: Pair;
afterEach(() => pair?.close());

const start = async (options: PairOptions): Promise<Run> => {
  pair = await startPair(options);
  return pair.newRun();
};
const remote = { nodes: { [A]: { dataDir: null }, [B]: { dataDir: null } } };

test('fence by SQL: nobody gets in, nobody is left, and the way back opens everything again', async () => {
  const run = await start(remote);
  await run.at(null).converge(A, B, LIMIT);
  const open = withClient(urlOf(pair.nodes[A]!, 'app'), async (session) => {
    await session.query("SET application_name = 'open before'");
    await session.query('SELECT pg_sleep(60)');
  }).catch((error: Error) => error.message);
  await expect
    .poll(
      async () => (await pair.sql(A, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'open before'")).length,
    )
    .toBe(1);
  const proof = await run.at(null).fence({ region: A });
  expect(await open).toContain('terminating connection');
  expect(proof).toMatchObject({
    facts: { endedSessions: expect.any(Number), cancelledWaiters: 0 },
    fence: { cannotWrite: 'sessions', durable: true, needsRewind: true },
  });
  await expect(pair.write(A)).rejects.toThrow('not currently accepting connections');
  expect(await run.at(null).sample({ region: A })).toMatchObject([{ state: 'fenced' }]);
  await expect(pair.sql(A, 'SELECT 1', LAB_DATABASE)).rejects.toThrow('not currently accepting connections');
  expect((await run.at(null).fence({ region: A })).already).toBe(true);
  expect(await run.observe(A)).toMatchObject({
    state: 'fenced',
    fence: { strength: 'sessions' },
    claim: { runId: run.id },
    journal: { open: true },
  });
  expect((await run.at(null).prove({ region: A })).fence).toMatchObject({
    cannotWrite: 'sessions',
    finalPosition: proof.fence.finalPosition,
  });

  await run.at(null).unfence({ region: A }, { to: B, deadline: null });
  await pair.write(A);
  expect((await run.at(null).prove({ region: A })).fence.cannotWrite).toBe('none');
  expect((await run.at(null).unfence({ region: A }, { to: B, deadline: null })).already).toBe(true);
  // Opened behind our back, it is no fence any more.
  await run.at(null).fence({ region: A });
  await pair.sql(A, `ALTER DATABASE ${LAB_DATABASE} WITH ALLOW_CONNECTIONS true`);
  expect((await run.at(null).prove({ region: A })).fence.cannotWrite).toBe('none');
});

test('fence by SQL: what was given up while somebody held a lock closes nothing later', async () => {
  const run = await start(remote);
  await run.at(null).converge(A, B, LIMIT);
  const waiting = () =>
    pair.sql(
      A,
      `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%ALLOW_CONNECTIONS false%' AND wait_event_type = 'Lock'`,
    );
  await withClient(urlOf(pair.nodes[A]!, 'rampart'), async (holder) => {
    await holder.query('BEGIN');
    await holder.query(`ALTER DATABASE ${LAB_DATABASE} WITH CONNECTION LIMIT 50`);
    const fenced = run.at(null).fence({ region: A });
    await expect(fenced).rejects.toMatchObject({
      type: 'ProviderUnavailable',
      remedy: expect.stringContaining('pg_locks'),
    });
    expect(await waiting()).toEqual([]);
    await holder.query('ROLLBACK');
  });
  await run.at(null).unfence({ region: A }, { to: B, deadline: null });
  await pair.write(A);
});

test('fence by SQL: the target opens what the catalogue brought along closed, and the old side needs a rewind', async () => {
  const run = await start(remote);
  await pair.write(A);
  await run.at(null).converge(A, B, LIMIT);
  const proof = await run.at(null).fence({ region: A });
  const { catchUp } = await run.at(null).awaitCatchUp(proof, { region: B }, []);
  expect(catchUp).toMatchObject({ complete: true, loss: { kind: 'none' } });
  const promoted = await run.at(null).promote({ region: B }, A, proof, { timeline: 1 });
  expect(promoted.facts.opened).toEqual([LAB_DATABASE]);
  await run.at(null).verifyWritable({ region: B }, A);
  await pair.write(B);
  expect(await pair.rows(B)).toBe(2);
  expect((await run.at(null).promote({ region: B }, A, proof, { timeline: 1 })).already).toBe(true);
  await expect(run.at(null).unfence({ region: A }, { to: B, deadline: null })).rejects.toEqual(
    expect.objectContaining({ type: 'Conflict' }),
  );
  expect((await run.at(null).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  expect(await run.observe(A)).toMatchObject({ state: 'fenced' });
});

test('fence by SQL, by hand: the way back opens all that the commands have closed, and names what was closed before', async () => {
  const run = await start(remote);
  for (const name of ['"side by side"', 'retired']) await pair.sql(A, `CREATE DATABASE ${name}`);
  await pair.sql(A, 'ALTER DATABASE retired WITH ALLOW_CONNECTIONS false');
  const closed = async () =>
    (await pair.sql(A, 'SELECT datname FROM pg_database WHERE NOT datallowconn AND NOT datistemplate ORDER BY 1')).map(
      ({ datname }) => datname,
    );
  const byHand = (lines: string[]): string => {
    const path = `${pair.nodes[A]!.bin}:${process.env.PATH}`;
    const env = { ...process.env, PGPASSWORD: LAB_PASSWORDS.rampart, PATH: path };
    return execFileSync('sh', ['-ec', lines.join('\n')], { env, encoding: 'utf8' });
  };
  const { now } = await run.at(null).escape(A, B);
  const section = (title: RegExp): string[] => {
    const first = now.findIndex((line) => title.test(line));
    const end = now.findIndex((line, i) => i > first && line === '');
    return now.slice(first + 1, end);
  };
  expect(byHand(section(/Make eu-west unable to write/))).toContain(' retired');
  expect(await closed()).toEqual([LAB_DATABASE, 'retired', 'side by side'].sort());
  const back = section(/^# Or back/).map((line) => line.replace('#   ', ''));
  byHand(back);
  expect(await closed()).toEqual([]);
  await pair.write(A);
});

test('fence by SQL: a promotion of an earlier run that comes late does not open it again', async () => {
  const run = await start(remote);
  const { timeline } = await run.observe(B);
  await run.move(A, B);
  const next = await pair.newRun();
  await next.at(null).fence({ region: B });
  // Until then it was right to say "promoted already" and to open what the fence of eu-west had closed there.
  const late = run.at(null).promote({ region: B }, A, null, { timeline });
  await expect(late).rejects.toMatchObject({ type: 'Conflict' });
  expect((await next.at(null).prove({ region: B })).fence.cannotWrite).toBe('sessions');
  await expect(pair.write(B)).rejects.toThrow('not currently accepting connections');
});

test('fence by SQL, with a worker beside the data: the repair takes over from there', async () => {
  const run = await start({ nodes: { [A]: { fence: 'sql' }, [B]: { fence: 'sql' } } });
  await run.move(A, B);
  await pair.write(B);
  await run.at(A).rebuild({ region: A }, B);
  await expect.poll(() => pair.rows(A), { timeout: 15_000 }).toBe(1);
  expect(await run.observe(A)).toMatchObject({ state: 'replica', fence: null });
});

test('fence by command: the team’s own script stops it, the proof is read all the same', async () => {
  const run = await start({});
  const script = join(pair.dir, 'stonith');
  writeFileSync(script, '#!/bin/sh\nkill -INT "$(head -1 "$1/postmaster.pid")"\n');
  chmodSync(script, 0o755);
  const component = pair.changed({ fence: 'command', control: { kind: 'command', fence: [script, '{dataDir}'] } }, A);
  const proof = await run.at(A, {}, component).fence({ region: A });
  expect(proof.fence).toMatchObject({
    cannotWrite: 'stopped',
    finalPosition: { text: expect.any(String) },
    durable: true,
  });
  expect(readPostmaster(pair.nodes[A]!.data)).toBeUndefined();
  // Also where the answer of the first was lost.
  const again = await run.at(A, {}, component).fence({ region: A });
  expect(again).toMatchObject({ already: true, facts: { stoppedWrites: true } });
});

test('fence by command on a machine of its own: only what can be proven is claimed', async () => {
  const run = await start({});
  const script = join(pair.dir, 'stonith');
  writeFileSync(script, `#!/bin/sh\nkill -INT "$(head -1 "${pair.nodes[A]!.data}/postmaster.pid")"\n`);
  chmodSync(script, 0o755);
  const control = {
    kind: 'command',
    fence: [script],
    status: ['/bin/sh', '-c', `test -e ${pair.nodes[A]!.data}/postmaster.pid || exit 3`],
  };
  const component = pair.changed({ fence: 'command', control, dataDir: null }, A);
  await run.at(A, {}, component).claim({ region: A }, run.journal());
  // Nobody has fenced it: nothing is to be taken back, and no command for that is missed.
  const unfenced = await run.at(A, {}, component).unfence({ region: A }, { to: B, deadline: null });
  expect(unfenced).toMatchObject({ already: true, summary: 'eu-west was not fenced' });
  const proof = await run.at(A, {}, component).fence({ region: A });
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: null, needsRewind: true });
});
