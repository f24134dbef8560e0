/**
 * What the vantage points' words add up to. Pure. Of a region only those outside it are asked, and of these only who
 * can see another region: whoever sees nothing at all says something about itself.
 */
import type { Component, RegionName } from '../../topology/model.ts';
import type { VantagePoint, Watch } from '../../topology/watches.ts';
import { type PointReport, type Reports, SIGNALS, type Subject, type Tally, type TargetReport } from './model.ts';

/** One probe in one region. */
export interface Target {
  probe: string;
  /** `null`: the probe is about no region. */
  region: RegionName | null;
}

export const targetOf = ({ probe, region }: Target): string => `${probe}@${region ?? ''}`;

/** What is asked: a probe with sides in each watched region where it has one, any other once. */
export function targetsOf(watch: Watch, components: Record<string, Component>): Target[] {
  return watch.probes.flatMap((probe): Target[] => {
    const sides = Object.keys(components[probe]?.sides ?? {});
    if (sides.length === 0) return [{ probe, region: null }];
    return watch.regions.filter((region) => sides.includes(region)).map((region) => ({ probe, region }));
  });
}

/** Everything that is voted on: each region that has a probe, and each signal of each probe. */
export function subjectsOf(targets: readonly Target[]): Subject[] {
  const regions = [...new Set(targets.map(({ region }) => region))].filter((region) => region !== null);
  return [
    ...regions.map((region): Subject => ({ signal: 'down', probe: null, region })),
    ...targets.flatMap(({ probe, region }) => SIGNALS.map((signal): Subject => ({ signal, probe, region }))),
  ];
}

export const subjectKey = ({ signal, probe, region }: Subject): string => `${signal}/${region ?? ''}/${probe ?? ''}`;

/** Those that may vote at all. */
export const electorate = (watch: Watch, region: RegionName | null): VantagePoint[] =>
  watch.from.filter((point) => point !== region);

/** Counts the votes on one subject. */
export function tally(watch: Watch, reports: Reports, subject: Subject): Tally {
  const out: Tally = { on: [], off: [], abstain: [], decided: null, since: null, text: '' };
  const texts: string[] = [];
  for (const point of electorate(watch, subject.region)) {
    const vote = voteOf(reports[point] ?? null, subject);
    if (vote.on === null) out.abstain.push({ point, why: vote.why });
    else (vote.on ? out.on : out.off).push(point);
    if (vote.on !== true) continue;
    if (vote.since !== null) out.since = Math.min(out.since ?? vote.since, vote.since);
    if (vote.why !== '' && !texts.includes(vote.why)) texts.push(vote.why);
  }
  const enough = Math.max(watch.votes, Math.floor((out.on.length + out.off.length) / 2) + 1);
  if (out.on.length >= enough) out.decided = true;
  else if (out.off.length >= enough) out.decided = false;
  out.text = texts.slice(0, 3).join('; ');
  return out;
}

interface Vote {
  on: boolean | null;
  since: number | null;
  /** Why it abstains; what it sees when it is on. */
  why: string;
}

function voteOf(report: PointReport | null, subject: Subject): Vote {
  const abstain = (why: string): Vote => ({ on: null, since: null, why });
  if (report === null) return abstain('does not answer');
  if (!seesElsewhere(report, subject.region)) return abstain('sees no other region');
  const about = report.targets.filter(({ region }) => region === subject.region);
  if (subject.signal === 'down') return regionVote(about);
  const target = about.find(({ probe }) => probe === subject.probe);
  const state = target?.signals[subject.signal];
  if (target === undefined || state === undefined || state.on === null) return abstain('cannot tell');
  return { on: state.on, since: state.on ? state.since : null, why: state.on ? said(target) : '' };
}

/** Whether somebody answers it from any region but this one. Where no probe is about a region, nobody is asked for it. */
function seesElsewhere({ targets }: PointReport, region: RegionName | null): boolean {
  const regional = targets.filter((target) => target.region !== null);
  if (region === null && regional.length === 0) return true;
  return regional.some((target) => target.region !== region && target.silent === false);
}

/** A region is down for whom all its probes fail; one that is well is enough to say that it is not. */
function regionVote(targets: readonly TargetReport[]): Vote {
  const states = targets.map(({ signals }) => signals.failing);
  if (states.some(({ on }) => on === false)) return { on: false, since: null, why: '' };
  if (states.length === 0 || states.some(({ on }) => on === null)) return { on: null, since: null, why: 'cannot tell' };
  const begins = states.map(({ since }) => since).filter((since) => since !== null);
  return { on: true, since: begins.length === 0 ? null : Math.min(...begins), why: targets.map(said).join('; ') };
}

const said = ({ probe, text }: TargetReport): string => (text === '' ? probe : `${probe}: ${text}`);

/**
 * Whether it can be told at all that this region is down.
 * @returns why not, for people; `null` when it can
 */
export function blindAbout(watch: Watch, reports: Reports, region: RegionName): string | null {
  const { on, off, abstain } = tally(watch, reports, { signal: 'down', probe: null, region });
  if (on.length + off.length >= watch.votes) return null;
  const why = abstain.map(({ point, why }) => `${point} ${why}`).join(', ');
  return `${on.length + off.length} of the ${watch.votes} votes that are needed about ${region}: ${why}`;
}
