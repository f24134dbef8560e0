/**
 * The inbox on Temporal: an alert that a sender was told is taken is a signal in the history of every trigger that it
 * matches. What a trigger has been told a moment ago it is not told again, so that a storm costs it nothing; it counts
 * deliveries itself, and this only spares it.
 */
import type { Client } from '@temporalio/client';
import { matches } from '../../topology/alert-match.ts';
import type { Alert, Trigger } from '../../topology/alerts.ts';
import type { Topology } from '../../topology/model.ts';
import { CONTROL_QUEUE, triggerOf } from '../../workflows/contract.ts';
import { type Delivered, type Inbox, Unavailable } from './inbox.ts';

/** So long the same word of the same alert is not told again, in milliseconds. */
const FRESH_MS = 20_000;
/** Alerts remembered for that. */
const MOST_TOLD = 20_000;
/** Longest time for one call to Temporal, in milliseconds: the sender must be answered within three seconds. */
const CALL_MS = 2_000;

export interface TemporalInboxOptions {
  client: Client;
  /** The topology as it is now. @throws when it cannot be read */
  topology(): Promise<Topology>;
  now(): number;
}

/** What a trigger was told last of one alert. */
interface Told {
  word: string;
  deliveries: Set<string>;
  /** How often, and since when. */
  times: number;
  since: number;
  /** Resolves when Temporal has it. */
  kept: Promise<void>;
}

export function temporalInbox({ client, topology, now }: TemporalInboxOptions): Inbox {
  const told = new Map<string, Told>();
  const read = async (): Promise<Topology> => {
    try {
      return await topology();
    } catch (error) {
      throw new Unavailable(
        `the topology cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        10,
      );
    }
  };

  const signal = async (trigger: Trigger, alerts: Alert[]): Promise<void> => {
    try {
      await client.withDeadline(Date.now() + CALL_MS, () =>
        client.workflow.signalWithStart('trigger', {
          workflowId: triggerOf(trigger.name),
          taskQueue: CONTROL_QUEUE,
          args: [{ trigger: trigger.name }],
          signal: 'alerts',
          signalArgs: [{ alerts }],
          staticSummary: `alerts about ${trigger.service}`,
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        }),
      );
    } catch (error) {
      throw new Unavailable(`Temporal does not take the alert: ${reasonOf(error)}`);
    }
  };

  /** Tells one trigger what it has not just been told. @returns whether anything was */
  const tell = async (trigger: Trigger, alerts: Alert[]): Promise<boolean> => {
    const fresh: Alert[] = [];
    const waiting: Array<Promise<void>> = [];
    const entries: Array<[string, Told]> = [];
    let keep = (): void => undefined;
    let lose = (_: unknown): void => undefined;
    const kept = new Promise<void>((resolve, reject) => {
      keep = resolve;
      lose = reject;
    });
    // Whoever waits for it hears of it; here only so that nobody waiting is no unhandled rejection.
    kept.catch(() => undefined);
    for (const alert of alerts) {
      const id = `${trigger.name} ${alert.source} ${alert.key}`;
      const before = told.get(id);
      const word = `${alert.status} ${alert.startsAt}`;
      const same = before?.word === word && now() - before.since < FRESH_MS ? before : undefined;
      // Without a beginning two firings look the same: then only the same delivery is known again.
      const enough = same !== undefined && alert.startsAt !== null && same.times >= trigger.times.atLeast;
      const repeated = alert.delivery !== null && same?.deliveries.has(alert.delivery) === true;
      if (same !== undefined && (enough || repeated)) {
        waiting.push(same.kept);
        continue;
      }
      const deliveries = new Set(same?.deliveries);
      if (alert.delivery !== null) deliveries.add(alert.delivery);
      const entry = { word, deliveries, times: (same?.times ?? 0) + 1, since: same?.since ?? now(), kept };
      told.delete(id);
      told.set(id, entry);
      entries.push([id, entry]);
      fresh.push(alert);
    }
    if (told.size > MOST_TOLD) for (const id of [...told.keys()].slice(0, told.size - MOST_TOLD)) told.delete(id);
    try {
      if (fresh.length > 0) await signal(trigger, fresh);
      keep();
    } catch (error) {
      // Not kept: whoever sends it again must find it unsaid.
      for (const [id, entry] of entries) if (told.get(id) === entry) told.delete(id);
      lose(error);
      throw error;
    }
    await Promise.all(waiting);
    return fresh.length > 0;
  };

  return {
    sources: async () => (await read()).alertSources,
    deliver: async (alerts): Promise<Delivered> => {
      const { triggers } = await read();
      const wanted = Object.values(triggers).flatMap((trigger): Array<[Trigger, Alert[]]> => {
        const own = alerts.filter((alert) => trigger.when.some((match) => matches(match, alert)));
        return own.length === 0 ? [] : [[trigger, own]];
      });
      if (wanted.length === 0) return 'ignored';
      const news = await Promise.all(wanted.map(([trigger, own]) => tell(trigger, own)));
      return news.includes(true) ? 'accepted' : 'duplicate';
    },
  };
}

/** The client's own error says which call failed; why, says its cause. */
function reasonOf(error: unknown): string {
  const { cause } = (error ?? {}) as { cause?: unknown };
  return cause instanceof Error ? cause.message : error instanceof Error ? error.message : String(error);
}
