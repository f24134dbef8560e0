import { setMaxListeners } from 'node:events';
import { RampartError } from '../../drivers/errors.ts';
import type { DriverContext, Token } from '../../drivers/ports.ts';

export interface ContextOptions extends Partial<DriverContext> {
  /** What `secret` knows, by reference. */
  secrets?: Record<string, string>;
  /** Every fact reported by `heartbeat` is put here. */
  heartbeats?: unknown[];
}

/** A driver's context outside Temporal, with a real clock and secrets from a table. */
export function driverContext(options: ContextOptions = {}): DriverContext {
  const { secrets = {}, heartbeats = [], ...rest } = options;
  const silent = () => undefined;
  const controller = new AbortController();
  // Many requests of one call wait for the same signal.
  setMaxListeners(0, controller.signal);
  return {
    signal: controller.signal,
    heartbeat: (facts) => heartbeats.push(facts),
    now: Date.now,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    secret: async (ref) => {
      if (!ref.startsWith('${')) return ref;
      const value = secrets[ref];
      if (value === undefined) throw new RampartError('InvalidInput', `${ref} is not set`);
      return value;
    },
    place: { region: null, place: null },
    stateDir: '/nonexistent',
    run: { workflowId: 'failover/checkout', runId: 'run-1', service: 'checkout' },
    ...rest,
  };
}

export function token(epoch: number, runId: string, seq: number): Token {
  return { systemId: null, expectedTimeline: null, epoch, runId, seq };
}
