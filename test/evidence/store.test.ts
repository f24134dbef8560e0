/** The report store: what is filed stays as it is, and whatever was done to it since is found. */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fileReport } from '../../clients/reports/file.ts';
import { folderStorage } from '../../clients/reports/folder.ts';
import { MANIFEST, readManifest, SIGNATURE, sha256 } from '../../clients/reports/manifest.ts';
import { signerFrom, trustedKeyId } from '../../clients/reports/signature.ts';
import { type VerifyOptions, verifyReports } from '../../clients/reports/verify.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { built } from '../../lab/paths.ts';
import { canonicalJson } from '../../topology/canonical.ts';
import { plannedFailover, T0, waiting } from './records.ts';

const keys = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKey,
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
};
const own = keys();
const signer = signerFrom(own.pem);
const trusted = [trustedKeyId(own.publicPem)];
const runNumber = (n: number): RunRecord => ({ ...plannedFailover(), runId: `run-${n}` });

/** Files reports until it is killed, and says each. */
const FOREVER = `
import { fileReport } from ${JSON.stringify(built('clients/reports/file.js'))};
import { folderStorage } from ${JSON.stringify(built('clients/reports/folder.js'))};
const [store, name, record] = process.argv.slice(1);
for (let n = 1; ; n += 1) {
  const filed = await fileReport(folderStorage(store), { ...JSON.parse(record), runId: name + '-' + n });
  console.log(filed.number);
}`;

let base: string;
let pristine: string;
let store: string;
let fresh = 0;
const at = (...path: string[]) => join(store, 'checkout', ...path);
const verify = (options: VerifyOptions = {}) => verifyReports(folderStorage(store), 'checkout', options);
const found = async (options: VerifyOptions = {}) =>
  (await verify(options)).problems.map(({ kind, file }) => `${kind} ${file}`);
