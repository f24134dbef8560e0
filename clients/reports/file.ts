/** Files a report: the next one in its service's chain. */
import { isDrill } from '../../evidence/drill.ts';
import type { DrillRecord } from '../../evidence/record.ts';
import { isEvidence, type RunEvidence } from '../../evidence/report.ts';
import { buildFiles, MANIFEST, type Manifest, readManifest, type Subject, sha256 } from './manifest.ts';
import type { Signer } from './signature.ts';
import type { ReportStorage } from './storage.ts';

export interface Filed {
  service: string;
  number: number;
  /** SHA-256 of its manifest: kept elsewhere, it proves later that nothing before it was changed. */
  head: string;
  /** It was filed before, by this process or another. */
  already: boolean;
}

/** So many others may file a report of the same service at the same time. */
const TRIES = 50;

/**
 * Files a run that is over. Safe to repeat and to do twice at once: a run is filed once, and a number is given once.
 * @throws Error when the run is not over or has no identity, or when the end of the chain cannot be read
 */
export async function fileReport(
  storage: ReportStorage,
  run: Subject | RunEvidence['record'],
  options: { signer?: Signer | null; now?: number } = {},
): Promise<Filed> {
  const subject: Subject = isDrill(run) || isEvidence(run) ? run : { record: run };
  const { service, runId } = isDrill(subject) ? subject : subject.record;
  const outcome = isDrill(subject) ? subject.verdict : subject.record.outcome;
  if (!service || !runId) throw new Error('a record without a service and a run ID cannot be filed');
  if (outcome == null) throw new Error(`run ${runId} of ${service} is not over; its report is filed when it is`);
  const { signer = null, now = Date.now() } = options;
  for (let i = 0; i < TRIES; i += 1) {
    const chain = await readChain(storage, service);
    await markUnmarked(storage, service, chain);
    const found =
      chain.reports.find((one) => one.manifest?.run.runId === runId) ?? (await damaged(storage, service, chain, runId));
    if (found !== undefined) return { service, number: found.number, head: found.sha256, already: true };
    const { number, previous } = nextOf(storage, service, chain);
    const files = buildFiles(subject, { service, number, previous, filedAt: now }, signer);
    if (!(await storage.put(service, number, files))) continue;
    const head = sha256(files.get(MANIFEST)!);
    await storage.mark(service, number, head);
    return { service, number, head, already: false };
  }
  throw new Error(`${storage.where}: others took ${TRIES} numbers of ${service} in a row; try again`);
}

/** The run's report when its manifest cannot be read: filed again it would be there twice once that is mended. */
async function damaged(
  storage: ReportStorage,
  service: string,
  { reports, without }: Chain,
  runId: string,
): Promise<Pick<Link, 'number' | 'sha256'> | undefined> {
  const unread = reports.filter(({ manifest }) => manifest === null);
  for (const one of [...unread, ...without.map((number) => ({ number, sha256: '' }))]) {
    const bytes = await storage.read(service, one.number, 'report.json');
    if (bytes !== null && runOf(bytes) === runId) return one;
  }
  return undefined;
}

/** The run that a report.json is about; `null` when that is damaged as well. */
function runOf(bytes: Uint8Array): string | null {
  try {
    const { drill, runs } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      drill?: DrillRecord;
      runs?: RunEvidence[];
    };
    return drill?.runId ?? runs?.[0]?.record.runId ?? null;
  } catch {
    return null;
  }
}

export interface Link {
  number: number;
  /** Of the manifest's bytes as they are. */
  sha256: string;
  /** `null`: it cannot be read. */
  manifest: Manifest | null;
}

export interface Chain {
  reports: Link[];
  /** Numbers of reports without a manifest. */
  without: number[];
  marks: ReadonlyMap<number, readonly string[]>;
}

/** Every manifest of a service, in order. */
export async function readChain(storage: ReportStorage, service: string): Promise<Chain> {
  const [{ numbers }, { byNumber: marks }] = await Promise.all([storage.list(service), storage.marks(service)]);
  const reports: Link[] = [];
  const without: number[] = [];
  for (const number of numbers) {
    const bytes = await storage.read(service, number, MANIFEST);
    if (bytes === null) without.push(number);
    else reports.push({ number, sha256: sha256(bytes), manifest: readManifest(bytes) });
  }
  return { reports, without, marks };
}

/** What a crash between the filing and its mark left out. Only the end of the chain can be without a mark by that. */
async function markUnmarked(storage: ReportStorage, service: string, { reports, marks }: Chain): Promise<void> {
  for (const { number, sha256, manifest } of reports)
    if (manifest !== null && marks.get(number) === undefined) await storage.mark(service, number, sha256);
}

/**
 * The next number and what it follows. A number that was marked is never given again: a report that was taken away
 * stays missing, and is found missing.
 */
function nextOf(
  storage: ReportStorage,
  service: string,
  { reports, without, marks }: Chain,
): { number: number; previous: string | null } {
  const last = Math.max(0, ...reports.map((r) => r.number), ...without, ...marks.keys());
  if (last === 0) return { number: 1, previous: null };
  // What was filed counts, not what somebody made of it since.
  const previous = marks.get(last)?.[0] ?? reports.find((r) => r.number === last)?.sha256;
  if (previous === undefined)
    throw new Error(
      `${storage.nameOf(service, last, MANIFEST)} is missing in ${storage.where}; put it back from a backup (rampart report verify ${service})`,
    );
  return { number: last + 1, previous };
}
