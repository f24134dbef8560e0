/**
 * Whether the reports of a service are those that were filed, each of them and in their order. Reads only.
 *
 * The chain shows what was changed by accident or by hand. Somebody who may write to the store can make a new chain:
 * against that helps a signature, whose key is elsewhere, or a head (the last manifest's hash) that was kept elsewhere.
 */
import { type Chain, type Link, readChain } from './file.ts';
import { MANIFEST, type Manifest, SIGNATURE, sha256 } from './manifest.ts';
import { signatureProblem } from './signature.ts';
import type { Marks, ReportStorage } from './storage.ts';

export type ProblemKind = 'changed' | 'missing' | 'reordered' | 'inserted' | 'signature';

export interface Problem {
  kind: ProblemKind;
  /** Relative to the store. */
  file: string;
  message: string;
  remedy: string;
}

export interface Verified {
  service: string;
  reports: number;
  /** SHA-256 of the last manifest; `null` when there is none. */
  head: string | null;
  /** Keys that signed reports, by their SHA-256. */
  signedBy: string[];
  problems: Problem[];
  /** What is no damage, but good to know. */
  notes: string[];
}

export interface VerifyOptions {
  /** Keys that count, by their SHA-256; absent: any key that fits its own signature. */
  trusted?: readonly string[];
  /** A head that was kept elsewhere: one of the reports must have it. */
  head?: string;
}

export async function verifyReports(
  storage: ReportStorage,
  service: string,
  options: VerifyOptions = {},
): Promise<Verified> {
  const [{ strangers }, marks, chain] = await Promise.all([
    storage.list(service),
    storage.marks(service),
    readChain(storage, service),
  ]);
  const check = new Check(storage, service, marks, chain, options);
  for (const name of strangers) check.stranger(`${service}/${name}`);
  check.marksThemselves();
  for (const number of numbersOf(chain)) await check.report(number);
  check.signatures();
  check.keptHead();
  return check.result();
}

/** Every number up to the last that is there or was noted. */
function numbersOf({ reports, without, marks }: Chain): number[] {
  const last = Math.max(0, ...reports.map((r) => r.number), ...without, ...marks.keys());
  return Array.from({ length: last }, (_, i) => i + 1);
}

class Check {
  private readonly storage: ReportStorage;
  private readonly service: string;
  private readonly marks: Marks;
  private readonly chain: Chain;
  private readonly options: VerifyOptions;
  private readonly problems: Problem[] = [];
  private readonly notes: string[] = [];
  /** Numbers of reports that a valid signature of a key that counts vouches for. */
  private readonly vouched = new Map<number, string>();
  private readonly seenRuns = new Map<string, number>();
  private readonly byNumber: ReadonlyMap<number, Link>;

  constructor(storage: ReportStorage, service: string, marks: Marks, chain: Chain, options: VerifyOptions) {
    this.storage = storage;
    this.service = service;
    this.marks = marks;
    this.chain = chain;
    this.options = options;
    this.byNumber = new Map(chain.reports.map((r) => [r.number, r]));
  }

  result(): Verified {
    return {
      service: this.service,
      reports: this.chain.reports.length,
      head: this.chain.reports.at(-1)?.sha256 ?? null,
      signedBy: [...new Set(this.vouched.values())],
      problems: this.problems,
      notes: this.notes,
    };
  }

  stranger(file: string): void {
    this.add(
      'inserted',
      file,
      'it is no part of the store',
      'Move it elsewhere: nothing here belongs to a report but what was filed.',
    );
  }

  marksThemselves(): void {
    const file = this.marksName;
    for (const { line, text } of this.marks.garbled)
      this.add('changed', file, `line ${line} is none that was written here: ${JSON.stringify(text)}`);
    for (const [number, hashes] of this.marks.byNumber)
      if (hashes.length > 1)
        this.add('changed', file, `it names ${hashes.length} different hashes for report ${number}`);
    const unmarked = this.chain.reports.filter((r) => !this.marks.byNumber.has(r.number)).map((r) => r.number);
    if (unmarked.length > 0)
      this.notes.push(
        `${file} does not name report ${unmarked.join(', ')}: a filing was interrupted, or a line was taken out. The next filing adds it.`,
      );
  }

  async report(number: number): Promise<void> {
    const link = this.byNumber.get(number);
    if (link === undefined) return this.missing(number);
    const { manifest } = link;
    const misplaced = manifest !== null && (manifest.service !== this.service || manifest.number !== number);
    const whole = misplaced || (await this.manifestIsAsFiled(link));
    const file = this.name(number, MANIFEST);
    if (manifest === null) {
      if (whole) this.add('changed', file, 'it is no manifest as it was written here');
      return;
    }
    if (misplaced)
      this.add(
        'reordered',
        file,
        `it is report ${manifest.number} of ${manifest.service}, and lies where report ${number} of ${this.service} belongs`,
        'Put every report back under its own number, or the folder back from a backup.',
      );
    else if (whole) this.follows(link);
    this.ranOnce(link);
    await this.artefacts(link);
    if (whole) await this.signature(link);
  }

  private missing(number: number): void {
    const elsewhere = this.chain.reports.find((r) => this.marks.byNumber.get(number)?.includes(r.sha256));
    if (elsewhere !== undefined && !this.chain.without.includes(number))
      this.add('changed', this.marksName, `its line for report ${number} holds the hash of report ${elsewhere.number}`);
    else this.gone(number);
  }

