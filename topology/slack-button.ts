/** What a button in Slack carries: who made it and what it decides. Made by the worker, read by `rampart serve`. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SlackButton {
  /** Name of the channel in the topology. */
  channel: string;
  workflowId: string;
  runId: string;
  /** Gate id, unique per asking. */
  gate: string;
  /** Proves that Rampart made the button: others may post with the same app. */
  nonce: string;
}

/** Ids of the two buttons. */
export const SLACK_ACTIONS = { approve: 'rampart-approve', reject: 'rampart-reject' } as const;

type Unproven = Omit<SlackButton, 'nonce'>;

/** @param token the channel's bot token */
export function slackButton(button: Unproven, token: string): SlackButton {
  return { ...button, nonce: nonceOf(button, token) };
}

/** Whether Rampart made it, with this bot token. */
export function isOwnButton(button: SlackButton, token: string): boolean {
  const expected = Buffer.from(nonceOf(button, token));
  const given = Buffer.from(button.nonce);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function nonceOf({ channel, workflowId, runId, gate }: Unproven, token: string): string {
  const named = JSON.stringify([channel, workflowId, runId, gate]);
  return createHmac('sha256', token).update(named).digest('base64url').slice(0, 32);
}
