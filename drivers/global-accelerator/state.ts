/** What a reading means for the component: its dials or weights, its health, and what is wrong with it. Pure. */
import type { EndpointDescription } from '@aws-sdk/client-global-accelerator';
import type { RegionName } from '../../topology/model.ts';
import type { Reading } from './api.ts';
import type { Unit } from './config.ts';
import type { Values } from './values.ts';

/** What Global Accelerator takes for a dial or a weight that is not said. */
const USUAL_DIAL = 100;
const USUAL_WEIGHT = 128;

/** @returns `null` when a unit is not there */
export function valuesIn(units: readonly Unit[], { groups }: Reading): Values | null {
  const values: Values = {};
  for (const unit of units) {
    const group = groups.get(unit.group);
    const endpoint = group?.EndpointDescriptions?.find(({ EndpointId }) => EndpointId === unit.endpointId);
    if (group === undefined || (unit.endpointId !== null && endpoint === undefined)) return null;
    values[unit.key] =
      unit.endpointId === null ? (group.TrafficDialPercentage ?? USUAL_DIAL) : (endpoint!.Weight ?? USUAL_WEIGHT);
  }
  return values;
}

export interface Fault {
  code: 'acceleratorMissing' | 'acceleratorSwapped' | 'acceleratorOthers';
  region: RegionName | null;
  message: string;
  remedy: string;
}

/** What makes the component's weights unknown: nothing may be changed on such a ground. */
export function faultsIn(units: readonly Unit[], { groups }: Reading): Fault[] {
  const faults: Fault[] = [];
  for (const { region, group, awsRegion, endpointId } of units) {
    const found = groups.get(group);
    if (found === undefined) {
      const message = `there is no endpoint group ${group}, which ${region} shall have`;
      faults.push({ code: 'acceleratorMissing', region, message, remedy: 'Correct `endpointGroup`.' });
      continue;
    }
    if (found.EndpointGroupRegion !== awsRegion) {
      const message = `the endpoint group of ${region} is in ${found.EndpointGroupRegion}, the topology says ${awsRegion}`;
      const remedy = 'Are regions swapped in the topology? Correct `endpointGroup` or `awsRegion`.';
      faults.push({ code: 'acceleratorSwapped', region, message, remedy });
    }
    if (endpointId !== null && !found.EndpointDescriptions?.some(({ EndpointId }) => EndpointId === endpointId)) {
      const message = `${group} has no endpoint ${endpointId}, which ${region} shall have`;
      faults.push({ code: 'acceleratorMissing', region, message, remedy: 'Correct `endpointId`.' });
    }
  }
  const others = othersIn(units, groups);
  if (others.length > 0) {
    const message = `traffic also goes to ${others.join(', ')}, which is no region of it`;
    const remedy = 'Add it to the sides of the component, or turn it to 0.';
    faults.push({ code: 'acceleratorOthers', region: null, message, remedy });
  }
  return faults;
}

/** Groups of the same listeners, or endpoints of the same group, that take traffic and are not the component's. */
function othersIn(units: readonly Unit[], groups: Reading['groups']): string[] {
  if (units[0]?.endpointId === null) {
    const own = new Set(units.map(({ group }) => group));
    return [...groups.values()]
      .filter((group) => !own.has(group.EndpointGroupArn ?? '') && (group.TrafficDialPercentage ?? USUAL_DIAL) > 0)
      .map((group) => `the endpoint group in ${group.EndpointGroupRegion}`);
  }
  const own = new Set(units.map(({ endpointId }) => endpointId));
  return (groups.get(units[0]!.group)?.EndpointDescriptions ?? [])
    .filter(({ EndpointId = '', Weight = USUAL_WEIGHT }) => !own.has(EndpointId) && Weight > 0)
    .map(({ EndpointId }) => `the endpoint ${EndpointId}`);
}

/**
 * Why Global Accelerator would send a region's traffic elsewhere, in words; `null` when every one of its units has a
 * healthy endpoint. Dials do not matter for that: it leaves a group without a healthy endpoint whatever they say.
 * @param strict also health that is not known yet counts: not for an endpoint that has no weight so far
 */
export function unhealthyIn(
  region: RegionName,
  units: readonly Unit[],
  { groups }: Reading,
  strict: boolean,
): string | null {
  const problems = units
    .filter((unit) => unit.region === region)
    .flatMap(({ group, endpointId }) => {
      const all = groups.get(group)?.EndpointDescriptions ?? [];
      const serving =
        endpointId === null
          ? all.filter(({ Weight = USUAL_WEIGHT }) => Weight > 0)
          : all.filter(({ EndpointId }) => EndpointId === endpointId);
      const good = ({ HealthState: state }: EndpointDescription) =>
        state === 'HEALTHY' || (!strict && state !== 'UNHEALTHY');
      if (serving.some(good)) return [];
      return serving.length === 0 ? ['it has no endpoint with weight'] : serving.map(shown);
    });
  return problems.length === 0 ? null : problems.join(', ');
}

const shown = ({ EndpointId, HealthState }: EndpointDescription): string =>
  `${EndpointId} is ${HealthState ?? 'of unknown health'}`;
