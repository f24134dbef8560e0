/** One database server: process, log, what is on its disk. It does what PostgreSQL does, in the terms of its stops. */
import type { Claim, Journal } from '../../../drivers/ports.ts';
import type { Branch } from './history.ts';

/** `frozen`: it is there, holds its state and answers nobody (SIGSTOP). */
export type Process = 'up' | 'starting' | 'frozen' | 'down';

export interface FenceNote {
  /** End of the log at the clean stop; `null` when it did not stop cleanly. */
  final: number | null;
  branch: Branch;
  /** The run whose fence stopped a server that could write. */
  stoppedBy: string | null;
}

/** On disk, beside the data: survives every process. */
export interface NodeRecord {
  claim: Claim | null;
  journal: Journal | null;
  promote: { epoch: number; timeline: number } | null;
  fence: FenceNote | null;
}

export class Server {
  readonly store: string;
  readonly region: string;
  readonly name: string;
  process: Process = 'up';
  /** `standby.signal`: whoever starts it gets it read-only. */
  signal: boolean;
  /** What it is while it is up: in recovery, or taking writes. */
  recovering: boolean;
  branch: Branch;
  /** End of its log (primary) or what it has applied (standby), as of `since`. */
  end: number;
  since: number;
  follows: string | null;
  /** A stop is under way: it acknowledges nothing any more and answers nobody. */
  stopping = false;
  /** Its last stop wrote a shutdown checkpoint. */
  clean = false;
  record: NodeRecord = { claim: null, journal: null, promote: null, fence: null };
  /** Data put aside by a rebuild, with what it held. */
  aside: Array<{ branch: Branch; end: number }> = [];
  /** The life in which it was asked to promote; 0: it was not. */
  promoting = 0;
  /** Grows with every start, so that what was planned for an earlier process finds it gone. */
  life = 1;
  /** Whether somebody restarts it when it dies, and even after an orderly stop. */
  supervised = true;
  startedBy: 'rampart' | 'system' = 'system';
  eager = false;

  constructor(store: string, region: string, primary: string, branch: Branch, end: number, now: number) {
    this.store = store;
    this.region = region;
    this.name = `${store}-${region}`;
    this.recovering = region !== primary;
    this.signal = this.recovering;
    this.follows = this.recovering ? primary : null;
    this.branch = branch;
    this.end = end;
    this.since = now;
  }

  /** It accepts writes at this moment. */
  get writable(): boolean {
    return this.process === 'up' && !this.recovering && !this.stopping;
  }
}
