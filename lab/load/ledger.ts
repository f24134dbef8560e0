/**
 * What the load has been told: every acknowledgement with its time and the region that gave it, appended to
 * a file before it counts. Later the ledger proves that each acknowledged order is there.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

export interface Acknowledgement {
  id: string;
  /** When the request that was acknowledged had been sent, milliseconds since the epoch. */
  sentAt: number;
  /** When the acknowledgement arrived. */
  at: number;
  region: string;
  /** Requests it took; more than one means that the client had to repeat it. */
  attempts: number;
}

export interface WindowReport {
  from: number;
  to: number;
  /** Orders acknowledged in the window. */
  acknowledged: number;
  /** Requests, of both kinds, answered with an error or not at all in the window. */
  errors: number;
  reads: number;
  /** Acknowledged orders that a read did not find. */
  missedReads: number;
  /** Longest time between two acknowledgements, milliseconds, the window's ends included. */
  writeGapMs: number;
  /** When that gap began. */
  writeGapAt: number | null;
  /**
   * Answers (writes and reads) by the region that gave them, of requests sent in the window, whenever they were
   * answered: which region gets a request is decided as it arrives, and a slow region must not count less.
   */
  regions: Record<string, number>;
  perSecond: number;
}

interface Answer {
  sentAt: number;
  at: number;
  region: string | null;
  kind: 'write' | 'read' | 'miss' | 'error';
}

export class Ledger {
  readonly #file: number;
  readonly acknowledgements: Acknowledgement[] = [];
  readonly #answers: Answer[] = [];

  /** @param path file that gets one JSON line per acknowledgement */
  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  acknowledged(entry: Acknowledgement): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
    this.acknowledgements.push(entry);
    this.#answers.push({ sentAt: entry.sentAt, at: entry.at, region: entry.region, kind: 'write' });
  }

  read(sentAt: number, at: number, region: string, found: boolean): void {
    this.#answers.push({ sentAt, at, region, kind: found ? 'read' : 'miss' });
  }

  error(at: number): void {
    this.#answers.push({ sentAt: at, at, region: null, kind: 'error' });
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Everything that happened between two moments (milliseconds since the epoch). */
  report(from: number, to: number): WindowReport {
    const inside = this.#answers.filter((answer) => answer.at >= from && answer.at <= to);
    const regions: Record<string, number> = {};
    for (const { region, sentAt } of this.#answers)
      if (region && sentAt >= from && sentAt <= to) regions[region] = (regions[region] ?? 0) + 1;
    const writes = inside.filter(({ kind }) => kind === 'write');
    const count = (kind: Answer['kind']): number => inside.filter((answer) => answer.kind === kind).length;
    return {
      from,
      to,
      acknowledged: writes.length,
      errors: count('error'),
      reads: count('read') + count('miss'),
      missedReads: count('miss'),
      ...longestGap(
        writes.map(({ at }) => at),
        from,
        to,
      ),
      regions,
      perSecond: to > from ? Math.round((inside.length / (to - from)) * 10_000) / 10 : 0,
    };
  }
}

/** The longest stretch without an acknowledgement, the way to both ends of the window included. */
export function longestGap(
  times: number[],
  from: number,
  to: number,
): { writeGapMs: number; writeGapAt: number | null } {
  let writeGapMs = 0;
  let writeGapAt: number | null = null;
  let previous = from;
  for (const time of [...times, to]) {
    if (time - previous > writeGapMs) {
      writeGapMs = time - previous;
      writeGapAt = previous;
    }
    previous = time;
  }
  return { writeGapMs: Math.round(writeGapMs * 10) / 10, writeGapAt };
}
