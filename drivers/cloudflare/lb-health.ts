/** What Cloudflare's monitors say of a pool. */

export type PoolHealth = 'healthy' | 'unhealthy' | 'unknown';

export interface HealthReading {
  health: PoolHealth;
  /** For people: which data centres disagree, or why nothing is known. */
  detail: string;
}

/**
 * Reads `pop_health`, which the documentation shows as a map of data centres and the package's types as one flat
 * verdict. A pool is up when most of the data centres that look at it say so; no data is no health.
 */
export function readHealth(popHealth: unknown): HealthReading {
  const verdicts = verdictsOf(popHealth);
  const down = verdicts.filter(([, healthy]) => !healthy).map(([place]) => place);
  if (verdicts.length === 0) return { health: 'unknown', detail: 'no data of its monitor yet' };
  const health = down.length * 2 < verdicts.length ? 'healthy' : 'unhealthy';
  if (down.length === 0) return { health, detail: '' };
  const few = down.slice(0, 3).filter(Boolean).join(', ');
  return { health, detail: `down from ${down.length} of ${verdicts.length} places${few === '' ? '' : ` (${few}…)`}` };
}

function verdictsOf(popHealth: unknown): Array<[place: string, healthy: boolean]> {
  if (!isRecord(popHealth)) return [];
  if (typeof popHealth.healthy === 'boolean') return [['', popHealth.healthy]];
  return Object.entries(popHealth).flatMap(
    ([place, value]): Array<[string, boolean]> =>
      isRecord(value) && typeof value.healthy === 'boolean' ? [[place, value.healthy]] : [],
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
