/** What `rampart serve` tells Prometheus. Names of sources and words of answers: nothing out of a message. */
import { Registry } from '../../metrics/registry.ts';
import type { Result } from './answer.ts';

/** Known from the start, so that the first of each is seen as a rise. */
const RESULTS: readonly Result[] = ['accepted', 'duplicate', 'ignored', 'unauthorized', 'invalid', 'unavailable'];
const TAKEN: readonly Result[] = ['accepted', 'duplicate', 'ignored'];

export interface Counted {
  registry: Registry;
  /** @param ms from the headers of the message to its answer */
  count(source: string, result: Result, ms: number): void;
}

/** @param sources names in the topology */
export function countDeliveries(version: string, sources: readonly string[]): Counted {
  const registry = new Registry();
  registry.set('rampart_serve_info', { version }, 1);
  for (const source of sources)
    for (const result of RESULTS) registry.count('rampart_alert_deliveries_total', { source, result }, 0);
  return {
    registry,
    count: (source, result, ms) => {
      registry.count('rampart_alert_deliveries_total', { source, result });
      registry.observe('rampart_alert_delivery_duration_seconds', { source }, ms / 1000);
      if (TAKEN.includes(result))
        registry.set('rampart_alert_last_delivery_timestamp_seconds', { source }, Date.now() / 1000);
    },
  };
}
