/** From the text of a topology file to the validated model, or to everything that is wrong with it. */
import { checkTopology } from './checks.ts';
import { type ComponentDraft, type Drivers, readComponent } from './components.ts';
import { topologyDigest } from './digest.ts';
import { checkComparisons, finishComparison, readComparison } from './divergences.ts';
import type { Drafts } from './drafts.ts';
import { checkDrills, readDrill } from './drills.ts';
import { INVALID, isObject, Validator } from './issues.ts';
import type { Component, Region, Service, Topology } from './model.ts';
import { checkNotifications, readNotifications } from './notifications.ts';
import { type Problem, sortProblems } from './problem.ts';
import { readReports } from './reports.ts';
import { fileSchema, nameSchema } from './schema.ts';
import {
  checkReferencesToSecrets,
  finishService,
  readRegion,
  readService,
  readTiers,
  type ServiceDraft,
  tierOf,
} from './services.ts';
import { Source } from './source.ts';
import { checkTriggers, readAlertSource, readTrigger } from './triggers.ts';
import { checkWatched, checkWatches, finishWatch, readWatch } from './watch.ts';

/** `problems` holds warnings only when there is a topology; without one, at least one error. Sorted by position. */
export interface ParseResult {
  topology?: Topology;
  problems: Problem[];
}

/**
 * Validates a topology and brings it into normal form. Pure; never throws, whatever the text.
 * @param options.path how problems name the file
 * @param options.drivers the known component types
 */
export function parseTopology(text: string, options: { path: string; drivers: Drivers }): ParseResult {
  const source = new Source(text, options.path);
  const topology = source.problems.some(fatal) ? undefined : read(source, options.drivers);
  const problems = saidOnce(sortProblems(source.problems));
  return problems.some((problem) => problem.severity === 'error') || topology === undefined
    ? { problems }
    : { topology, problems };
}

/** After a repeated key the rest can still be judged; after any other fault of the YAML it cannot. */
function fatal(problem: Problem): boolean {
  return problem.code !== 'duplicate_key';
}

function read(source: Source, drivers: Drivers): Topology | undefined {
  const validator = new Validator(source);
  const file = source.value;
  if (!isObject(file)) {
    const empty = file === null || file === undefined;
    validator.report(
      [],
      empty ? 'empty_file' : 'invalid_type',
      empty
        ? 'the file is empty; `rampart init` writes a first topology'
        : 'expected a map with version, regions, components and services',
    );
    return undefined;
  }
  if (typeof file.version === 'number' && file.version !== 1) {
    validator.report(['version'], 'unknown_version', `this Rampart reads version 1, got ${file.version}`);
    return undefined;
  }
  const top = validator.fields(fileSchema, file, []);
  const given = top === INVALID ? {} : top;
  for (const name of [
    'regions',
    'tiers',
    'components',
    'services',
    'alertSources',
    'triggers',
    'drills',
    'watch',
    'divergence',
  ] as const)
    checkNames(name, given[name], validator);
  checkCounts(given, validator);

  const regions = new Map(
    entries(given.regions).map(([name, raw]): [string, Region] => [name, readRegion(name, raw, validator)]),
  );
  const regionNames = new Set(regions.keys());
  const tiers = readTiers(given.tiers ?? {}, validator);
  const components = new Map(
    entries(given.components).map(([name, raw]): [string, ComponentDraft] => [
      name,
      readComponent(name, raw, regionNames, drivers, validator),
    ]),
  );
  const services = new Map<string, ServiceDraft>();
  for (const [name, raw] of entries(given.services)) {
    const draft = readService(name, raw, given.defaults ?? {}, tiers, validator);
    if (draft !== undefined) services.set(name, draft);
  }
  const alertSources = readAll(given.alertSources, (name, raw) => readAlertSource(name, raw, validator));
  const triggers = readAll(given.triggers, (name, raw) => readTrigger(name, raw, validator));
  const reports = readReports(given.reports, validator);
  checkNames('notifications.channels', sectionOf(given.notifications?.channels), validator);
  const notifications = readNotifications(given.notifications, validator);
  const drills = readAll(given.drills, (name, raw) => readDrill(name, raw, validator));
  const watches = readAll(given.watch, (name, raw) => readWatch(name, raw, validator));
  const comparisons = readAll(given.divergence, (name, raw) => readComparison(name, raw, validator));
  const { defaults, regions: rawRegions, tiers: rawTiers, services: rawServices } = file;
  checkReferencesToSecrets(
    {
      defaults,
      regions: rawRegions,
      tiers: rawTiers,
      services: rawServices,
      triggers: file.triggers,
      drills: file.drills,
      watch: file.watch,
    },
    validator,
  );
  validator.finish();

  const drafts: Drafts = {
    regions: regionNames,
    tiers,
    tierNames: new Set([...tiers.keys(), ...Object.keys(given.tiers ?? {})]),
    components: given.components === undefined ? undefined : components,
    services,
    serviceNames: new Set(Object.keys(given.services ?? {})),
  };
  checkTopology(drafts, source, validator);
  checkTriggers(triggers, new Set(Object.keys(given.alertSources ?? {})), drafts, source);
  if (notifications !== undefined) checkNotifications(notifications, drafts, source);
  checkDrills(drills, drafts, source);
  checkComparisons(comparisons, drafts, source);
  checkWatches(watches, drafts, source);
  checkWatched(triggers, new Set(Object.keys(given.watch ?? {})), source);
  if (source.problems.some((problem) => problem.severity === 'error')) return undefined;

  const topology = {
    version: 1 as const,
    regions: Object.fromEntries(regions),
    tiers: Object.fromEntries(tiers),
    components: Object.fromEntries(
      [...components].map(([name, draft]): [string, Component] => [name, draft.component!]),
    ),
    services: Object.fromEntries(
      [...services].map(([name, draft]): [string, Service] => [name, finishService(draft, tierOf(draft, tiers)!)]),
    ),
  };
  const alerts = { alertSources: Object.fromEntries(alertSources), triggers: Object.fromEntries(triggers) };
  const told = notifications === undefined ? {} : { notifications };
  const watch = [...watches].map(([name, draft]) => [name, finishWatch(draft, drafts)] as const);
  const filed = reports === undefined ? {} : { reports };
  const rest = { ...alerts, ...told, ...filed, drills: Object.fromEntries(drills), watches: Object.fromEntries(watch) };
  const between = [...comparisons].map(
    ([name, draft]) => [name, finishComparison(draft, topology.components)] as const,
  );
  const compared = between.length === 0 ? {} : { divergence: Object.fromEntries(between) };
  return { ...topology, ...rest, ...compared, digest: topologyDigest(topology), path: source.path };
}

