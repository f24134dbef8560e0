/** Watches: what the file gives, brought into normal form, and what the schema cannot see of them. */

import type { Trigger } from './alerts.ts';
import { CONTROL_QUEUE } from './components.ts';
import type { Drafts } from './drafts.ts';
import { INVALID, type Validator } from './issues.ts';
import type { Source } from './source.ts';
import { hint } from './suggest.ts';
import { watchSchema } from './watch-schema.ts';
import { CONTROL_POINT, LEAST_FAILURES, WATCH_SOURCE, type Watch } from './watches.ts';

const DEFAULTS = { intervalMs: 2_000, windowMs: 60_000, failures: 3, errorRate: 5, latencyMs: 500, votes: 2 } as const;

/** A watch as far as it could be read; what follows from its service is filled in by {@link finishWatch}. */
export type WatchDraft = Omit<Watch, 'regions' | 'probes' | 'from' | 'votes'> &
  Partial<Pick<Watch, 'regions' | 'probes' | 'from' | 'votes'>>;

/** @returns `undefined` when something is wrong with it, which is reported */
export function readWatch(name: string, raw: unknown, validator: Validator): WatchDraft | undefined {
  const path = ['watch', name];
  const given = validator.fields(watchSchema, raw, path);
  if (given === INVALID) return undefined;
  if (given.service === undefined && !validator.isBroken([...path, 'service']))
    for (const field of ['regions', 'probes'] as const)
      if (given[field] === undefined && !validator.isBroken([...path, field]))
        validator.missing([...path, field], 'is required where no service is named');
  if (validator.isBroken(path)) return undefined;
  const { service, regions, probes, from, votes } = given;
  return {
    name,
    ...(service === undefined ? {} : { service }),
    ...(regions === undefined ? {} : { regions }),
    ...(probes === undefined ? {} : { probes }),
    ...(from === undefined ? {} : { from }),
    ...(votes === undefined ? {} : { votes }),
    intervalMs: given.interval ?? DEFAULTS.intervalMs,
    windowMs: given.window ?? DEFAULTS.windowMs,
    failures: given.failures ?? DEFAULTS.failures,
    errorRate: given.errorRate ?? DEFAULTS.errorRate,
    latencyMs: given.latency ?? DEFAULTS.latencyMs,
  };
}

/** The draft as a watch, with what its service says. */
export function finishWatch(draft: WatchDraft, drafts: Drafts): Watch {
  const service = draft.service === undefined ? undefined : drafts.services.get(draft.service);
  const regions = draft.regions ?? [service?.home, ...(service?.standby ?? [])].filter((one) => one !== undefined);
  const probes = draft.probes ?? (service?.checks ?? []).filter((name) => askedBy(name, drafts) === null);
  const from = draft.from ?? [CONTROL_POINT, ...regions];
  const fewest = Math.min(...regions.map((region) => outside(from, region)), DEFAULTS.votes);
  return { ...draft, regions, probes, from, votes: draft.votes ?? Math.max(1, fewest) };
}

const outside = (from: readonly string[], region: string): number => from.filter((point) => point !== region).length;

/** The one place whose workers alone can ask this check; `null`: any worker can. */
function askedBy(name: string, drafts: Drafts): string | null {
  const component = drafts.components?.get(name)?.component;
  if (component === undefined) return null;
  const queues = [component.queue, ...Object.values(component.sides).flatMap(({ nodes }) => nodes.map((n) => n.queue))];
  return queues.find((queue) => queue !== CONTROL_QUEUE) ?? null;
}

/** References of watches, and whether they can ever tell anything. */
export function checkWatches(given: ReadonlyMap<string, WatchDraft>, drafts: Drafts, source: Source): void {
  for (const draft of given.values()) {
    const path = ['watch', draft.name];
    const say = (field: Array<string | number>, code: string, message: string, severity?: 'warning'): void =>
      source.report([...path, ...field], code, message, severity === undefined ? {} : { severity });
    if (draft.service !== undefined && !drafts.serviceNames.has(draft.service)) {
      const message = `there is no service "${draft.service}"${hint(draft.service, drafts.serviceNames)}`;
      say(['service'], 'unknown_service', message);
      continue;
    }
    const watch = finishWatch(draft, drafts);
    for (const [i, region] of (draft.regions ?? []).entries())
      if (!drafts.regions.has(region))
        say(['regions', i], 'unknown_region', `there is no region "${region}"${hint(region, drafts.regions)}`);
    const points = new Set([CONTROL_POINT, ...drafts.regions]);
    for (const [i, point] of (draft.from ?? []).entries())
      if (!points.has(point))
        say(['from', i], 'unknown_region', `there is no vantage point "${point}"${hint(point, points)}`);
    if (drafts.regions.has(CONTROL_POINT) && watch.from.includes(CONTROL_POINT))
      say([], 'ambiguous', `"${CONTROL_POINT}" is the control workers, and a region of this file as well`);
    checkProbes(watch, draft, drafts, say);
    checkThresholds(watch, say);
    checkVotes(watch, draft, say);
  }
}

