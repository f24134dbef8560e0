/**
 * PagerDuty: an alert while people are needed. It is resolved as soon as they have answered, and not only acknowledged:
 * PagerDuty pages nobody for a second trigger of an alert that somebody has taken. Everything else is a change event.
 */
import type { EventName, PagerDutyChannel, Severity } from '../../topology/channels.ts';
import type { Kept, NotifyCall } from '../contract.ts';
import { failureOf, post } from './post.ts';
import { peopleNeeded, textOf, titleOf } from './words.ts';

const PAGES: readonly EventName[] = ['approval-required', 'approval-escalated', 'run-held', 'run-failed'];
const SEVERITY: Record<Severity, string> = { error: 'critical', warning: 'warning', info: 'info' };
/** PagerDuty's limits, in characters. */
const MOST_SUMMARY = 1_024;
const MOST_DETAILS = 4_000;

export async function tellPagerDuty(
  channel: PagerDutyChannel,
  call: NotifyCall,
  routingKey: string,
  signal: AbortSignal,
): Promise<Kept | null> {
  const { event, card, kept } = call;
  const needed = peopleNeeded(card);
  const open = kept?.open === 'true';
  // Asked late, when somebody has answered already, it is no reason to wake anybody.
  const page = PAGES.includes(event.name) && needed;
  const resolve = !page && open && !needed;
  const change = !page && !resolve;
  const payload = {
    summary: cut(`${titleOf(card)}: ${event.name}: ${event.text}`, MOST_SUMMARY),
    source: card.service,
    timestamp: new Date(event.at).toISOString(),
    custom_details: { text: cut(textOf(card, event), MOST_DETAILS) },
  };
  const alert = {
    ...payload,
    severity: SEVERITY[event.severity],
    component: card.service,
    group: card.owner,
    class: event.name,
  };
  const links = card.link === null ? {} : { links: [{ href: card.link, text: 'In Temporal' }] };
  const dedup = { dedup_key: `${card.workflowId}/${card.runId}`.slice(-255) };
  const body = change
    ? { routing_key: routingKey, payload, ...links }
    : page
      ? { routing_key: routingKey, event_action: 'trigger', ...dedup, payload: alert, client: 'Rampart', ...links }
      : { routing_key: routingKey, event_action: 'resolve', ...dedup };
  await postToPagerDuty(channel, change ? '/v2/change/enqueue' : '/v2/enqueue', body, signal);
  return { open: String(page || (open && !resolve)) };
}

/** @throws ApplicationFailure when it is not taken */
export async function postToPagerDuty(
  { url }: PagerDutyChannel,
  path: '/v2/enqueue' | '/v2/change/enqueue',
  body: object,
  signal: AbortSignal,
): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await post({ url: `${url}${path}`, headers, body: JSON.stringify(body), signal });
  if (answer.status < 200 || answer.status > 299) throw failureOf(answer, 'PagerDuty');
}

const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
