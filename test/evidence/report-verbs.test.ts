/** `report`, `report verify` and `history` with a store and without Temporal: what is left when it is gone. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileReport } from '../../clients/reports/file.ts';
import { folderStorage } from '../../clients/reports/folder.ts';
import { signerFrom } from '../../clients/reports/signature.ts';
import { freePorts } from '../../lab/ports.ts';
import { type Ran, rampart } from '../clients/terminal.ts';
import { plannedFailover, rolledBack, T0 } from './records.ts';

let cwd: string;
let env: Record<string, string>;
const run = (...argv: string[]): Promise<Ran> => rampart(argv, { cwd, env });

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'rampart-verbs-'));
  const [port] = await freePorts(1);
  env = { HOME: cwd, RAMPART_REPORTS: 'reports', TEMPORAL_ADDRESS: `127.0.0.1:${port}` };
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signer = signerFrom(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  writeFileSync(join(cwd, 'key.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  const other = generateKeyPairSync('ed25519').publicKey;
  writeFileSync(join(cwd, 'other.pub'), other.export({ type: 'spki', format: 'pem' }));
  const storage = folderStorage(join(cwd, 'reports'));
  await fileReport(storage, plannedFailover(), { signer });
  await fileReport(
    storage,
    { ...rolledBack(), runId: 'second', startedAt: T0 + 3_600_000, endedAt: T0 + 3_649_400 },
    { signer },
  );
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

describe('report verify', () => {
  it('says that all is as filed, and by whose key', async () => {
    const { code, out } = await run('report', 'verify');
    expect(out).toMatch(
      /^checkout {2}as filed {2}2 reports, signed by [0-9a-f]{16}; --public-key says whose key counts\n {2}head {2}[0-9a-f]{64}\n$/,
    );
    expect(code).toBe(0);
    expect(await run('report', 'verify', 'checkout', '--public-key', 'key.pub')).toMatchObject({ code: 0, err: '' });
    expect((await run('report', 'verify', '--public-key', 'other.pub')).code).toBe(1);
    const { head } = (await run('report', 'verify', '--json')).json<{ services: Array<{ head: string }> }>()
      .services[0]!;
    expect((await run('report', 'verify', 'checkout', '--head', head)).code).toBe(0);
    expect((await run('report', 'verify', 'checkout', '--head', 'f'.repeat(64))).code).toBe(1);
  });

  it('catches one changed byte, names the file and says what to do', async () => {
    const path = join(cwd, 'reports/checkout/000001/report.html');
    const before = readFileSync(path);
    const changed = Buffer.from(before);
    changed[before.length >> 1]! ^= 1;
    chmodSync(path, 0o644);
    writeFileSync(path, changed);
    const { code, out } = await run('report', 'verify');
    expect(code).toBe(1);
    expect(out).toContain(
      'checkout  1 problem in 2 reports\n  changed  checkout/000001/report.html: its bytes are not those that were filed',
    );
    expect(out).toContain('    Put it back from a backup.');
    const { json } = await run('report', 'verify', '--json');
    expect(json()).toMatchObject({
      whole: false,
      services: [{ problems: [{ kind: 'changed', file: 'checkout/000001/report.html' }] }],
    });
    writeFileSync(path, before);
    expect((await run('report', 'verify')).code).toBe(0);
  });

  it('takes a store that is not there for no good news', async () => {
    const { code, err } = await run('report', 'verify', '--store', 'nowhere');
    expect(err).toMatch(/^rampart: there are no reports in .*nowhere: if there were, they are gone\n/);
    expect(code).toBe(1);
    expect((await run('report', 'verify', 'billing')).err).toContain('there are no reports of billing in');
  });

  it.each([
    [['report', 'verify', '--head', 'a'.repeat(64)], 'rampart: --head needs the service whose chain it is of\n'],
    [
      ['report', 'verify', 'checkout', '--head', 'abc'],
      'rampart: --head abc: 64 hexadecimal digits, as verify prints them\n',
    ],
    [['report', 'verify', '--public-key', 'none.pub'], /^rampart: --public-key none.pub: ENOENT/],
    [
      ['report', 'verify', '--store', 'gs://bucket/reports'],
      'rampart: gs://bucket/reports: a report store is a folder, or s3://<bucket>/<prefix>\n',
    ],
  ])('%j is bad input', async (argv, text) => {
    const { code, err } = await run(...argv);
    expect(err).toEqual(typeof text === 'string' ? text : expect.stringMatching(text));
    expect(code).toBe(2);
  });
});

describe('without Temporal', () => {
  it('report takes what was filed, and says so', async () => {
    const { code, out, err } = await run('report', 'checkout', '--run', plannedFailover().runId);
    expect(out).toContain('# Failover of checkout, eu-west → eu-central');
    expect(err).toMatch(/^rampart: Temporal does not answer; this is report 1 of .*reports, as it was filed\n$/);
    expect(code).toBe(0);
    expect((await run('report', 'billing')).code).toBe(1);
  });

  it('report --exit-code passes or fails like a test', async () => {
    const passed = ['report', 'checkout', '--run', plannedFailover().runId, '--exit-code', '--format', 'junit'];
    expect(await run(...passed)).toMatchObject({ code: 0, out: expect.stringContaining('failures="0"') });
    expect((await run('report', 'checkout', '--exit-code')).code).toBe(1);
    expect((await run('report', 'checkout')).code).toBe(0);
  });

  it('history shows a service', async () => {
    const { code, out } = await run('history', 'checkout');
    expect(out).toMatch(/rolled back {2}failed .* report 2 /);
    expect(out).toMatch(/completed {4}passed .* RTA 10.5 s {2}RPA 0 ms {2}report 1 /);
    expect(out).toMatch(/\nlast proven {5}\d+ days? ago, by a planned failover to eu-central\n/);
    expect(out).toContain('recovery time   10.5 s, objective 5 min\n');
    expect(code).toBe(0);
  });

  it('history shows every service', async () => {
    const { out, err } = await run('history');
    expect(out).toMatch(
      /^service +last proven .*\ncheckout +\d+ days? ago, by a planned failover to eu-central +failover, rolled back +10.5 s /,
    );
    expect(err).toContain('this is what the report store holds');
    const { json } = await run('history', '--json');
    expect(json()).toMatchObject({ services: [{ service: 'checkout', runs: 2, lastProven: { mode: 'planned' } }] });
  });

  it('history has nothing to say of a service that left nothing', async () => {
    const { code, err } = await run('history', 'billing');
    expect(err).toMatch(/Temporal/);
    expect(code).toBe(1);
  });
});

it('a signing key is a reference, and never shown', async () => {
  const said = await rampart(['report', 'file', 'checkout'], { cwd, env: { ...env, RAMPART_REPORT_KEY: 'hunter2' } });
  expect(said).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^(?!.*hunter2)rampart: RAMPART_REPORT_KEY must be a reference/s),
  });
  const env2 = { ...env, RAMPART_REPORT_KEY: '${env:KEY}', KEY: 'hunter2' };
  expect((await rampart(['report', 'file', 'checkout'], { cwd, env: env2 })).err).toMatch(
    /^(?!.*hunter2)rampart: RAMPART_REPORT_KEY: .*ed25519/s,
  );
});

it('schema prints the one of the record too', async () => {
  expect((await run('schema', 'record', '--json')).json()).toMatchObject({ title: 'Rampart run record' });
  expect(await run('schema', 'plan')).toMatchObject({
    code: 2,
    err: 'rampart: there is no schema of plan: topology or record\n',
  });
});
