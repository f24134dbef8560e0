/**
 * A button that somebody pressed in Slack. Slack proves that it was Slack, the button that Rampart made it, and the
 * channel's approvers who the person is; whether the decision counts is for the run to judge, as with every other.
 */
import { createHash } from 'node:crypto';
import type { SlackChannel } from '../../topology/channels.ts';
import { isOwnButton, SLACK_ACTIONS, type SlackButton } from '../../topology/slack-button.ts';
import { type Answer, invalid, unauthorized, unavailable } from './answer.ts';
import type { HeaderReader } from './auth.ts';
import { field, isFields, textOf } from './message.ts';
import type { Secrets } from './secrets.ts';
import { TOLERANCE_S, verifyHmac } from './verify.ts';

/** Where Slack sends what people press. */
export const SLACK_PATH = '/slack/interactivity';
const SCHEME = { prefix: 'v0=', separator: null };

export interface Pressed {
  workflowId: string;
  runId: string;
  gate: string;
  decision: 'approve' | 'reject';
  /** The person, as approvals know them. */
  by: string;
  /** The same however often the same person presses the same button. */
  updateId: string;
}

/** What became of it; `lost`: nobody took it in time, and it is not known to count. */
export interface Outcome {
  kind: 'applied' | 'refused' | 'lost';
  text: string;
}

export interface SlackDeps {
  /** The topology's Slack channels as they are now. */
  channels(): Promise<SlackChannel[]>;
  /** Says it to the run. */
  decide(pressed: Pressed): Promise<Outcome>;
  /** Tells the person who pressed, and nobody else. */
  reply(url: string, text: string): void;
}

export interface Interaction {
  header: HeaderReader;
  /** The raw body. */
  body: Uint8Array;
  /** Milliseconds since the epoch. */
  now: number;
}

const DONE: Answer = { status: 200, result: 'accepted' };
const ignored = (reason: string): Answer => ({ status: 200, result: 'ignored', reason });

/** @returns what Slack is told; people see the mark of a failure beside the button for anything but 200 */
export async function interact(deps: SlackDeps, secrets: Secrets, interaction: Interaction): Promise<Answer> {
  const channels = (await deps.channels()).filter(({ signingSecrets }) => signingSecrets.length > 0);
  if (channels.length === 0) return { status: 404, result: 'unknownSource', error: 'there is nothing here' };
  // Before it is known who sends, nothing of the body is read.
  const all = channels.flatMap(({ signingSecrets }) => signingSecrets);
  const stranger = await unproven(all, secrets, interaction);
  if (stranger !== null) return stranger;
  const payload = payloadOf(interaction.body);
  if (payload === null) return invalid('the body is no form with a payload in JSON');
  const pressed = pressedIn(payload);
  if (pressed === null) return ignored('not a button of a gate');
  const { button, decision, user, place, url } = pressed;
  const tell = (text: string, reason = text): Answer => {
    if (url !== null) deps.reply(url, text);
    return ignored(reason);
  };
  const channel = channels.find(({ name }) => name === button.channel);
  if (channel === undefined || channel.channel !== place)
    return tell('The topology has this channel no more; `rampart status` shows what the run waits for.');
  // One secret of several is right: is it this channel's?
  const foreign = await unproven(channel.signingSecrets, secrets, interaction);
  if (foreign !== null) return foreign;
  const { values, problems } = await secrets.all([channel.token]);
  if (problems.length > 0) return unavailable(problems.join('; '));
  if (!isOwnButton(button, values[0]!))
    return tell('This button was not made by Rampart with its present token; `rampart approve` does the same.');
  if (!Object.hasOwn(channel.approvers, user))
    return tell(
      'You are not among the approvers of this channel: nothing was decided.',
      `${user} is no approver of ${channel.name}`,
    );
  const by = channel.approvers[user]!;
  const { workflowId, runId, gate } = button;
  const updateId = idOf([workflowId, runId, gate, decision, by]);
  const outcome = await deps.decide({ workflowId, runId, gate, decision, by, updateId });
  if (outcome.kind === 'lost') {
    if (url !== null) deps.reply(url, `${outcome.text}. Press again, or use \`rampart ${decision}\`.`);
    return unavailable(outcome.text);
  }
  if (outcome.kind === 'refused') return tell(`Not counted: ${outcome.text}`);
  if (url !== null) deps.reply(url, outcome.text);
  return { ...DONE, reason: outcome.text };
}

/** Temporal takes one update of an id once, whoever asks, through whichever listener. */
const idOf = (parts: string[]): string =>
  `slack-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;

/** @returns `null` when Slack has signed it with one of these secrets */
async function unproven(
  references: string[],
  secrets: Secrets,
  { header, body, now }: Interaction,
): Promise<Answer | null> {
  const timestamp = header('x-slack-request-timestamp');
  if (timestamp === null) return unauthorized('there is no X-Slack-Request-Timestamp');
  const { values, problems } = await secrets.all(references);
  const problem = verifyHmac({
    ...{ header: header('x-slack-signature'), scheme: SCHEME, encoding: 'hex', secrets: values },
    ...{ signed: [`v0:${timestamp}:`, body], timestamp, toleranceS: TOLERANCE_S, now },
  });
  if (problem === null) return null;
  return problems.length > 0 ? unavailable(problems.join('; ')) : unauthorized(problem);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function payloadOf(body: Uint8Array): unknown {
  try {
    const payload = new URLSearchParams(UTF8.decode(body)).get('payload');
    return payload === null ? null : JSON.parse(payload);
  } catch {
    return null;
  }
}

interface Press {
  button: SlackButton;
  decision: 'approve' | 'reject';
  /** Ids of the person and of the channel. */
  user: string;
  place: string;
  /** Where the person alone can be told something; `null`: nowhere. */
  url: string | null;
}

/** @returns `null` for anything that is not one of Rampart's buttons */
function pressedIn(payload: unknown): Press | null {
  if (field(payload, 'type') !== 'block_actions') return null;
  const actions = field(payload, 'actions');
  const action: unknown = Array.isArray(actions) ? actions[0] : null;
  const id = field(action, 'action_id');
  const decision = id === SLACK_ACTIONS.approve ? 'approve' : id === SLACK_ACTIONS.reject ? 'reject' : null;
  const button = buttonOf(field(action, 'value'));
  const user = textOf(field(payload, 'user', 'id'));
  const place = textOf(field(payload, 'channel', 'id'));
  if (decision === null || button === null || user === null || place === null) return null;
  return { button, decision, user, place, url: replyUrl(field(payload, 'response_url')) };
}

function buttonOf(value: unknown): SlackButton | null {
  if (typeof value !== 'string' || value.length > 2_000) return null;
  try {
    const parsed: unknown = JSON.parse(value);
    if (!isFields(parsed)) return null;
    const names = ['channel', 'workflowId', 'runId', 'gate', 'nonce'] as const;
    if (!names.every((name) => typeof parsed[name] === 'string' && parsed[name] !== '')) return null;
    return Object.fromEntries(names.map((name) => [name, parsed[name]])) as unknown as SlackButton;
  } catch {
    return null;
  }
}

/** Only Slack's own: nothing is sent to where a message says. */
function replyUrl(value: unknown): string | null {
  if (typeof value !== 'string' || !URL.canParse(value)) return null;
  const { protocol, host } = new URL(value);
  return protocol === 'https:' && ['hooks.slack.com', 'hooks.slack-gov.com'].includes(host) ? value : null;
}
