/** Everything a halt knows, and what it hands to its next run. */
import { log, workflowInfo } from '@temporalio/workflow';
import type { HaltTarget } from '../../activities/contract.ts';
import type { HaltRecord } from '../../evidence/halt-record.ts';

/** Log lines and notes kept: enough for any investigation, and far below the size limits of a query answer. */
const MOST_LINES = 200;

export interface HaltInput {
  service: string;
  by: string;
  reason: string;
  /** `false`: replicas go on. */
  replication?: boolean;
  /** From the run before, after a continue-as-new. */
  carried?: { record: HaltRecord; target: HaltTarget };
}

export class HaltState {
  record: HaltRecord;
  target: HaltTarget | null;
  /** The run under the lock was inside its cut at the last look. */
  inCut = false;

  constructor(input: unknown) {
    const given = (typeof input === 'object' && input !== null ? input : {}) as Partial<HaltInput>;
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    this.target = given.carried?.target ?? null;
    this.record = given.carried?.record ?? {
      version: 1,
      workflowId: workflowInfo().workflowId,
      runId: workflowInfo().firstExecutionRunId,
      service: text(given.service),
      owner: '',
      by: text(given.by),
      reason: text(given.reason),
      startedAt: Date.now(),
      state: 'stopping',
      endedAt: null,
      ended: null,
      run: null,
      recent: [],
      observed: null,
      replicas: [],
      unpaused: [],
      recovery: [],
      runbooks: [],
      notes: [],
      log: [],
      leftover: [],
    };
  }

  note(text: string): void {
    if (this.record.log.at(-1)?.text === text) return;
    this.record.log = [...this.record.log, { at: Date.now(), text }].slice(-MOST_LINES);
    log.info(text);
  }

  write(by: string, text: string): void {
    this.record.notes = [...this.record.notes, { at: Date.now(), by, text }].slice(-MOST_LINES);
    log.info(`${by}: ${text}`);
  }

  carry(): HaltInput {
    const { service, by, reason } = this.record;
    return { service, by, reason, carried: { record: this.record, target: this.target! } };
  }
}
