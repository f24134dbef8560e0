/** What stands in the way of a change, as far as reading tells. Pure. */
import type { RegionName } from '../../topology/model.ts';
import type { Finding } from '../ports.ts';
import type { Reading } from './api.ts';
import { type AcceleratorConfig, API_REGION, type Unit } from './config.ts';
import { faultsIn, unhealthyIn, valuesIn } from './state.ts';
import { percentOf, showValues } from './values.ts';

export function findingsOf(
  component: string,
  config: AcceleratorConfig,
  units: readonly Unit[],
  { mode, from, to }: { mode: 'planned' | 'unplanned'; from: RegionName; to: RegionName },
  reading: Reading,
): Finding[] {
  const finding = (
    code: string,
    severity: Finding['severity'],
    message: string,
    remedy: string,
    region: RegionName | null = null,
  ): Finding => ({ code, severity, component, region, message: `${component}: ${message}.`, remedy });
  /** Unknown is not good; but data does not wait for a router, whose own steps refuse what is wrong. */
  const strict = mode === 'planned' ? 'blocker' : 'warning';
  const found = faultsIn(units, reading).map(({ code, message, remedy, region }) =>
    finding(code, strict, message, remedy, region),
  );
  if (!reading.enabled)
    found.push(
      finding('acceleratorDisabled', strict, 'the accelerator is disabled and takes no traffic', 'Enable it.'),
    );
  const unhealthy = unhealthyIn(to, units, reading, config.by === 'dial');
  if (unhealthy !== null) {
    const message = `Global Accelerator finds ${to} unhealthy: ${unhealthy}; it sends nothing there, whatever is turned`;
    found.push(
      finding(
        'acceleratorUnhealthy',
        strict,
        message,
        'Bring the endpoints to health, or correct its health check.',
        to,
      ),
    );
  }
  if (units.some(({ region, awsRegion }) => region === from && awsRegion === API_REGION)) {
    const message = `its API is in ${API_REGION}, the region of AWS that ${from} is in: while that is down, nothing can be turned`;
    found.push(
      finding('acceleratorApiInSource', 'warning', message, 'Have DNS or another router that does not need it.', from),
    );
  }
  const values = valuesIn(units, reading);
  if (config.by === 'dial' && values !== null) {
    const sum = Object.values(percentOf(units, values) === null ? {} : values).reduce(
      (total, value) => total + value,
      0,
    );
    if (sum > 100 && new Set(units.map(({ region }) => region)).size === units.length) {
      const message = `${showValues('dial', units, values)} add up to more than 100: each region has the clients that are nearest to it. A ramp turns them to values that add up to 100, which sends clients farther`;
      found.push(finding('acceleratorByNearness', 'info', message, 'An undo turns them back to what they are now.'));
    }
  }
  return found;
}