type Section = Readonly<Record<string, unknown>> | undefined;

const entries = (section: Section): Array<[string, unknown]> => Object.entries(section ?? {});

function readAll<T>(section: Section, read: (name: string, raw: unknown) => T | undefined): Map<string, T> {
  return new Map(
    entries(section).flatMap(([name, raw]): Array<[string, T]> => {
      const one = read(name, raw);
      return one === undefined ? [] : [[name, one]];
    }),
  );
}

const sectionOf = (value: unknown): Section => (isObject(value) ? value : undefined);

function checkNames(section: string, given: Section, validator: Validator): void {
  for (const name of Object.keys(given ?? {})) {
    const problem = nameSchema.safeParse(name).error?.issues[0];
    if (problem !== undefined) {
      validator.report([...section.split('.'), name], 'invalid_name', `"${name}": ${problem.message}`, { at: 'key' });
    }
  }
}

function checkCounts(given: { regions?: Section; services?: Section }, validator: Validator): void {
  if (given.regions !== undefined && Object.keys(given.regions).length < 2) {
    const message = 'a topology needs at least two regions: there is nowhere to move to';
    validator.report(['regions'], 'too_few_regions', message, { at: 'key' });
  }
  if (given.services !== undefined && Object.keys(given.services).length === 0) {
    validator.report(['services'], 'no_services', 'must name at least one service', { at: 'key' });
  }
}

/** What `defaults` get wrong for many services is said once, for the first of them. */
function saidOnce(problems: readonly Problem[]): Problem[] {
  const first = new Map<string, { problem: Problem; more: number }>();
  const kept: Array<{ problem: Problem; more: number }> = [];
  for (const problem of problems) {
    const id = problem.field.startsWith('defaults.') ? `${problem.field} ${problem.code}` : undefined;
    const earlier = id === undefined ? undefined : first.get(id);
    if (earlier !== undefined) earlier.more++;
    else {
      const entry = { problem, more: 0 };
      kept.push(entry);
      if (id !== undefined) first.set(id, entry);
    }
  }
  return kept.map(({ problem, more }) =>
    more === 0
      ? problem
      : { ...problem, message: `${problem.message} (and so for ${more} more ${more === 1 ? 'service' : 'services'})` },
  );
}
