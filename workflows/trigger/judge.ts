/**
 * What alerts add up to, now. Pure: the trigger's workflow feeds it every alert and asks it whenever time has passed.
 * A trigger counts sources, not messages, and it believes a source until that says something else.
 */
import type { Alert, Trigger } from '../../topology/alerts.ts';

type Millis = number;

/** One thing that is wrong, as its source tells it. */
export interface AlertSeen {
  source: string;
  key: string;
  firing: boolean;
  /** Since when this firing lasts, by the source where it says so, else by when Rampart heard of it. */
  since: Millis;
  /** When Rampart heard of this firing first, and last. */
  heardAt: Millis;
  lastAt: Millis;
  /** When it was said to be firing, newest last; as many as the trigger counts. */
  said: Millis[];
  /** When it began or ended to fire, newest last; as many as make it flap. */
  changes: Millis[];
  /** `startsAt` of the firing that was resolved last: a late copy of it is no new firing. */
  resolvedStart: Millis | null;
  /** In a few words, for people. */
  text: string;
  url: string | null;
}

export interface Memory {
  alerts: AlertSeen[];
  /** Deliveries that were taken, newest last. */
  deliveries: string[];
  /** Since when enough sources agree; `null` when they do not. */
  agreedAt: Millis | null;
  /** Until when flapping holds the automation; 0 when it does not. */
  flappingUntil: Millis;
  /** When something followed, newest last. */
  followed: Millis[];
  /** Nothing follows before this, because a run has just ended. */
  calmUntil: Millis;
}

export const EMPTY_MEMORY: Memory = {
  alerts: [],
  deliveries: [],
  agreedAt: null,
  flappingUntil: 0,
  followed: [],
  calmUntil: 0,
};

/** Most alerts that one trigger keeps apart, deliveries it knows again, and alerts that a text names. */
const MOST_ALERTS = 500;
const MOST_DELIVERIES = 2_000;
const MOST_NAMED = 6;
const DAY_MS = 24 * 3_600_000;
/** So long after its end a firing with the old beginning is a late copy, in milliseconds: what senders retry within. */
const OVERTAKEN_MS = 300_000;

const last = <T>(list: readonly T[], n: number): T[] => list.slice(-n);

/**
 * Takes an alert in.
 * @returns the memory after it, and whether it told anything new
 */
export function take(memory: Memory, alert: Alert, trigger: Trigger): { memory: Memory; news: boolean } {
  const delivery = alert.delivery === null ? [] : [`${alert.source} ${alert.delivery} ${alert.key} ${alert.status}`];
  if (delivery.some((one) => memory.deliveries.includes(one))) return { memory, news: false };
  const deliveries = last([...memory.deliveries, ...delivery], MOST_DELIVERIES);
  const known = memory.alerts.find(({ source, key }) => source === alert.source && key === alert.key);
  // What a source does not know says nothing about what it said before.
  if (alert.status === 'unknown') return { memory: { ...memory, deliveries }, news: false };
  const firing = alert.status === 'firing';
  // A copy that was overtaken comes within minutes; an alert that fires again may say the same beginning, and counts.
  const begun = alert.startsAt ?? Number.POSITIVE_INFINITY;
  const over = known !== undefined && !known.firing && alert.receivedAt - known.lastAt < OVERTAKEN_MS;
  const late = firing && over && begun <= (known.resolvedStart ?? Number.NEGATIVE_INFINITY);
  if (late || (known === undefined && !firing)) {
    // Its end may have overtaken its beginning: then the beginning, when it comes, is over.
    const ended = known === undefined && alert.startsAt !== null ? [endedBefore(alert)] : [];
    return { memory: { ...memory, deliveries, alerts: kept([...memory.alerts, ...ended]) }, news: false };
  }
  const begins = firing && known?.firing !== true;
  const ends = !firing && known?.firing === true;
  const now: AlertSeen = {
    source: alert.source,
    key: alert.key,
    firing,
    since: begins ? (alert.startsAt ?? alert.receivedAt) : known!.since,
    heardAt: begins ? alert.receivedAt : known!.heardAt,
    lastAt: alert.receivedAt,
    said: firing ? last([...(known?.said ?? []), alert.receivedAt], trigger.times.atLeast) : (known?.said ?? []),
    changes:
      begins || ends
        ? last([...(known?.changes ?? []), alert.receivedAt], trigger.flapping.changes)
        : (known?.changes ?? []),
    resolvedStart: firing ? (known?.resolvedStart ?? null) : (alert.startsAt ?? known!.resolvedStart),
    text: textOf(alert),
    url: alert.url,
  };
  const alerts = kept([...memory.alerts.filter((one) => one !== known), now]);
  return { memory: { ...memory, deliveries, alerts }, news: true };
}

function endedBefore(alert: Alert): AlertSeen {
  const { source, key, startsAt, receivedAt, url } = alert;
  const at = { since: startsAt!, heardAt: receivedAt, lastAt: receivedAt };
  return {
    source,
    key,
    firing: false,
    ...at,
    said: [],
    changes: [],
    resolvedStart: startsAt,
    text: textOf(alert),
    url,
  };
}

