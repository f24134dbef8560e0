/** What drivers of routers and workloads find before a plan, as it counts for its mode. Pure. */
import type { Finding } from './ports.ts';

/**
 * What a planned move may not have, an unplanned one is only told of: its data must not wait for a name or for machines,
 * whose own steps refuse what is wrong.
 * @param always codes that stop both: two regions taken for one another would send clients to the wrong data
 */
export function findingsFor(
  mode: 'planned' | 'unplanned',
  found: readonly Finding[],
  always: readonly string[] = [],
): Finding[] {
  const lowered = ({ severity, code }: Finding) =>
    mode === 'unplanned' && severity === 'blocker' && !always.includes(code);
  return found.map((one) => (lowered(one) ? { ...one, severity: 'warning' } : one));
}
