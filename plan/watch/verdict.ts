/** From votes to what is held to be so, and to the alerts that triggers get. Pure. */
import type { Millis } from '../../drivers/ports.ts';
import type { Alert } from '../../topology/alerts.ts';
import { WATCH_SOURCE, type Watch } from '../../topology/watches.ts';
import type { Reports, Subject, Verdict } from './model.ts';
import { subjectKey, tally } from './vote.ts';

/** Names of the alerts, by what they are about. */
export const ALERT_NAMES: Record<Subject['signal'], string> = {
  down: 'RegionDown',
  failing: 'ProbeFailing',
  errorRate: 'ErrorRateHigh',
  latency: 'LatencyHigh',
};

/** By subject, see `subjectKey`. */
export type Verdicts = Record<string, Verdict>;

/**
 * Counts all votes again.
 * @param before verdicts so far; what cannot be told now stays as it was
 * @returns the verdicts, and those that have changed: a first one that all is well is a change too, because whoever was
 *   told otherwise by an earlier watch must hear of it
 */
export function decide(
  watch: Watch,
  subjects: readonly Subject[],
  reports: Reports,
  before: Verdicts,
  now: Millis,
): { verdicts: Verdicts; changed: Verdict[] } {
  const changed: Verdict[] = [];
  const verdicts: Verdicts = {};
  for (const subject of subjects) {
    const key = subjectKey(subject);
    const known = before[key] ?? null;
    const { on, off, decided, since, text } = tally(watch, reports, subject);
    const votes = decided === null ? (known?.votes ?? '') : `${(decided ? on : off).length}/${on.length + off.length}`;
    if (decided === null || known?.on === decided) {
      // How many see it, and what, may change while it is on.
      const words = decided === true ? { votes, text } : { votes };
      if (known !== null) verdicts[key] = { ...known, ...words };
      continue;
    }
    const verdict: Verdict = {
      ...subject,
      on: decided,
      since: decided ? beginning(since, known, now) : (known?.since ?? null),
      until: known?.on === true ? now : null,
      at: now,
      votes,
      text: decided ? text : '',
    };
    verdicts[key] = verdict;
    changed.push(verdict);
  }
  return { verdicts, changed };
}

/**
 * A clock that is ahead must not date it into the future; and what is on again began after it was over, although one
 * vantage point may have seen it all the time.
 */
function beginning(since: Millis | null, known: Verdict | null, now: Millis): Millis {
  const over = known?.until ?? null;
  return Math.min(Math.max(since ?? now, over === null ? Number.NEGATIVE_INFINITY : over + 1), now);
}

/**
 * A verdict as any other source would tell it.
 * @param now its delivery is numbered by it: a word that is repeated is a word of its own
 */
export function alertOf(watch: Watch, verdict: Verdict, now: Millis): Alert {
  const name = ALERT_NAMES[verdict.signal];
  const key = `${watch.name}/${name}/${verdict.region ?? ''}/${verdict.probe ?? ''}`;
  const status = verdict.on === true ? 'firing' : 'resolved';
  return {
    source: WATCH_SOURCE,
    delivery: `${key}/${status}/${now}`,
    key,
    status,
    startsAt: verdict.since,
    labels: {
      alertname: name,
      watch: watch.name,
      ...(watch.service === undefined ? {} : { service: watch.service }),
      ...(verdict.region === null ? {} : { region: verdict.region }),
      ...(verdict.probe === null ? {} : { probe: verdict.probe }),
      vantages: verdict.votes,
    },
    annotations: { summary: sentence(watch, verdict), ...(verdict.text === '' ? {} : { seen: verdict.text }) },
    severity: verdict.signal === 'down' ? 'critical' : 'warning',
    url: null,
    receivedAt: now,
  };
}

/** One sentence for people. */
export function sentence(watch: Watch, { signal, probe, region, on, votes }: Verdict): string {
  const where = region === null ? '' : ` in ${region}`;
  const of = watch.service === undefined ? '' : ` (${watch.service})`;
  const seen = `${votes} vantage points`;
  if (on !== true) return `${ALERT_NAMES[signal]}${probe === null ? '' : ` of ${probe}`}${where}${of} is over: ${seen}`;
  switch (signal) {
    case 'down':
      return `${region} is down${of}: every probe fails from ${seen}`;
    case 'failing':
      return `${probe} fails${where}${of}: ${watch.failures} times in a row from ${seen}`;
    case 'errorRate':
      return `more than ${watch.errorRate} % of ${probe} fail${where}${of}, from ${seen}`;
    case 'latency':
      return `${probe} answers slower than ${watch.latencyMs} ms${where}${of}, from ${seen}`;
  }
}
