/** What a schema cannot see: references, roles, sides, groups, and whether the policies can be kept. */
import type { Role } from '../drivers/ports.ts';
import { checkApprovals, checkFence, checkRamp, checkRecoveryTime } from './check-policies.ts';
import { findCycles } from './cycles.ts';
import type { Context, Drafts } from './drafts.ts';
import type { Validator } from './issues.ts';
import type { Path } from './problem.ts';
import type { ServiceDraft } from './services.ts';
import type { Source } from './source.ts';
import { hint } from './suggest.ts';

/** Runs every check; each looks at each service once, so the whole is linear in the file. */
export function checkTopology(drafts: Drafts, source: Source, validator: Validator): void {
  for (const service of drafts.services.values()) {
    const path = ['services', service.name];
    const context: Context = {
      drafts,
      service,
      path,
      validator,
      source,
      origin: (...field) =>
        [
          [...path, ...field],
          ['defaults', ...field],
        ].find((at) => source.has(at)) ?? path,
      listed: (list, index) => (source.has([...list, index]) ? [...list, index] : list),
      sound: (...fields) =>
        fields.every((field) => !validator.isBroken([...path, field]) && !validator.isBroken(['defaults', field])),
    };
    checkReferences(context);
    checkRegions(context);
    checkSides(context);
    checkRamp(context);
    checkRecoveryTime(context);
    checkFence(context);
    checkApprovals(context);
    checkShape(context);
  }
  checkDependencies(drafts, source);
  checkSharing(drafts, source);
  checkGroups(drafts, source);
  checkUse(drafts, source);
}

function checkReferences({ drafts, service, path, source, origin }: Context): void {
  if (!drafts.tierNames.has(service.tier)) {
    source.report(
      origin('tier'),
      'unknown_tier',
      `there is no tier "${service.tier}"${hint(service.tier, drafts.tierNames)}`,
    );
  }
  for (const [i, name] of service.dependsOn.entries()) {
    if (!drafts.serviceNames.has(name)) {
      source.report(
        [...path, 'dependsOn', i],
        'unknown_service',
        `there is no service "${name}"${hint(name, drafts.serviceNames)}`,
      );
    }
  }
  const member = (name: string, at: Path, wanted: (role: Role) => boolean, advice: (role: Role) => string) => {
    const draft = drafts.components?.get(name);
    if (drafts.components === undefined) return;
    if (draft === undefined) {
      const fitting = [...drafts.components.values()]
        .filter(({ driver }) => driver === undefined || wanted(driver.role))
        .map((known) => known.name);
      source.report(at, 'unknown_component', `there is no component "${name}"${hint(name, fitting)}`);
    } else if (draft.driver !== undefined && !wanted(draft.driver.role)) {
      source.report(
        at,
        'wrong_role',
        `${name} is a ${draft.driver.role} (${draft.driver.type}): ${advice(draft.driver.role)}`,
      );
    }
  };
  for (const [i, name] of service.components.entries()) {
    member(
      name,
      [...path, 'components', i],
      (role) => role !== 'check',
      () => 'name it under checks',
    );
  }
  for (const [i, name] of service.checks.entries()) {
    member(
      name,
      [...path, 'checks', i],
      (role) => role === 'check',
      () => 'name it under components',
    );
  }
  const analysis = origin('ramp', 'analysis');
  if (analysis.at(-1) !== 'analysis') return; // it follows the checks, reported above
  for (const [i, name] of service.ramp.analysis.entries()) {
    member(
      name,
      [...analysis, i],
      (role) => role === 'check',
      (role) => `only checks can be analysed, not a ${role}`,
    );
  }
}

function checkRegions({ drafts, service, path, source, listed }: Context): void {
  const unknown = (region: string, at: Path) => {
    if (drafts.regions.size > 0 && !drafts.regions.has(region))
      source.report(at, 'unknown_region', `there is no region "${region}"${hint(region, drafts.regions)}`);
  };
  if (service.home !== undefined) unknown(service.home, [...path, 'home']);
  for (const [i, region] of service.standby.entries()) {
    const at = listed([...path, 'standby'], i);
    unknown(region, at);
    if (region === service.home) {
      source.report(
        at,
        'home_in_standby',
        `"${region}" is the home of ${service.name} and cannot be its standby as well`,
      );
    }
  }
}