/** A trigger that waits for a watch which is not there would wait for ever. */
export function checkWatched(
  triggers: ReadonlyMap<string, Trigger>,
  watches: ReadonlySet<string>,
  source: Source,
): void {
  for (const trigger of triggers.values())
    for (const [i, { source: name, labels }] of trigger.when.entries()) {
      if (name !== WATCH_SOURCE) continue;
      const path = ['triggers', trigger.name, 'when', i];
      const { watch } = labels;
      if (watches.size === 0)
        source.report([...path, 'source'], 'unknown_source', 'there is no watch in this file: nothing would ever come');
      else if (watch !== undefined && !watch.startsWith('/') && !watches.has(watch))
        source.report(
          [...path, 'labels', 'watch'],
          'unknown_watch',
          `there is no watch "${watch}"${hint(watch, watches)}`,
        );
    }
}

type Say = (field: Array<string | number>, code: string, message: string, severity?: 'warning') => void;

function checkProbes(watch: Watch, draft: WatchDraft, drafts: Drafts, say: Say): void {
  if (draft.probes === undefined && watch.probes.length === 0) {
    const why = 'has no check that every worker can ask';
    say([], 'no_probes', `nothing is asked: ${watch.service} ${why}; name checks under probes`);
    return;
  }
  const checks = [...(drafts.components?.values() ?? [])].filter(({ driver }) => driver?.role === 'check');
  for (const [i, name] of (draft.probes ?? []).entries()) {
    const known = drafts.components?.get(name);
    if (drafts.components === undefined || known?.driver?.role === 'check') {
      const queue = askedBy(name, drafts);
      if (queue !== null)
        say(
          ['probes', i],
          'local_probe',
          `${name} is asked by the workers of ${queue} alone: no other vantage point can`,
        );
    } else if (known === undefined) {
      const names = checks.map((one) => one.name);
      say(['probes', i], 'unknown_component', `there is no check "${name}"${hint(name, names)}`);
    } else if (known.driver !== undefined)
      say(['probes', i], 'wrong_role', `${name} is a ${known.driver.role}: only checks can be asked`);
  }
  const sided = watch.probes.map((name) => drafts.components?.get(name)?.regions ?? []).filter((one) => one.length > 0);
  const asked = watch.regions.filter((region) => sided.some((regions) => regions.includes(region)));
  if (sided.length === 0) return;
  for (const region of watch.regions)
    if (!asked.includes(region))
      say(['probes'], 'nothing_asked', `nothing is asked in ${region}: no probe has a side there`);
  if (asked.length === 1)
    say(
      [draft.regions === undefined ? 'probes' : 'regions'],
      'one_region',
      `only ${asked[0]} is asked: without another region that answers nobody can tell whether it is down or cannot be seen`,
    );
}

function checkThresholds({ windowMs, intervalMs, errorRate }: Watch, say: Say): void {
  const looks = Math.floor(windowMs / intervalMs);
  const field = windowMs === DEFAULTS.windowMs ? 'interval' : 'window';
  const least = Math.round((100 * LEAST_FAILURES) / looks);
  if (looks < LEAST_FAILURES)
    say([field], 'window_too_short', `the window holds ${looks} askings: make it longer, or the interval shorter`);
  else if (errorRate !== DEFAULTS.errorRate && least > 2 * errorRate)
    say(
      [field],
      'coarse_window',
      `the window holds ${looks} askings: two failures are ${least} %, so an error rate of ${errorRate} % cannot be told`,
      'warning',
    );
}

function checkVotes(watch: Watch, draft: WatchDraft, say: Say): void {
  for (const region of watch.regions) {
    const points = outside(watch.from, region);
    if (points < watch.votes) {
      const field = draft.votes === undefined ? 'from' : 'votes';
      const there = points === 0 ? 'no vantage point is' : points === 1 ? 'only one is' : `only ${points} are`;
      say([field], 'votes_unreachable', `${watch.votes} must agree that ${region} is down, and ${there} outside it`);
      return;
    }
  }
  if (watch.votes === 1)
    say(
      draft.votes === undefined ? [] : ['votes'],
      'one_vote',
      'one vantage point alone may say that a region is down; with two, what one of them cannot see is told apart',
      'warning',
    );
}
