/** The record of a halt as Markdown: for people who investigate, and for whoever asks afterwards. Pure and total. */
import type { Lag, NodeObservation, ReplayFact } from '../drivers/ports.ts';
import { dateTime, duration, size, weightsText } from './format.ts';
import type { HaltRecord } from './halt-record.ts';

const STATES: Record<HaltRecord['state'], string> = {
  stopping: 'being halted',
  open: 'halted',
  ending: 'being let go on',
  closed: 'no longer halted',
};

/** @returns Markdown, with a line break at its end */
export function renderHalt(record: HaltRecord): string {
  const { service, state, by, reason, startedAt, endedAt, ended } = record;
  return `${[
    `# ${service}: ${STATES[state]}`,
    '',
    `- **Since** ${dateTime(startedAt)}, by ${line(by)}: ${line(reason)}`,
    ...(ended === null ? [] : [`- **Ended** ${dateTime(ended.at)}, by ${line(ended.by)}: ${line(ended.reason)}`]),
    ...(endedAt === null ? [] : [`- **Lasted** ${duration(endedAt - startedAt)}`]),
    ...record.leftover.map((text) => `- **Not put back**: ${line(text)}`),
    ...section('The run under the lock', [runText(record)]),
    ...section('Replicas', replicaLines(record)),
    ...section('From what an earlier moment could be had again', [
      ...record.runbooks.map(({ component, text }) => `**${component}**: ${line(text)}`),
      ...record.recovery.map(({ component, text }) => `${component}: ${line(text)}`),
    ]),
    ...section(
      `As it was seen${record.observed === null ? '' : ` at ${dateTime(record.observed.at)}`}`,
      seenLines(record),
    ),
    ...section(
      'Runs before',
      record.recent.map(
        ({ type, status, startedAt: begun, closedAt, runId }) =>
          `${dateTime(begun)}: ${type}, ${status.toLowerCase()}${closedAt === null ? '' : ` after ${duration(closedAt - begun)}`} (run ${runId})`,
      ),
    ),
    ...section(
      'Notes',
      record.notes.map(({ at, by: who, text }) => `${dateTime(at)}, ${line(who)}: ${line(text)}`),
    ),
    ...section(
      'Log',
      record.log.map(({ at, text }) => `${dateTime(at)}: ${line(text)}`),
    ),
  ].join('\n')}\n`;
}

function section(title: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : ['', `## ${title}`, '', ...lines.map((text) => `- ${text}`)];
}

const line = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

function runText({ run }: HaltRecord): string {
  if (run === null) return 'None was on.';
  const where = [run.phase ?? 'nobody said where it was', ...(run.gate === null ? [] : [`gate ${run.gate}`])].join(
    ', ',
  );
  return `\`${run.workflowId}\` (${run.type}, since ${dateTime(run.startedAt)}; ${where}): ${line(run.told)}`;
}

function replicaLines({ replicas, unpaused }: HaltRecord): string[] {
  return [
    ...replicas.map(({ component, node, region, before, pausedAt, now, slipped }) => {
      const name = `**${node}** (${component}, ${region})`;
      const had = `had applied ${reached(before ?? now)}`;
      const again =
        slipped.length === 0
          ? ''
          : `; had gone on by itself ${slipped.length} times, last found ${dateTime(slipped.at(-1))}`;
      if (pausedAt !== null)
        return `${name}: ${had}; paused ${dateTime(pausedAt)}, then at ${reached(now)}; now ${line(now.detail)}${again}`;
      return `${name}: ${had}; not paused by the halt: ${line(now.detail)}`;
    }),
    ...unpaused.map(({ component, text }) => `**${component}**: ${line(text)}`),
  ];
}

function reached({ applied, received, lastCommitAt }: ReplayFact): string {
  const beyond = received === null || received.text === applied?.text ? '' : `, received ${received.text}`;
  const commit = lastCommitAt === null ? '' : `, last commit ${dateTime(lastCommitAt)}`;
  return `${applied?.text ?? 'an unknown position'}${commit}${beyond}`;
}

function seenLines({ observed }: HaltRecord): string[] {
  if (observed === null) return [];
  return [
    ...Object.entries(observed.stores).flatMap(([store, nodes]) => nodes.map((node) => nodeLine(store, node))),
    ...Object.entries(observed.routers).map(
      ([name, { weights, detail }]) => `${name}: ${weights === null ? line(detail) : weightsText(weights)}`,
    ),
    ...Object.entries(observed.workloads).flatMap(([name, sides]) =>
      sides.map(
        ({ region, state, ready }) =>
          `${name} in ${region}: ${state}${ready === null ? '' : ready ? ', ready' : ', not ready'}`,
      ),
    ),
    ...Object.entries(observed.checks).flatMap(([name, sides]) =>
      Object.entries(sides).map(
        ([region, { outcome, observed: was }]) => `${name} in ${region}: ${outcome} (${line(was)})`,
      ),
    ),
    ...Object.entries(observed.samples).map(
      ([store, readings]) =>
        `${store}: ${readings.length} sampler readings${readings.length === 0 ? '' : `, ${dateTime(readings[0]!.at)} to ${dateTime(readings.at(-1)!.at)}`} are in the record (JSON)`,
    ),
  ];
}

function nodeLine(store: string, { node, region, state, timeline, position, lag, detail }: NodeObservation): string {
  const where = [
    ...(timeline === null ? [] : [`timeline ${timeline}`]),
    ...(position === null ? [] : [`at ${position.text}`]),
    ...(lag === null ? [] : [`lag ${lagText(lag)}`]),
  ];
  return `${node} of ${store} in ${region}: ${[state, ...where].join(', ')}${detail === '' ? '' : ` (${line(detail)})`}`;
}

const lagText = ({ bytes, seconds, fresh }: Lag): string =>
  fresh ? `${size(bytes)}, ${seconds === null ? 'unknown' : duration(seconds * 1000)}` : 'not read freshly';
