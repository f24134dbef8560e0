/** Files what is over and not filed yet, for the control workers and for `rampart report file`. */
import type { DrillRecord, RunRecord } from '../../evidence/record.ts';
import type { Temporal } from '../connection.ts';
import { closedSince, endingOf, type RunRef, type WorkflowStatus } from '../runs.ts';
import { type Filed, fileReport, readChain } from './file.ts';
import { MANIFEST } from './manifest.ts';
import type { Signer } from './signature.ts';
import type { ReportStorage } from './storage.ts';

/** A run that is over, as a report is made of it. */
export interface Ended {
  /** `null`: nothing is known of it but that it ended. */
  subject: RunRecord | DrillRecord | null;
  /** How it ended, for people. */
  text: string;
}

/**
 * What became of a closed run. One that was cut off (terminated, timed out) left a record without an end: Temporal says
 * what the end was, and that nothing of it was put back.
 */
export async function endedRun(temporal: Temporal, ref: RunRef): Promise<Ended> {
  const { drill, record, text } = await endingOf(temporal, ref);
  const endedAt = ref.closedAt;
  if (drill !== undefined)
    return { text, subject: drill.verdict === null ? { ...drill, verdict: 'failed', text, endedAt } : drill };
  if (record === null) return { text, subject: null };
  return { text, subject: record.outcome === null ? { ...record, outcome: 'needsHuman', text, endedAt } : record };
}

/** Run IDs whose reports the store holds. */
export async function filedRuns(storage: ReportStorage): Promise<Set<string>> {
  const filed = new Set<string>();
  for (const service of (await storage.services()) ?? [])
    for (const { manifest } of (await readChain(storage, service)).reports)
      if (manifest !== null) filed.add(manifest.run.runId);
  return filed;
}

export interface Swept {
  filed: Filed[];
  /** Runs that are over and left nothing to file. */
  left: Array<{ workflowId: string; runId: string; why: string }>;
  /** Runs that could not be filed now. */
  failed: Array<{ workflowId: string; runId: string; why: string }>;
}

/** So many closed runs are looked at in one sweep. */
const LIMIT = 5_000;
/** Visibility may tell of an end late, and a clock may be off: so far back a sweep looks again, in milliseconds. */
const OVERLAP_MS = 600_000;
/** From time to time everything is looked at again, in milliseconds: a report may have been lost with its disk. */
const WHOLE_EVERY_MS = 3_600_000;

const CUT_OFF: readonly WorkflowStatus[] = ['CANCELLED', 'TERMINATED', 'TIMED_OUT'];

export interface SweeperOptions {
  storage: ReportStorage;
  signer: Signer | null;
  /** Milliseconds since the epoch. */
  now?(): number;
}

/**
 * Remembers what it has seen, so that a sweep costs one question to Temporal as long as nothing ended. Several sweepers
 * may share a store: the store gives a number once, and a run is filed once.
 */
export class Sweeper {
  readonly #storage: ReportStorage;
  readonly #signer: Signer | null;
  readonly #now: () => number;
  /** Run IDs that are filed, or left nothing to file. */
  #settled = new Set<string>();
  #since = 0;
  #wholeAt = Number.NEGATIVE_INFINITY;

  constructor({ storage, signer, now = Date.now }: SweeperOptions) {
    this.#storage = withKnownManifests(storage);
    this.#signer = signer;
    this.#now = now;
  }

  /** @throws Error when Temporal or the store cannot be read; what one run says against its filing is in the answer */
  async sweep(temporal: Temporal): Promise<Swept> {
    const began = this.#now();
    if (began - this.#wholeAt >= WHOLE_EVERY_MS) {
      this.#settled = await filedRuns(this.#storage);
      this.#since = 0;
      this.#wholeAt = began;
    }
    const runs = (await closedSince(temporal, this.#since, LIMIT)).filter(({ runId }) => !this.#settled.has(runId));
    const out: Swept = { filed: [], left: [], failed: [] };
    // In the order in which they ended: a chain is read as a history.
    for (const ref of runs.sort((a, b) => (a.closedAt ?? 0) - (b.closedAt ?? 0))) await this.#file(temporal, ref, out);
    if (out.failed.length === 0) this.#since = began - OVERLAP_MS;
    return out;
  }

  async #file(temporal: Temporal, ref: RunRef, out: Swept): Promise<void> {
    const { workflowId, runId } = ref;
    try {
      const { subject, text } = await endedRun(temporal, ref);
      // A drill that is no longer in the topology was skipped without anybody knowing its service.
      if (subject === null || subject.service === '') {
        out.left.push({ workflowId, runId, why: text });
        // Of one that was cut off only a worker can tell, which may not have been there to answer.
        if (CUT_OFF.includes(ref.status)) return;
      } else if (!this.#settled.has(subject.runId)) {
        const filed = await fileReport(this.#storage, subject, { signer: this.#signer, now: this.#now() });
        if (!filed.already) out.filed.push(filed);
        this.#settled.add(subject.runId);
      }
      this.#settled.add(runId);
    } catch (error) {
      out.failed.push({ workflowId, runId, why: error instanceof Error ? error.message : String(error) });
    }
  }
}

/** Manifests are never written over: one that was read need not be read again to file the next report. */
function withKnownManifests(storage: ReportStorage): ReportStorage {
  const known = new Map<string, Uint8Array>();
  return {
    ...storage,
    read: async (service, number, file) => {
      if (file !== MANIFEST) return storage.read(service, number, file);
      const name = `${service} ${number}`;
      const bytes = known.get(name) ?? (await storage.read(service, number, file));
      if (bytes !== null) known.set(name, bytes);
      return bytes;
    },
  };
}
