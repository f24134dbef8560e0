/** Where alerts go that a sender was told are taken: the triggers' workflows. Types only. */
import type { Alert, AlertSource } from '../../topology/alerts.ts';

export type Delivered = 'accepted' | 'duplicate' | 'ignored';

export interface Inbox {
  /** The sources of the topology as it is now, by name. */
  sources(): Promise<Record<string, AlertSource>>;
  /**
   * Hands alerts of one delivery to every trigger they match. When it returns they are durable.
   * @returns `ignored`: no trigger wants any of them; `duplicate`: all of it was taken before
   * @throws {Unavailable} when they could not be kept: the sender must send them again
   */
  deliver(alerts: Alert[]): Promise<Delivered>;
}

/** Temporal or the topology is away: the answer is 503, and the sender tries again. */
export class Unavailable extends Error {
  /** When to try again, in seconds. */
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS = 2) {
    super(message);
    this.retryAfterS = retryAfterS;
  }
}
