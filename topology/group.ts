/** What a run of a service moves: with a group, everything that its services are made of. */
import type { Service, Topology } from './model.ts';

/**
 * Services of one group move together: whichever of them is asked for, the run moves the components of all, looks at
 * the checks of all and takes the own steps of all. Policies (tier, approvals, ramp) are those of the service that was
 * asked for; the topology demands the same places, tier and `writes` of a whole group.
 * @returns the service with what moves with it; as it is, without a group
 */
export function withGroup({ services }: Pick<Topology, 'services'>, service: Service): Service {
  const others = Object.values(services)
    .filter(({ name, group }) => name !== service.name && group !== undefined && group === service.group)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (others.length === 0) return service;
  const all = [service, ...others];
  const names = (of: (one: Service) => string[]): string[] => [...new Set(all.flatMap(of))];
  return {
    ...service,
    movesWith: others.map(({ name }) => name),
    components: names(({ components }) => components),
    checks: names(({ checks }) => checks),
    ramp: { ...service.ramp, analysis: names(({ ramp }) => ramp.analysis) },
    steps: all.flatMap(({ steps }) => steps),
  };
}
