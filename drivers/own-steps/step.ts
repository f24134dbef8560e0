/** What a team's own step is told about the run it is part of. */
import { createHash } from 'node:crypto';
import type { DriverContext, Json } from '../ports.ts';
import type { Variables } from '../template.ts';

/** How often a running step says that it still runs, in milliseconds. */
export const HEARTBEAT_EVERY_MS = 1_000;

export interface OwnStepFacts {
  /** The step's id in the plan, for example `own:warm-cache`; an undo has its own. */
  step: string;
  region: string | null;
  from: string | null;
  to: string | null;
  mode: string;
  /** Milliseconds from now until the step must have ended. */
  deadlineMs: number;
}

/**
 * Names a command or call may use as `{{name}}`. `epoch`, `runId` and `seq` are the token: what a team's own system needs
 * to refuse an attempt that comes late (greater wins, a `seq` counts within one run). Empty for steps without an effect.
 */
export function variablesOf(facts: OwnStepFacts, context: Pick<DriverContext, 'run' | 'token'>): Variables {
  return {
    service: context.run.service,
    from: facts.from ?? '',
    to: facts.to ?? '',
    region: facts.region ?? '',
    mode: facts.mode,
    runId: context.run.runId,
    step: facts.step,
    epoch: context.token === undefined ? '' : String(context.token.epoch),
    seq: context.token === undefined ? '' : String(context.token.seq),
  };
}

/** The same for every attempt of one step of one run, and for nothing else, so that a repeat can be told. */
export function idempotencyKey(facts: OwnStepFacts, context: Pick<DriverContext, 'run'>): string {
  const { workflowId, runId } = context.run;
  const hash = createHash('sha256')
    .update(JSON.stringify([workflowId, runId, facts.step]))
    .digest('hex');
  return `rampart-${hash.slice(0, 32)}`;
}

/** The end of an output for a receipt or an error: short, on one line. */
export function excerpt(text: string, limit = 300): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= limit ? line : `…${line.slice(-limit)}`;
}

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
