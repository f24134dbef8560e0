/** Slack: one message per run that is brought up to date, and a thread beneath it. */
import { ApplicationFailure } from '@temporalio/common';
import type { SlackChannel } from '../../topology/channels.ts';
import type { Kept, NotifyCall } from '../contract.ts';
import { failureOf, forGood, post } from './post.ts';
import { messageOf, threadOf } from './slack-message.ts';

/** Errors after which another attempt may go well; all others are about the token, the channel or the message. */
const PASSING = [
  'ratelimited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
];
/** The message is gone, or too old to be changed: the next event writes a new one. */
const GONE = ['message_not_found', 'cant_update_message', 'edit_window_closed'];

export async function tellSlack(
  channel: SlackChannel,
  call: NotifyCall,
  token: string,
  signal: AbortSignal,
): Promise<Kept | null> {
  const { kept, part } = call;
  const update = part === 'card' && kept !== null;
  const message = part === 'card' ? messageOf(channel, call, token) : threadOf(call);
  const where = kept === null ? {} : update ? { ts: kept.ts } : { thread_ts: kept.ts };
  const body = { channel: kept?.channel ?? channel.channel, ...where, ...message, unfurl_links: false };
  const said = await callSlack(channel, update ? 'chat.update' : 'chat.postMessage', body, token, signal);
  if (said === 'gone') return null;
  if (part !== 'card' || update) return kept;
  if (typeof said.ts !== 'string' || typeof said.channel !== 'string')
    throw forGood('Slack does not say where the message is');
  return { channel: said.channel, ts: said.ts };
}

/**
 * One call of the Web API.
 * @returns what Slack says; `gone` when the message to be changed is none that can be
 * @throws ApplicationFailure when it does not take it
 */
export async function callSlack(
  { url }: SlackChannel,
  method: 'chat.postMessage' | 'chat.update',
  body: object,
  token: string,
  signal: AbortSignal,
): Promise<Record<string, unknown> | 'gone'> {
  const answer = await post({
    url: `${url}/${method}`,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.status < 200 || answer.status > 299) throw failureOf(answer, 'Slack');
  const said = readAnswer(answer.body);
  if (said.ok === true) return said;
  const error = typeof said.error === 'string' ? said.error.slice(0, 100) : 'no reason given';
  if (method === 'chat.update' && GONE.includes(error)) return 'gone';
  if (PASSING.includes(error)) throw ApplicationFailure.retryable(`Slack: ${error}`, 'ProviderUnavailable');
  throw forGood(`Slack: ${error}${HELP[error] === undefined ? '' : `; ${HELP[error]}`}`);
}

const HELP: Readonly<Record<string, string>> = {
  not_in_channel: 'invite the bot into the channel',
  channel_not_found: 'the channel must be an id that the bot may see: invite the bot into it',
  is_archived: 'the channel is archived',
  invalid_auth: 'the bot token is wrong',
  token_revoked: 'the bot token was revoked',
  missing_scope: 'the bot needs the scope chat:write',
};

function readAnswer(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw ApplicationFailure.retryable('Slack answers with something that is no JSON', 'ProviderUnavailable');
}
