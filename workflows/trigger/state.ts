/** Everything a trigger's workflow knows, and what it hands to its next run. */
import { ApplicationFailure } from '@temporalio/common';
import { log, workflowInfo } from '@temporalio/workflow';
import type { Alert } from '../../topology/alerts.ts';
import type { Followed, TriggerStatus } from '../contract.ts';
import { EMPTY_MEMORY, type Memory, type Verdict } from './judge.ts';

const MOST_LINES = 50;

export interface TriggerInput {
  trigger: string;
  /** From the run before, after a continue-as-new. */
  carried?: { memory: Memory; run: Followed | null; inbox: Alert[]; log: TriggerStatus['log'] };
}

export class TriggerState {
  readonly name: string;
  memory: Memory;
  run: Followed | null;
  /** Alerts that were signalled and not looked at yet. */
  inbox: Alert[];
  verdict: Verdict | null = null;
  /** What keeps it from starting a run, as people were told; `null` = nothing does. */
  kept: string | null = null;
  log: TriggerStatus['log'];

  /** @throws ApplicationFailure InvalidInput when the input names no trigger */
  constructor(input: TriggerInput) {
    const name = (input as TriggerInput | undefined)?.trigger;
    if (typeof name !== 'string' || name === '')
      throw ApplicationFailure.nonRetryable('the input must be {"trigger":"<name>"}', 'InvalidInput');
    this.name = name;
    this.memory = input.carried?.memory ?? EMPTY_MEMORY;
    this.run = input.carried?.run ?? null;
    this.inbox = input.carried?.inbox ?? [];
    this.log = input.carried?.log ?? [];
  }

  note(text: string): void {
    if (this.log.at(-1)?.text === text) return;
    this.log = [...this.log, { at: Date.now(), text }].slice(-MOST_LINES);
    log.info(text);
  }

  carry(): TriggerInput {
    const { name, memory, run, inbox, log: lines } = this;
    return { trigger: name, carried: { memory, run, inbox, log: lines } };
  }

  status(): TriggerStatus {
    const { verdict } = this;
    return {
      workflowId: workflowInfo().workflowId,
      trigger: this.name,
      now: Date.now(),
      verdict: verdict?.kind ?? null,
      text: verdict?.text ?? '',
      until: verdict !== null && 'until' in verdict ? verdict.until : null,
      alerts: this.memory.alerts.map(({ source, key, firing, since, lastAt, text }) => ({
        ...{ source, key, firing },
        ...{ since, lastAt, text },
      })),
      run: this.run,
      log: this.log,
    };
  }
}

/** What a signal may hold: anything. Only what looks like alerts is taken. */
export function alertsIn(input: unknown): Alert[] {
  const list = Array.isArray(input) ? input : (input as { alerts?: unknown } | null)?.alerts;
  if (!Array.isArray(list)) return [];
  return list.filter((one): one is Alert => {
    const alert = one as Partial<Alert> | null;
    return (
      typeof alert === 'object' &&
      alert !== null &&
      typeof alert.source === 'string' &&
      typeof alert.key === 'string' &&
      (alert.delivery === null || typeof alert.delivery === 'string') &&
      typeof alert.receivedAt === 'number' &&
      (alert.status === 'firing' || alert.status === 'resolved' || alert.status === 'unknown') &&
      typeof alert.labels === 'object' &&
      alert.labels !== null &&
      typeof alert.annotations === 'object' &&
      alert.annotations !== null
    );
  });
}