const write = (path: string, text: string | Uint8Array) => {
  chmodSync(path, 0o644);
  writeFileSync(path, text);
};

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'rampart-store-'));
  pristine = join(base, 'pristine');
  for (const n of [1, 2, 3, 4])
    await fileReport(folderStorage(pristine), runNumber(n), { signer: n > 2 ? signer : null, now: T0 + n * 1_000 });
});
beforeEach(() => {
  fresh += 1;
  store = join(base, `store-${fresh}`);
  cpSync(pristine, store, { recursive: true });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('filing', () => {
  it('keeps every format, the hash of each, and what it follows', async () => {
    const second = readManifest(readFileSync(at('000002', MANIFEST)))!;
    expect(Object.keys(second.artefacts)).toEqual(['report.html', 'report.json', 'report.junit.xml', 'report.md']);
    expect(second.previous).toBe(sha256(readFileSync(at('000001', MANIFEST))));
    expect(second.artefacts['report.html']!.sha256).toBe(sha256(readFileSync(at('000002', 'report.html'))));
    expect(second.run).toMatchObject({ runId: 'run-2', outcome: 'completed', rtaMs: 10_490, rpaMs: 0, proves: true });
    expect(await verify({ trusted })).toEqual({
      ...{ service: 'checkout', reports: 4, signedBy: trusted, problems: [], notes: [] },
      head: sha256(readFileSync(at('000004', MANIFEST))),
    });
  });

  it('files a run once, and none that is on', async () => {
    expect(await fileReport(folderStorage(store), runNumber(3))).toMatchObject({ number: 3, already: true });
    await expect(fileReport(folderStorage(store), waiting())).rejects.toThrow('is not over');
    await expect(fileReport(folderStorage(store), { ...runNumber(9), service: '../x' })).rejects.toThrow(
      'no name of a service',
    );
    expect(readdirSync(at()).sort()).toEqual(['000001', '000002', '000003', '000004', 'chain.log']);
  });

  it('gives every number once when many file at the same time', async () => {
    const filed = await Promise.all(
      [5, 6, 7, 8, 9, 9, 10, 11, 11, 12].map((n) => fileReport(folderStorage(store), runNumber(n))),
    );
    expect([...new Set(filed.map((f) => f.number))].sort((a, b) => a - b)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
    expect(await verify()).toMatchObject({ reports: 12, problems: [], notes: [] });
  });

  it('goes on where a crash left off: before the rename, and before the mark', async () => {
    const left = at('.tmp-dead');
    mkdirSync(left);
    writeFileSync(join(left, 'report.json'), 'half');
    const log = readFileSync(at('chain.log'), 'utf8');
    writeFileSync(at('chain.log'), log.slice(0, -30));
    expect(await verify()).toMatchObject({ problems: [], notes: [expect.stringContaining('does not name report 4')] });
    const old = new Date(Date.now() - 7_200_000);
    utimesSync(left, old, old);
    expect(await fileReport(folderStorage(store), runNumber(5))).toMatchObject({ number: 5, already: false });
    expect(readdirSync(at())).not.toContain('.tmp-dead');
    expect(await verify()).toMatchObject({ reports: 5, problems: [], notes: [] });
  });

  it('does not file a run again whose manifest is damaged or gone', async () => {
    write(at('000002', MANIFEST), '{}');
    rmSync(at('000003', MANIFEST));
    expect(await fileReport(folderStorage(store), runNumber(2))).toMatchObject({ number: 2, already: true });
    expect(await fileReport(folderStorage(store), runNumber(3))).toMatchObject({ number: 3, already: true });
    expect(await fileReport(folderStorage(store), runNumber(5))).toMatchObject({ number: 5, already: false });
  });

  it('never takes away what another process is writing', async () => {
    mkdirSync(at('.tmp-other'));
    await fileReport(folderStorage(store), runNumber(5));
    expect(readdirSync(at())).toContain('.tmp-other');
  });

  it('does not give the number of a report again that was taken away', async () => {
    rmSync(at('000004'), { recursive: true });
    expect(await fileReport(folderStorage(store), runNumber(5))).toMatchObject({ number: 5 });
    expect(await found()).toEqual(['missing checkout/000004']);
  });

  it('is killed anywhere and leaves a whole store', { timeout: 60_000 }, async () => {
    const children = [1, 2].map((n) =>
      spawn(
        process.execPath,
        ['--input-type=module', '-e', FOREVER, store, String(n), JSON.stringify(plannedFailover())],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      ),
    );
    // Each says every report that it has filed; it is killed in the middle of the next.
    await Promise.all(
      children.map(
        (child) =>
          new Promise<void>((resolve, reject) => {
            let lines = 0;
            child.once('exit', () => resolve());
            child.once('error', reject);
            child.stdout.on('data', (data: Buffer) => {
              lines += String(data).split('\n').length - 1;
              if (lines >= 3) child.kill('SIGKILL');
            });
          }),
      ),
    );
    const { problems, reports } = await verify();
    expect(problems).toEqual([]);
    expect(reports).toBeGreaterThanOrEqual(4 + 6);
    await fileReport(folderStorage(store), runNumber(99));
    expect(await verify()).toMatchObject({ reports: reports + 1, problems: [], notes: [] });
  });
});

describe('verify', () => {
  it('finds any one changed byte, and names the file', { timeout: 60_000 }, async () => {
    const files = readdirSync(at(), { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
    expect(files).toHaveLength(4 * 5 + 2 + 1);
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      const name = path.slice(store.length + 1);
      for (const place of [
        0,
        Math.floor(bytes.length / 3),
        Math.floor(bytes.length / 2),
        bytes.length - 2,
        bytes.length - 1,
      ]) {
        for (const change of [1, 0x20, 0x0a ^ bytes[place]!]) {
          if (change === 0) continue;
          const changed = Buffer.from(bytes);
          changed[place]! ^= change;
          write(path, changed);
          const problems = await found({ trusted });
          expect(problems, `${name} byte ${place} ^ ${change}`).toContainEqual(
            expect.stringMatching(`^(changed|signature) ${name.replaceAll('.', '\\.')}$`),
          );
        }
      }
      write(path, bytes);
    }
    expect(await found({ trusted })).toEqual([]);
  });

  it('finds every byte of the list of hashes', { timeout: 60_000 }, async () => {
    const bytes = readFileSync(at('chain.log'));
    for (let i = 0; i < bytes.length; i += 1) {
      const changed = Buffer.from(bytes);
      changed[i] = changed[i] === 0x31 ? 0x32 : 0x31;
      writeFileSync(at('chain.log'), changed);
      expect(await found(), `byte ${i}`).not.toEqual([]);
    }
  });

  it.each([
    ['a report that is gone', () => rmSync(at('000002'), { recursive: true }), ['missing checkout/000002']],
    ['the last report that is gone', () => rmSync(at('000004'), { recursive: true }), ['missing checkout/000004']],
    ['a file that is gone', () => rmSync(at('000002', 'report.html')), ['missing checkout/000002/report.html']],
    ['a manifest that is gone', () => rmSync(at('000002', MANIFEST)), ['missing checkout/000002/manifest.json']],
    [
      'a signature that is gone',
      () => rmSync(at('000003', SIGNATURE)),
      ['signature checkout/000003/manifest.sig.json'],
    ],
    [
      'an emptied store',
      () => [1, 2, 3, 4].map((n) => rmSync(at(`00000${n}`), { recursive: true })),
      [1, 2, 3, 4].map((n) => `missing checkout/00000${n}`),
    ],
    [
      'two reports that were swapped',
      () => {
        renameSync(at('000002'), at('x'));
        renameSync(at('000003'), at('000002'));
        renameSync(at('x'), at('000003'));
      },
      ['reordered checkout/000002/manifest.json', 'reordered checkout/000003/manifest.json'],
    ],
    [
      'a copy at the end',
      () => cpSync(at('000002'), at('000005'), { recursive: true }),
      ['reordered checkout/000005/manifest.json', 'inserted checkout/000005'],
    ],
    [
      'a file that was put in',
      () => writeFileSync(at('000002', 'notes.txt'), 'x'),
      ['inserted checkout/000002/notes.txt'],
    ],
    ['a folder that was put in', () => mkdirSync(at('0000021')), ['inserted checkout/0000021']],
    [
      'two hashes for one report',
      () => appendFileSync(at('chain.log'), `000002 ${'a'.repeat(64)}\n`),
      ['changed checkout/chain.log'],
    ],
  ])('finds %s', async (_what, harm, problems) => {
    harm();
    expect(await found()).toEqual(problems);
  });

  /** A report in the place of another, with everything in it made to fit. */
  const forge = (number: string, change: (manifest: Record<string, unknown>) => void) => {
    const manifest = JSON.parse(readFileSync(at(number, MANIFEST), 'utf8')) as Record<string, unknown>;
    change(manifest);
    write(at(number, MANIFEST), `${canonicalJson(manifest)}\n`);
  };

  it('finds a report that was rewritten together with its manifest', async () => {
    const path = at('000001', 'report.md');
    write(path, readFileSync(path, 'utf8').replace('Passed', 'Failed'));
    forge('000001', (manifest) => {
      const artefacts = manifest.artefacts as Record<string, object>;
      artefacts['report.md'] = { bytes: statSync(path).size, sha256: sha256(readFileSync(path)) };
    });
    expect(await found()).toEqual(['changed checkout/000001/manifest.json']);
    // The list of hashes made to fit as well: the report after it still names the old one.
    const log = readFileSync(at('chain.log'), 'utf8');
    writeFileSync(
      at('chain.log'),
      log.replace(/^000001 .*$/m, `000001 ${sha256(readFileSync(at('000001', MANIFEST)))}`),
    );
    expect(await found()).toEqual(['inserted checkout/000002/manifest.json']);
  });

  it('tells a chain that was made anew by a head that was kept, or by its signature', async () => {
    const { head } = await verify();
    const anew = join(base, `anew-${fresh}`);
    const forger = keys();
    for (const n of [1, 2, 3, 4])
      await fileReport(
        folderStorage(anew),
        { ...runNumber(n), outcome: 'completed' },
        { signer: signerFrom(forger.pem), now: T0 },
      );
    store = anew;
    expect(await found()).toEqual([]);
    expect(await found({ head: head! })).toEqual(['missing checkout']);
    expect(await found({ trusted })).toContain('signature checkout/000004/manifest.sig.json');
    expect(await found({ trusted: [...trusted, trustedKeyId(forger.publicPem)] })).toEqual([]);
  });

  it('finds a signature by another key under the right name', async () => {
    const forger = keys();
    const bytes = readFileSync(at('000004', MANIFEST));
    const signature = sign(null, bytes, forger.privateKey).toString('base64');
    write(at('000004', SIGNATURE), JSON.stringify({ algorithm: 'ed25519', publicKey: own.publicPem, signature }));
    expect(await found()).toEqual(['signature checkout/000004/manifest.sig.json']);
    write(at('000004', SIGNATURE), JSON.stringify({ algorithm: 'ed25519', publicKey: forger.publicPem, signature }));
    expect(await found()).toEqual(['signature checkout/000004/manifest.sig.json']);
  });

  it('wants a signature behind every report when a key is given', async () => {
    expect(await found({ trusted })).toEqual([]);
    await fileReport(folderStorage(store), runNumber(5));
    expect(await found({ trusted })).toEqual(['signature checkout/000005']);
    expect(await found()).toEqual([]);
  });
});

it('says what a key must be, without showing it', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
  expect(() => signerFrom(rsa)).toThrow('is of type rsa; it must be an ed25519 key');
  expect(() => signerFrom('hunter2')).toThrow(/^(?!.*hunter2).*cannot be read; it must be an ed25519 key/);
  expect(() => trustedKeyId('x')).toThrow('must be an ed25519 key in PEM');
});
