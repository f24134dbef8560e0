/** Payloads that a real Alertmanager 0.25 sent, and signatures that other implementations made. */
import { readFileSync } from 'node:fs';

const read = (name: string): string => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');

/** One alert; its repeats were the same byte for byte. */
export const FIRING = read('alertmanager-firing.json');
/** `max_alerts: 1`: the second instance is not in it. */
export const TRUNCATED = read('alertmanager-truncated.json');
export const RESOLVED = read('alertmanager-resolved.json');

interface Vector {
  secret: string;
  header: string;
  value: string;
}

export const HMAC = JSON.parse(read('hmac-vectors.json')) as {
  body: string;
  /** Seconds since the epoch. */
  timestamp: number;
  vectors: Record<
    'pagerduty' | 'grafana_no_timestamp' | 'grafana_with_timestamp' | 'github' | 'slack' | 'standard_webhooks',
    Vector
  >;
};
