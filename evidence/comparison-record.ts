/** What a round of a comparison of two regions found. Types only. It holds keys and times, and no other value of a row. */
import type { ComparisonResult, Millis } from '../drivers/ports.ts';

export interface ComparisonRecord extends ComparisonResult {
  version: 1;
  /** The same for every attempt of the same round. */
  id: string;
  comparison: string;
  service: string;
  startedAt: Millis;
  endedAt: Millis;
  lagSloMs: Millis;
}