function checkSides({ drafts, service, path, validator, source }: Context): void {
  const regions = [service.home, ...service.standby].filter(
    (region) => region !== undefined && drafts.regions.has(region),
  );
  const analysed = service.ramp.analysis.filter((name) => !service.checks.includes(name));
  for (const name of new Set([...service.components, ...service.checks, ...analysed])) {
    const draft = drafts.components?.get(name);
    if (draft?.driver === undefined || validator.isBroken(['components', name, 'sides'])) continue;
    if (draft.driver.role === 'check' && draft.regions.length === 0) continue; // asks the same everywhere
    const missing = regions.filter((region) => !draft.regions.includes(region!));
    if (missing.length > 0) {
      source.report(
        ['components', name, 'sides'],
        'missing_side',
        `${name} has no side for ${missing.join(' and ')}, where ${service.name} lives or can move to`,
        { at: 'key' },
      );
    }
  }
  if (
    service.components.length > 0 &&
    service.checks.length === 0 &&
    analysed.length === 0 &&
    !validator.isBroken([...path, 'checks'])
  ) {
    source.report(path, 'no_checks', `${service.name} names no checks: nothing will tell a good move from a bad one`, {
      severity: 'warning',
      at: 'key',
    });
  }
}

function checkShape({ drafts, service, path, source, origin, sound }: Context): void {
  const known = service.components.map((name) => drafts.components?.get(name));
  const certain = known.every((draft) => draft?.driver !== undefined);
  if (
    service.writes === 'local' &&
    certain &&
    sound('writes', 'components') &&
    !known.some((draft) => draft?.driver?.role === 'workload')
  ) {
    source.report(
      origin('writes'),
      'local_without_workload',
      `writes: local means that ${service.name}'s app is switched between the regions, but it names no workload component`,
    );
  }
  for (const [i, name] of service.dependsOn.entries()) {
    if (name === service.name)
      source.report([...path, 'dependsOn', i], 'dependency_cycle', `${name} cannot depend on itself`);
  }
}

function checkDependencies(drafts: Drafts, source: Source): void {
  const edges = new Map(
    [...drafts.services.values()].map((service) => [
      service.name,
      service.dependsOn.filter((name) => name !== service.name),
    ]),
  );
  for (const cycle of findCycles(edges)) {
    const last = cycle.at(-1)!;
    const at = ['services', last, 'dependsOn', drafts.services.get(last)!.dependsOn.indexOf(cycle[0]!)];
    source.report(at, 'dependency_cycle', `these services wait for each other: ${[...cycle, cycle[0]].join(' -> ')}`);
  }
}

/** A component belongs to one lock. Checks change nothing and may be shared. */
function checkSharing(drafts: Drafts, source: Source): void {
  const first = new Map<string, ServiceDraft>();
  for (const service of drafts.services.values()) {
    for (const [i, name] of service.components.entries()) {
      const other = first.get(name);
      if (other === undefined) first.set(name, service);
      else if (
        other !== service &&
        (service.group === undefined || service.group !== other.group) &&
        drafts.components?.get(name)?.driver?.role !== 'check'
      ) {
        source.report(
          ['services', service.name, 'components', i],
          'shared_component',
          `${name} belongs to ${other.name} as well: two runs could move it at once; give both services the same group, or each its own component`,
        );
      }
    }
  }
}

/** One run moves all services of a group (`withGroup`), under the policies of whichever was asked for. */
function checkGroups(drafts: Drafts, source: Source): void {
  const first = new Map<string, ServiceDraft>();
  const about = (service: ServiceDraft) =>
    [
      `home ${service.home}, standby ${[...service.standby].sort().join(', ')}`,
      `tier ${service.tier}`,
      `writes ${service.writes}`,
    ] as const;
  const steps = new Map<string, ServiceDraft>();
  for (const service of drafts.services.values()) {
    const { name, group } = service;
    if (group === undefined) continue;
    for (const [i, step] of service.steps.entries()) {
      const other = steps.get(`${group}/${step.name}`);
      if (other === undefined) steps.set(`${group}/${step.name}`, service);
      else if (other !== service)
        source.report(
          ['services', name, 'steps', i, 'name'],
          'group_mismatch',
          `services of a group move together: ${other.name} has a step ${step.name} as well; give one of them another name`,
        );
    }
    if (service.home === undefined || service.standby.length === 0) continue;
    const other = first.get(group);
    if (other === undefined) {
      first.set(group, service);
      continue;
    }
    const theirs = about(other);
    const mine = about(service);
    const at = mine.findIndex((text, i) => text !== theirs[i]);
    if (at >= 0)
      source.report(
        ['services', name, 'group'],
        'group_mismatch',
        `services of a group move together: ${name} has ${mine[at]}, but ${other.name} has ${theirs[at]}`,
      );
  }
}

/** Only of a file without errors: before that, a slip in a list makes its component look unused. */
function checkUse(drafts: Drafts, source: Source): void {
  if (source.problems.some((problem) => problem.severity === 'error')) return;
  const used = new Set(
    [...drafts.services.values()].flatMap(({ components, checks, ramp }) => [
      ...components,
      ...checks,
      ...ramp.analysis,
    ]),
  );
  for (const name of drafts.components?.keys() ?? []) {
    if (used.has(name)) continue;
    source.report(['components', name], 'unused_component', `no service names ${name}`, {
      severity: 'warning',
      at: 'key',
    });
  }
}