/** The newest, and all that still fire before any that do not. */
function kept(alerts: AlertSeen[]): AlertSeen[] {
  if (alerts.length <= MOST_ALERTS) return alerts;
  const order = [...alerts].sort((a, b) => Number(b.firing) - Number(a.firing) || b.lastAt - a.lastAt);
  const keep = new Set(order.slice(0, MOST_ALERTS));
  return alerts.filter((one) => keep.has(one));
}

function textOf({ labels, annotations, source, key }: Alert): string {
  const name = labels.alertname ?? labels.alarmName ?? annotations.summary ?? labels.summary ?? key;
  return `${name} (${source})`.slice(0, 200);
}

export type Verdict =
  /** Not enough is wrong. */
  | { kind: 'calm'; text: string }
  /** Enough is wrong, not for long enough yet. */
  | { kind: 'pending'; until: Millis; text: string }
  /** It would follow, but something forbids it; asked again at `until`. */
  | { kind: 'held'; until: Millis; text: string }
  | { kind: 'due'; text: string; impactStartAt: Millis; detectedAt: Millis };

/**
 * What follows now.
 * @param quietUntil end of the maintenance window that is on, milliseconds since the epoch; `null` when none is
 * @returns the verdict, and the memory with what only time has changed
 */
export function judge(
  before: Memory,
  trigger: Trigger,
  now: Millis,
  quietUntil: Millis | null,
): { memory: Memory; verdict: Verdict } {
  const counted = agreeing(before, trigger, now);
  const sources = new Set(counted.map(({ source }) => source)).size;
  const agreed = sources >= trigger.quorum.atLeast;
  const memory: Memory = {
    ...before,
    agreedAt: agreed ? (before.agreedAt ?? now) : null,
    flappingUntil: flapping(before, trigger, now),
    followed: before.followed.filter((at) => now - at < DAY_MS),
  };
  const text = textOfAll(counted);
  const verdict = (): Verdict => {
    if (!agreed)
      return {
        kind: 'calm',
        text: sources === 0 ? 'nothing is firing' : `${sources} of ${trigger.quorum.atLeast} sources: ${text}`,
      };
    const due = memory.agreedAt! + trigger.forMs;
    if (now < due) return { kind: 'pending', until: due, text };
    const held = heldUntil(memory, trigger, now, quietUntil);
    if (held !== null) return { kind: 'held', until: held.until, text: `${held.why}: ${text}` };
    const heard = Math.min(...counted.map(({ heardAt }) => heardAt));
    return { kind: 'due', text, impactStartAt: Math.min(...counted.map(({ since }) => since)), detectedAt: heard };
  };
  return { memory, verdict: verdict() };
}

/**
 * Alerts that fire, often enough, and not longer apart than the quorum's time. Sources that have agreed do so as long as
 * they fire: one of them may say it again every minute, and the other once.
 */
function agreeing({ alerts, agreedAt }: Memory, { times, quorum }: Trigger, now: Millis): AlertSeen[] {
  const firing = alerts.filter(
    ({ firing, said }) =>
      firing && (times.atLeast === 1 || said.filter((at) => now - at <= times.withinMs).length >= times.atLeast),
  );
  if (quorum.atLeast === 1 || agreedAt !== null) return firing;
  const newest = Math.max(...firing.map(({ lastAt }) => lastAt));
  return firing.filter(({ lastAt }) => newest - lastAt <= quorum.withinMs);
}

/**
 * One alert that comes and goes; many that come at once are an outage. Once it flaps, all must be calm for the whole
 * time.
 */
function flapping({ alerts, flappingUntil }: Memory, { flapping: limit }: Trigger, now: Millis): Millis {
  const newest = Math.max(0, ...alerts.map(({ changes }) => changes.at(-1) ?? 0));
  const flaps = alerts.some(({ changes }) => {
    const latest = changes.at(-1) ?? 0;
    return changes.filter((at) => latest - at <= limit.withinMs).length >= limit.changes;
  });
  const until = newest + limit.withinMs;
  return (flaps || flappingUntil > newest) && until > now ? until : 0;
}

/** The oldest by name, and how many there are besides. */
export function textOfAll(alerts: readonly AlertSeen[]): string {
  const oldest = [...alerts].sort((a, b) => a.since - b.since);
  const named = oldest.slice(0, MOST_NAMED).map((one) => `${one.text} since ${new Date(one.since).toISOString()}`);
  return [...named, ...(oldest.length > MOST_NAMED ? [`and ${oldest.length - MOST_NAMED} more`] : [])].join(', ');
}

function heldUntil(
  { followed, calmUntil, flappingUntil }: Memory,
  trigger: Trigger,
  now: Millis,
  quietUntil: Millis | null,
): { until: Millis; why: string } | null {
  const holds: Array<{ until: Millis; why: string }> = [];
  if (quietUntil !== null && quietUntil > now) holds.push({ until: quietUntil, why: 'a maintenance window is on' });
  if (flappingUntil > now) holds.push({ until: flappingUntil, why: 'the alerts flap, and the automation waits' });
  if (calmUntil > now) holds.push({ until: calmUntil, why: 'something has followed not long ago (cooldown)' });
  if (followed.length >= trigger.maxPerDay)
    holds.push({
      until: followed[followed.length - trigger.maxPerDay]! + DAY_MS,
      why: `${followed.length} times in 24 hours is the most that is allowed (maxPerDay)`,
    });
  // The longest of them: until then asking again would change nothing.
  return holds.sort((a, b) => b.until - a.until)[0] ?? null;
}
