/** What a sender is told. Senders send again after 503, and give up after anything that begins with 4. */

export type Result =
  | 'accepted'
  | 'duplicate'
  | 'ignored'
  | 'unauthorized'
  | 'invalid'
  | 'tooLarge'
  | 'unknownSource'
  | 'unavailable';

export interface Answer {
  status: 200 | 202 | 400 | 401 | 404 | 413 | 503;
  result: Result;
  /** For the sender. Before it is known who that is, it says nothing about the source. */
  error?: string;
  /** Alerts that were read and handed over. */
  alerts?: number;
  /** With 503, in seconds. */
  retryAfterS?: number;
  /** For the log only. */
  reason?: string;
}

const RETRY_AFTER_S = 2;

export const unauthorized = (reason: string): Answer => ({
  ...{ status: 401, result: 'unauthorized', reason },
  error: 'not authenticated; the log of rampart serve says why',
});

export const unavailable = (reason: string, retryAfterS = RETRY_AFTER_S): Answer => ({
  ...{ status: 503, result: 'unavailable', reason, retryAfterS },
  error: 'not taken: send it again',
});

export const invalid = (error: string): Answer => ({ status: 400, result: 'invalid', error, reason: error });

export const UNKNOWN_SOURCE: Answer = { status: 404, result: 'unknownSource', error: 'there is nothing here' };
