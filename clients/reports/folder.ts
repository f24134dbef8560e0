/**
 * The report store in a folder:
 *
 *     <store>/checkout/000001/manifest.json, report.json, report.html, …
 *     <store>/checkout/chain.log              one line per report: number and SHA-256 of its manifest
 *
 * A report is written whole into a folder with a passing name and then renamed to its number. The rename fails when the
 * number is taken, so two processes never write the same one, and a crash leaves nothing that counts.
 */
import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Listed, Marks, ReportStorage } from './storage.ts';

const CHAIN = 'chain.log';
const PASSING = '.tmp-';
const NUMBER = /^\d{6,15}$/;
/** A filing takes seconds: what is older was left by a crash, in milliseconds. */
const LEFT_BEHIND_MS = 3_600_000;

export function folderStorage(root: string): ReportStorage {
  const folder = (service: string) => join(root, named(service));
  const report = (service: string, number: number) => join(folder(service), digits(number));
  return {
    where: root,
    nameOf: (service, number, file) => [service, digits(number), ...(file === undefined ? [] : [file])].join('/'),
    marksName: (service) => `${service}/${CHAIN}`,

    async services() {
      const entries = await unlessAbsent(readdir(root, { withFileTypes: true }), null);
      return (
        entries
          ?.filter((e) => e.isDirectory() && isServiceName(e.name))
          .map((e) => e.name)
          .sort() ?? null
      );
    },

    async list(service): Promise<Listed> {
      const names = await unlessAbsent(readdir(folder(service)), []);
      const reports = names.filter((name) => NUMBER.test(name) && digits(Number(name)) === name);
      return {
        numbers: reports.map(Number).sort((a, b) => a - b),
        strangers: names.filter((n) => !reports.includes(n) && n !== CHAIN && !n.startsWith(PASSING)).sort(),
      };
    },

    files: (service, number) => unlessAbsent(readdir(report(service, number)), []),

    read: (service, number, file) => unlessAbsent(readFile(join(report(service, number), file)), null),

    async put(service, number, files) {
      await removeLeftBehind(folder(service));
      const passing = join(folder(service), `${PASSING}${randomUUID()}`);
      await mkdir(passing, { recursive: true });
      for (const [name, bytes] of files) await writeThrough(join(passing, name), bytes);
      await syncFolder(passing);
      try {
        await rename(passing, report(service, number));
      } catch (error) {
        await rm(passing, { recursive: true, force: true });
        if (
          ['EEXIST', 'ENOTEMPTY', 'EPERM', 'ENOTDIR'].includes(codeOf(error)) &&
          (await isThere(report(service, number)))
        )
          return false;
        throw error;
      }
      await syncFolder(folder(service));
      return true;
    },

    async mark(service, number, sha256) {
      const path = join(folder(service), CHAIN);
      const before = await unlessAbsent(readFile(path, 'utf8'), '');
      // A crash may have left half a line: it must not swallow this one.
      const start = before === '' || before.endsWith('\n') ? '' : '\n';
      await appendFile(path, `${start}${digits(number)} ${sha256}\n`, { flush: true });
    },

    async marks(service): Promise<Marks> {
      return marksIn(await unlessAbsent(readFile(join(folder(service), CHAIN), 'utf8'), ''));
    },
  };
}

/** Half a line at the end, or before a line that a later filing wrote, is what a crash leaves: the start of a mark. */
function marksIn(text: string): Marks {
  const byNumber = new Map<number, string[]>();
  const garbled: Array<{ line: number; text: string }> = [];
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    const [, number, sha256] = /^(\d{6,15}) ([0-9a-f]{64})$/.exec(line) ?? [];
    if (number !== undefined) {
      const known = byNumber.get(Number(number)) ?? [];
      if (!known.includes(sha256!)) byNumber.set(Number(number), [...known, sha256!]);
    } else if (line !== '' && !isTorn(line, lines.slice(i + 1)))
      garbled.push({ line: i + 1, text: line.slice(0, 100) });
  }
  return { byNumber, garbled };
}

/** Whether a line is the beginning of one that was written again, or of the last one, which nothing has ended. */
function isTorn(line: string, after: readonly string[]): boolean {
  return /^\d{1,15}( [0-9a-f]{0,63})?$/.test(line) && (after.length === 0 || after.some((l) => l.startsWith(line)));
}

export const digits = (number: number): string => String(number).padStart(6, '0');

const isServiceName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name);

/** A service's name is a folder's: nothing may lead out of the store. */
export function named(service: string): string {
  if (!isServiceName(service)) throw new Error(`${JSON.stringify(service)} is no name of a service`);
  return service;
}

async function writeThrough(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o444);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What the folder holds must outlive a loss of power, not only the bytes of its files. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function removeLeftBehind(folder: string): Promise<void> {
  for (const name of await unlessAbsent(readdir(folder), [])) {
    if (!name.startsWith(PASSING)) continue;
    const path = join(folder, name);
    const { mtimeMs } = (await unlessAbsent(stat(path), null)) ?? { mtimeMs: Number.NaN };
    if (Date.now() - mtimeMs > LEFT_BEHIND_MS) await rm(path, { recursive: true, force: true });
  }
}

const isThere = async (path: string): Promise<boolean> => (await unlessAbsent(stat(path), null)) !== null;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

async function unlessAbsent<T, D>(work: Promise<T>, absent: D): Promise<T | D> {
  try {
    return await work;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return absent;
    throw error;
  }
}
