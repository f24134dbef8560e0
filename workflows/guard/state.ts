/** Everything a guard knows, and what it hands to its next run. */
import { ApplicationFailure } from '@temporalio/common';
import { log, workflowInfo } from '@temporalio/workflow';
import type { WatchServiceAnswer } from '../../activities/contract.ts';
import type { Millis } from '../../drivers/ports.ts';
import { EMPTY_MEMORY } from '../../plan/health/judge.ts';
import type { Health, Memory } from '../../plan/health/model.ts';
import type { GuardStatus } from '../contract.ts';
import { NONE_UNTOLD, type Untold } from './untold.ts';

/** Tries to fence the old primary that is back now. */
export interface Refencing {
  tries: number;
  lastAt: Millis | null;
  /** Not tried again before. */
  notBefore: Millis;
  text: string;
}

export interface GuardInput {
  service: string;
  /** From the run before, after a continue-as-new. */
  carried?: { health: Health | null; memory: Memory; refencing: Refencing; untold?: Untold };
}

export const NO_REFENCING: Refencing = { tries: 0, lastAt: null, notBefore: 0, text: '' };

export class GuardState {
  readonly service: string;
  health: Health | null;
  memory: Memory;
  refencing: Refencing;
  untold: Untold;
  text = 'watching';
  /** Search attributes as last upserted. */
  shown: Record<string, string> = {};

  /** @throws ApplicationFailure InvalidInput when the input names no service */
  constructor(input: GuardInput) {
    const service = (input as GuardInput | undefined)?.service;
    if (typeof service !== 'string' || service === '')
      throw ApplicationFailure.nonRetryable('the input must be {"service":"<name>"}', 'InvalidInput');
    this.service = service;
    this.health = input.carried?.health ?? null;
    this.memory = input.carried?.memory ?? EMPTY_MEMORY;
    this.refencing = input.carried?.refencing ?? NO_REFENCING;
    this.untold = input.carried?.untold ?? NONE_UNTOLD;
  }

  takeIn({ health, memory }: WatchServiceAnswer): void {
    this.health = health;
    this.memory = memory;
    this.text = 'watching';
    if (health.returned === null) this.refencing = NO_REFENCING;
  }

  note(text: string): void {
    this.text = text;
    log.info(text);
  }

  end(text: string): string {
    this.text = text;
    return text;
  }

  carry(): GuardInput {
    const { service, health, memory, refencing, untold } = this;
    return { service, carried: { health, memory, refencing, untold } };
  }

  status(): GuardStatus {
    const { tries, lastAt, text } = this.refencing;
    return {
      workflowId: workflowInfo().workflowId,
      service: this.service,
      now: Date.now(),
      health: this.health,
      refence: { tries, lastAt, text },
      text: this.text,
    };
  }
}
