/** A webhook: CloudEvents 1.0 as structured JSON, signed as Standard Webhooks says. */
import { createHmac } from 'node:crypto';
import type { WebhookChannel } from '../../topology/channels.ts';
import type { NotifyCall } from '../contract.ts';
import { addressCheck } from './network.ts';
import { failureOf, forGood, post } from './post.ts';

/** Before the names of events. */
const TYPE = 'dev.rampart.';

export async function tellWebhook(
  channel: WebhookChannel,
  call: NotifyCall,
  secret: string,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const { run, event, card } = call;
  // The same for every attempt: a receiver can tell a repeat. No dot may be in it.
  const id = `${run.runId}-${event.number}`.replaceAll('.', '-');
  const about = {
    ...{ type: event.name, source: `/rampart/${encodeURI(run.workflowId)}`, subject: card.service, at: event.at },
    data: { severity: event.severity, text: event.text, run: card },
  };
  await deliver(channel, id, about, secret, now, signal);
}

export interface About {
  /** Name of the event, without its prefix. */
  type: string;
  source: string;
  subject: string;
  /** Milliseconds since the epoch. */
  at: number;
  data: object;
}

/** One signed delivery. @param id the same for every attempt, without a dot. @throws ApplicationFailure when it is not taken */
export async function deliver(
  channel: WebhookChannel,
  id: string,
  { type, source, subject, at, data }: About,
  secret: string,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const body = JSON.stringify({
    ...{ specversion: '1.0', id, type: `${TYPE}${type}`, source, subject },
    ...{ time: new Date(at).toISOString(), datacontenttype: 'application/json', data },
  });
  const timestamp = String(Math.floor(now / 1000));
  const answer = await post({
    url: channel.url,
    headers: {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      ...{ 'webhook-id': id, 'webhook-timestamp': timestamp },
      'webhook-signature': `v1,${createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
    },
    body,
    signal,
    check: addressCheck(channel.allow),
  });
  if (answer.status >= 200 && answer.status <= 299) return;
  const redirect = answer.status >= 300 && answer.status <= 399;
  throw failureOf(
    answer,
    new URL(channel.url).host,
    redirect ? 'redirects are not followed: name the last address' : '',
  );
}

function keyOf(secret: string): Buffer {
  const encoded = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret;
  if (!/^[A-Za-z0-9+/]{16,}={0,2}$/.test(encoded))
    throw forGood('the secret of the webhook is none of Standard Webhooks: whsec_ and base64, of at least 12 bytes');
  return Buffer.from(encoded, 'base64');
}
