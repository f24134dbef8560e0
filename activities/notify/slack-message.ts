/** What a run looks like in Slack (Block Kit). Limits: header 150, section 3000, button value 2000 characters, 50 blocks. */
import type { SlackChannel } from '../../topology/channels.ts';
import { SLACK_ACTIONS, slackButton } from '../../topology/slack-button.ts';
import type { NotifyCall } from '../contract.ts';
import { checklistLines, commandsOf, gateLines, stateOf, titleOf } from './words.ts';

export interface SlackMessage {
  /** What notifications and readers without blocks show. */
  text: string;
  blocks?: object[];
  /** A line of a thread that the whole channel sees. */
  reply_broadcast?: boolean;
}

/** Events that somebody must see who does not follow the thread. */
const LOUD = ['approval-required', 'approval-escalated', 'run-held', 'run-failed', 'contract-breached', 'drill-failed'];

/** A line beneath the run's message. */
export function threadOf({ event, card, kept }: NotifyCall): SlackMessage {
  const loud = kept !== null && (LOUD.includes(event.name) || event.severity === 'error');
  const title = loud || kept === null ? `*${escaped(titleOf(card))}*\n` : '';
  const text = cut(`${title}*${event.name}* ${escaped(event.text)}`, 3_000);
  return { text, ...(loud ? { reply_broadcast: true } : {}) };
}

/** The run as it stands. @param token proves the buttons */
export function messageOf(channel: SlackChannel, { card, run }: NotifyCall, token: string): SlackMessage {
  const { gate, holding, text, by, reason, link } = card;
  const asked = by === null ? '' : ` · asked for by ${by}${reason === null ? '' : `: ${reason}`}`;
  const state = `*${escaped(stateOf(card))}* · ${card.mode}${escaped(asked)}`;
  const commands = commandsOf(card).map((command) => `\`${escaped(command)}\``);
  const blocks: object[] = [
    { type: 'header', text: { type: 'plain_text', text: cut(titleOf(card), 150) } },
    section(state),
    ...(text === '' ? [] : [section(escaped(text))]),
    ...(gate === null
      ? []
      : [section(`*${escaped(gate.title)}* (${escaped(gate.id)})\n${gateLines(card).map(bullet).join('\n')}`)]),
    ...(holding === null ? [] : [section(escaped(holding.reason))]),
    ...buttons(channel, { card, run }, token),
    ...(commands.length === 0 ? [] : [section(`On the command line: ${commands.join(' ')}`)]),
    ...(card.checklist.length === 0 ? [] : [section(`*Checklist*\n${checklistLines(card).map(escaped).join('\n')}`)]),
    ...(link === null ? [] : [section(`<${escaped(link)}|In Temporal>`)]),
  ];
  return { text: cut(`${escaped(titleOf(card))}: ${escaped(stateOf(card))}`, 3_000), blocks };
}

/**
 * Buttons only where pressing them can be proven and can work: with approvers, and, to approve, when the gate asks for
 * no override, because accepting a risk by name takes more than a click.
 */
function buttons(channel: SlackChannel, { card, run }: Pick<NotifyCall, 'card' | 'run'>, token: string): object[] {
  const { gate } = card;
  if (gate === null || channel.signingSecrets.length === 0 || Object.keys(channel.approvers).length === 0) return [];
  const { workflowId, runId } = run;
  const value = JSON.stringify(slackButton({ channel: channel.name, workflowId, runId, gate: gate.id }, token));
  // A button cannot carry it: the commands below can.
  if (value.length > 2_000) return [];
  const button = (verb: 'approve' | 'reject', label: string, style: string, question: string): object => ({
    ...{ type: 'button', action_id: SLACK_ACTIONS[verb], style, value },
    text: { type: 'plain_text', text: label },
    confirm: {
      title: { type: 'plain_text', text: `${label}?` },
      text: { type: 'plain_text', text: cut(question, 300) },
      confirm: { type: 'plain_text', text: label },
      deny: { type: 'plain_text', text: 'Not now' },
    },
  });
  const about = `${titleOf(card)}. State: ${gate.state}. Loss: ${gate.loss}.`;
  const approve = gate.needsOverride.length === 0 ? [button('approve', 'Approve', 'primary', about)] : [];
  return [{ type: 'actions', elements: [...approve, button('reject', 'Reject', 'danger', about)] }];
}

const section = (text: string): object => ({ type: 'section', text: { type: 'mrkdwn', text: cut(text, 3_000) } });
const bullet = (line: string): string => `• ${escaped(line)}`;
const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** Slack's own rule; after it no text can name people, channels or links. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
