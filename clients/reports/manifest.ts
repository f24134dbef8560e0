/** What names a filed report: its place in the chain, its run, and the hash of each of its files. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { phasesOf, timesOf } from '../../evidence/clocks.ts';
import { drillEvidence, drillProves, isDrill, verdictOfDrill } from '../../evidence/drill.ts';
import { recoveryPointMs } from '../../evidence/objectives.ts';
import type { DrillRecord } from '../../evidence/record.ts';
import { ENDINGS, FORMATS, renderDrill, renderReport } from '../../evidence/render.ts';
import { buildReport, type Report, type RunEvidence } from '../../evidence/report.ts';
import { canonicalJson } from '../../topology/canonical.ts';
import type { Signer } from './signature.ts';

export const MANIFEST = 'manifest.json';
export const SIGNATURE = 'manifest.sig.json';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const ms = z.number().nullable();

/** A run in a line: what `rampart history` shows without opening the report. Times in milliseconds. */
const summarySchema = z.strictObject({
  workflowId: z.string(),
  runId: z.string(),
  action: z.string(),
  mode: z.string(),
  from: z.string().nullable(),
  to: z.string().nullable(),
  by: z.string().nullable(),
  outcome: z.string(),
  verdict: z.string(),
  startedAt: ms,
  endedAt: ms,
  /** Recovery time and point achieved; `null` where there is none. */
  rtaMs: ms,
  rpaMs: ms,
  rtoMs: ms,
  rpoMs: ms,
  machineMs: ms,
  peopleMs: ms,
  /** It moved the service and met what was promised. */
  proves: z.boolean(),
  nextDueAt: ms,
});

const manifestSchema = z.strictObject({
  schema: z.literal('rampart.manifest/1'),
  service: z.string(),
  number: z.number().int().positive(),
  filedAt: z.number(),
  /** SHA-256 of the manifest before it; `null` for the first. */
  previous: hash.nullable(),
  run: summarySchema,
  artefacts: z.record(z.string(), z.strictObject({ bytes: z.number().int(), sha256: hash })),
  signer: z.strictObject({ algorithm: z.literal('ed25519'), keyId: hash }).nullable(),
});

export type Summary = z.infer<typeof summarySchema>;
export type Manifest = z.infer<typeof manifestSchema>;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** @returns `null` when the bytes are no manifest as it is written here, byte for byte */
export function readManifest(bytes: Uint8Array): Manifest | null {
  try {
    const text = Buffer.from(bytes).toString('utf8');
    const read = manifestSchema.safeParse(JSON.parse(text));
    return read.success && `${canonicalJson(read.data)}\n` === text ? read.data : null;
  } catch {
    return null;
  }
}

/** What a report is made of. */
export type Subject = RunEvidence | DrillRecord;

/** Files of a report, the manifest with its signature among them. */
export function buildFiles(
  subject: Subject,
  place: { service: string; number: number; previous: string | null; filedAt: number },
  signer: Signer | null,
): Map<string, Uint8Array> {
  const artefacts = new Map<string, Uint8Array>(
    FORMATS.map((format) => [
      `report.${ENDINGS[format]}`,
      Buffer.from(
        isDrill(subject)
          ? renderDrill(subject, format, { generatedAt: place.filedAt })
          : renderReport(subject, format, { generatedAt: place.filedAt }),
      ),
    ]),
  );
  const manifest: Manifest = {
    schema: 'rampart.manifest/1',
    ...place,
    run: isDrill(subject) ? summaryOfDrill(subject) : summaryOf(buildReport(subject)),
    artefacts: Object.fromEntries(
      [...artefacts].map(([name, bytes]) => [name, { bytes: bytes.length, sha256: sha256(bytes) }]),
    ),
    signer: signer === null ? null : { algorithm: 'ed25519', keyId: signer.keyId },
  };
  const bytes = Buffer.from(`${canonicalJson(manifest)}\n`);
  const signature: Array<[string, Uint8Array]> = signer === null ? [] : [[SIGNATURE, signer.sign(bytes)]];
  return new Map([...artefacts, [MANIFEST, bytes], ...signature]);
}

const MOVES = ['failover', 'failback'];

/** The line of a run in a history. */
export function summaryOf(report: Report): Summary {
  const { record } = report;
  const rta = phasesOf(record).find((p) => p.name === 'Recovery')?.totalMs;
  const times = timesOf(record);
  const at = (value: number | null | undefined) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
  return {
    workflowId: record.workflowId,
    runId: record.runId,
    action: record.action,
    mode: record.mode,
    from: record.from,
    to: record.to,
    by: record.request.by ?? null,
    outcome: record.outcome ?? 'running',
    verdict: report.verdict,
    startedAt: at(record.startedAt),
    endedAt: at(record.endedAt),
    rtaMs: MOVES.includes(record.action) ? at(rta) : null,
    rpaMs: MOVES.includes(record.action) ? recoveryPointMs(record) : null,
    rtoMs: at(record.targets?.rtoMs),
    rpoMs: at(record.targets?.rpoMs),
    machineMs: at(times.machineMs),
    peopleMs: at(times.waitingMs),
    proves:
      MOVES.includes(record.action) &&
      record.outcome === 'completed' &&
      ['passed', 'passed with findings'].includes(report.verdict),
    nextDueAt: at(record.context?.nextDueAt),
  };
}

/** A drill in a line: recovery time and point are those of the way there, which is what was rehearsed. */
export function summaryOfDrill(drill: DrillRecord): Summary {
  const legs = drillEvidence(drill).map((leg) => summaryOf(buildReport(leg)));
  const sum = (key: 'machineMs' | 'peopleMs') => legs.reduce((total, leg) => total + (leg[key] ?? 0), 0);
  const there = legs[0];
  return {
    workflowId: drill.workflowId,
    runId: drill.runId,
    action: 'drill',
    mode: 'planned',
    from: drill.from,
    to: drill.to,
    by: drill.by,
    outcome: drill.verdict === 'passed' ? 'completed' : (drill.verdict ?? 'running'),
    verdict: verdictOfDrill(drill),
    startedAt: drill.startedAt,
    endedAt: drill.endedAt,
    rtaMs: there?.rtaMs ?? null,
    rpaMs: there?.rpaMs ?? null,
    rtoMs: there?.rtoMs ?? null,
    rpoMs: there?.rpoMs ?? null,
    machineMs: sum('machineMs'),
    peopleMs: sum('peopleMs'),
    proves: drillProves(drill),
    nextDueAt: there?.nextDueAt ?? null,
  };
}
