/** What stands in the way of a change of size, as far as reading tells. */
import { RampartError } from '../../errors.ts';
import { findingsFor } from '../../findings.ts';
import type { Finding } from '../../ports.ts';
import { readBefore } from './tags.ts';
import { wantedUnits } from './wanted.ts';
import type { CapacityOptions } from './workload.ts';

interface Direction {
  mode: 'planned' | 'unplanned';
  from: string;
  to: string;
}

export async function capacityFindings(options: CapacityOptions, { mode, from, to }: Direction): Promise<Finding[]> {
  const sides = [from, to].filter((region) => options.component.sides[region] !== undefined);
  const found = await Promise.all(
    sides.map((region) => (region === to ? ofTarget(options, from, to) : ofSource(options, region))),
  );
  return findingsFor(mode, found.flat());
}

/** What is left loses nothing that it still needs. */
async function ofSource(options: CapacityOptions, region: string): Promise<Finding[]> {
  try {
    const backend = await options.open(region, options.config.timeout);
    const [own] = await Promise.all([backend.findings(), backend.read()]);
    return own.map((one) => (one.severity === 'blocker' ? { ...one, severity: 'warning' } : one));
  } catch (error) {
    return [unreadable(options, region, error, 'warning')];
  }
}

async function ofTarget(options: CapacityOptions, from: string, to: string): Promise<Finding[]> {
  const { component, config } = options;
  const place = `${component.name} in ${to}`;
  const finding = (severity: Finding['severity'], code: string, message: string, remedy: string): Finding => ({
    ...{ code, severity, component: component.name, region: to, message, remedy },
  });
  try {
    const backend = await options.open(to, config.timeout);
    const [reading, found] = await Promise.all([backend.read(), backend.findings()]);
    const { units, unread } = await wantedUnits(to, options);
    if (unread.length > 0) {
      const message = `${place} shall have as many ${backend.unit} as the busiest other region runs, and the size of ${unread.join(', ')} cannot be read.`;
      const remedy = `Let it be read, or say in the topology how many ${backend.unit} ${to} needs.`;
      found.push(finding(unread.includes(from) ? 'blocker' : 'warning', 'capacityUnknown', message, remedy));
    }
    const { max } = readBefore(reading.tags, reading.size) ?? reading.size;
    if (max !== null && units > max) {
      const message = `${place} needs ${units} ${backend.unit} and its upper bound is ${max}.`;
      const remedy = 'Raise the upper bound, after a look at the quotas of the account.';
      found.push(finding('blocker', 'capacityBound', message, remedy));
    }
    const held = reading.size.desired >= units ? '' : await backend.obstacle('up');
    if (held !== '')
      found.push(finding('blocker', 'capacityHeld', `${place} cannot grow: ${held}.`, 'Take that back first.'));
    return found;
  } catch (error) {
    return [unreadable(options, to, error, 'blocker')];
  }
}

/** @throws what is no answer of the provider's */
function unreadable(
  { component }: CapacityOptions,
  region: string,
  error: unknown,
  severity: Finding['severity'],
): Finding {
  if (!(error instanceof RampartError)) throw error;
  const { message, remedy } = error;
  return { code: 'workloadUnreadable', severity, component: component.name, region, message, remedy };
}