  private gone(number: number): void {
    const file = this.chain.without.includes(number)
      ? this.name(number, MANIFEST)
      : this.storage.nameOf(this.service, number);
    this.add(
      'missing',
      file,
      this.marks.byNumber.has(number) ? 'it was filed and is gone' : 'it is gone: later reports follow it',
    );
  }

  /** Whether the manifest's bytes are those that its mark, the report after it, or its signature names. */
  private async manifestIsAsFiled({ number, sha256, manifest }: Link): Promise<boolean> {
    const marked = this.marks.byNumber.get(number);
    if (marked === undefined || marked.includes(sha256)) return true;
    const next = this.byNumber.get(number + 1)?.manifest;
    const followed = next?.number === number + 1 ? next.previous : undefined;
    if (followed === sha256 || (followed === undefined && (await this.isSigned(number, manifest)))) {
      this.add('changed', this.marksName, `its line for report ${number} is not the one that was written`);
      return true;
    }
    const why =
      followed === undefined
        ? `it and ${this.marksName} do not agree, and nothing follows it that could tell which was changed`
        : 'its bytes are not those that were filed';
    this.add('changed', this.name(number, MANIFEST), `${why}: SHA-256 ${sha256}, filed ${marked.join(' or ')}`);
    return false;
  }

  private async isSigned(number: number, manifest: Manifest | null): Promise<boolean> {
    if (manifest?.signer == null) return false;
    return signatureProblem(...(await this.signed(number)), manifest.signer.keyId) === null;
  }

  private async signed(number: number): Promise<[manifest: Uint8Array, signature: Uint8Array | null]> {
    const read = (file: string) => this.storage.read(this.service, number, file);
    const [manifest, signature] = await Promise.all([read(MANIFEST), read(SIGNATURE)]);
    return [manifest ?? new Uint8Array(), signature];
  }

  private follows({ number, manifest }: Link): void {
    const before = this.marks.byNumber.get(number - 1) ?? [];
    const actual = this.byNumber.get(number - 1)?.sha256;
    const names = manifest!.previous;
    if (number === 1 ? names === null : names !== null && (before.includes(names) || names === actual)) return;
    // A report that is gone and was never noted leaves nothing to compare with; it is a problem of its own.
    if (number > 1 && before.length === 0 && actual === undefined) return;
    this.add(
      'inserted',
      this.name(number, MANIFEST),
      `it does not follow report ${number - 1}: it was put in, or the one before it was replaced`,
    );
  }

  private ranOnce({ number, manifest }: Link): void {
    const { runId } = manifest!.run;
    const before = this.seenRuns.get(runId);
    if (before === undefined) this.seenRuns.set(runId, number);
    else
      this.add('inserted', this.storage.nameOf(this.service, number), `report ${before} is of the same run, ${runId}`);
  }

  private async artefacts({ number, manifest }: Link): Promise<void> {
    const listed = new Map(Object.entries(manifest!.artefacts));
    const own = [MANIFEST, ...(manifest!.signer === null ? [] : [SIGNATURE])];
    for (const name of await this.storage.files(this.service, number))
      if (!listed.has(name) && !own.includes(name)) this.stranger(this.name(number, name));
    for (const [name, filed] of listed) {
      const bytes = await this.storage.read(this.service, number, name);
      if (bytes === null) this.add('missing', this.name(number, name), 'it was filed and is gone');
      else if (sha256(bytes) !== filed.sha256)
        this.add(
          'changed',
          this.name(number, name),
          `its bytes are not those that were filed: ${bytes.length} bytes, SHA-256 ${sha256(bytes)}; filed ${filed.bytes}, ${filed.sha256}`,
        );
    }
  }

  private async signature({ number, manifest }: Link): Promise<void> {
    const { signer } = manifest!;
    if (signer === null) return;
    const problem = signatureProblem(...(await this.signed(number)), signer.keyId);
    const { trusted } = this.options;
    if (problem !== null) this.add('signature', this.name(number, SIGNATURE), problem);
    else if (trusted !== undefined && !trusted.includes(signer.keyId))
      this.add(
        'signature',
        this.name(number, SIGNATURE),
        `it was made with the key ${signer.keyId}, which is none of those that were given`,
        'Find out whose key it is. If it is yours, give it as well: --public-key may be repeated.',
      );
    else this.vouched.set(number, signer.keyId);
  }

  /** A signature vouches for every report before it, through the chain; what comes after the last one has none. */
  signatures(): void {
    if (this.options.trusted === undefined) return;
    const last = Math.max(0, ...this.vouched.keys());
    for (const { number } of this.chain.reports)
      if (number > last)
        this.add(
          'signature',
          this.storage.nameOf(this.service, number),
          'no signature of a key that was given vouches for it',
          'Set RAMPART_REPORT_KEY where reports are filed; compare this report with the run in Temporal.',
        );
  }

  keptHead(): void {
    const { head } = this.options;
    if (head === undefined || this.chain.reports.some((r) => r.sha256 === head)) return;
    this.add('missing', this.service, `none of its reports has the hash that was kept: ${head}`);
  }

  private get marksName(): string {
    return this.storage.marksName(this.service);
  }

  private name(number: number, file: string): string {
    return this.storage.nameOf(this.service, number, file);
  }

  private add(kind: ProblemKind, file: string, message: string, remedy?: string): void {
    const usual =
      kind === 'missing' || kind === 'changed'
        ? 'Put it back from a backup. Do not file it again: what is there stays as it is.'
        : 'Compare with a backup, and take out what was never filed.';
    this.problems.push({ kind, file, message, remedy: remedy ?? usual });
  }
}
