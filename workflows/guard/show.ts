/** What people see of a guard in the Web UI: search attributes for lists, current details for one. */
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES } from '../contract.ts';
import type { GuardState } from './state.ts';

/** Refreshes both; of the attributes only those that are registered and have changed. */
export function showHealth(state: GuardState, registered: readonly string[]): void {
  const { health } = state;
  if (health === null) return;
  setCurrentDetails(detailsOf(state));
  const wanted: Record<string, string> = {
    RampartService: state.service,
    RampartAction: 'guard',
    RampartPhase: health.verdict,
  };
  const changed = Object.entries(wanted).filter(
    ([key, value]) => registered.includes(key) && state.shown[key] !== value,
  );
  if (changed.length === 0) return;
  for (const [key, value] of changed) state.shown[key] = value;
  upsertSearchAttributes(
    changed.map(
      ([key, value]) =>
        ({
          key: defineSearchAttributeKey(key, SEARCH_ATTRIBUTES[key as keyof typeof SEARCH_ATTRIBUTES]),
          value,
        }) as SearchAttributePair,
    ),
  );
}

/** Markdown: CommonMark and tables only. */
function detailsOf({ service, health, refencing }: GuardState): string {
  const { verdict, at, findings, active, run, lastProof } = health!;
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const sides = Object.entries(active).map(([store, side]) => `${store} in ${side?.region ?? '?'}`);
  const lines = [
    `**${service}: ${verdict}** · as of ${new Date(at).toISOString()}${sides.length > 0 ? ` · active: ${sides.join(', ')}` : ''}`,
    '',
    ...(run === null ? [] : [`A ${run.type} is at work: \`${run.workflowId}\`.`, '']),
    ...(refencing.text === '' ? [] : [`Returned old primary: ${refencing.text}`, '']),
    lastProof === null
      ? 'No completed failover is known.'
      : `Last completed ${lastProof.type}: ${new Date(lastProof.at).toISOString()}.`,
    '',
  ];
  if (findings.length === 0) return [...lines, 'No findings.'].join('\n');
  return [
    ...lines,
    '| severity | finding | since | what to do |',
    '| --- | --- | --- | --- |',
    ...findings.map(
      (one) =>
        `| ${one.severity} | ${cell(one.message)} (${one.code}) | ${new Date(one.since).toISOString()} | ${cell(one.remedy)} |`,
    ),
  ].join('\n');
}
