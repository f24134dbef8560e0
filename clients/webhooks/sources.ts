/** What is made of a source once and used for each of its messages. */
import type { AlertSource } from '../../topology/alerts.ts';
import { compileMapping, type HeaderSource } from './generic.ts';
import type { Message, Parsed, Parser } from './message.ts';
import { parseAlertmanager } from './parsers/alertmanager.ts';
import { parseCloudEvents } from './parsers/cloud-events.ts';
import { parseGrafana } from './parsers/grafana.ts';
import { parsePagerDuty } from './parsers/pagerduty.ts';
import { parseSns } from './parsers/sns.ts';
import { parseStandardWebhooks } from './parsers/standard-webhooks.ts';
import type { Secrets } from './secrets.ts';

const PARSERS: Record<Exclude<AlertSource['type'], 'generic'>, Parser> = {
  alertmanager: parseAlertmanager,
  grafana: parseGrafana,
  pagerduty: parsePagerDuty,
  sns: parseSns,
  standardWebhooks: parseStandardWebhooks,
  cloudEvents: parseCloudEvents,
};

export interface ReadySource {
  source: AlertSource;
  /** Never throws for anything a message may hold. */
  parse(message: Message, headers: HeaderSource): Parsed;
}

/** @throws Error with one sentence, when the source as it is written can take no message */
export function prepare(source: AlertSource): ReadySource {
  if ((source.type === 'sns') !== (source.auth.kind === 'sns')) {
    throw new Error('Amazon SNS proves itself by its own signature, and nothing else does');
  }
  if (source.map !== undefined) return { source, parse: compileMapping(source.map) };
  if (source.type === 'generic') throw new Error('a generic source needs a map');
  return { source, parse: PARSERS[source.type] };
}

/** Prepared sources by name; one is prepared anew only when the topology says something else of it. */
export class Prepared {
  readonly #kept = new Map<string, { source: AlertSource; text: string; ready: ReadySource }>();

  /** @throws Error as {@link prepare} */
  get(source: AlertSource): ReadySource {
    const kept = this.#kept.get(source.name);
    if (kept?.source === source) return kept.ready;
    const text = JSON.stringify(source);
    const ready = kept?.text === text ? kept.ready : prepare(source);
    this.#kept.set(source.name, { source, text, ready });
    return ready;
  }
}

/** What keeps a source from taking messages as it is configured, each in one sentence. */
export async function problemsOf(source: AlertSource, secrets: Secrets, loopback: boolean): Promise<string[]> {
  const problems: string[] = [];
  try {
    prepare(source);
  } catch (error) {
    problems.push((error as Error).message);
  }
  const { auth } = source;
  if (auth.kind === 'none' && !loopback) problems.push('it has no authentication, and the listener is not on loopback');
  if ('secrets' in auth) problems.push(...(await secrets.all(auth.secrets)).problems);
  return problems;
}
