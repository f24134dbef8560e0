/** What people see of a watch in the Web UI: search attributes for lists, current details for one. */
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { sentence } from '../../plan/watch/verdict.ts';
import { SEARCH_ATTRIBUTES } from '../contract.ts';
import type { WatchState } from './state.ts';

/** Refreshes both; of the attributes only those that are registered and have changed. */
export function showWatch(state: WatchState, registered: readonly string[]): void {
  const { service, verdict } = state.status();
  setCurrentDetails(detailsOf(state));
  const wanted: Record<string, string> = {
    ...(service === null ? {} : { RampartService: service }),
    RampartAction: 'watch',
    ...(verdict === null ? {} : { RampartPhase: verdict }),
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
function detailsOf(state: WatchState): string {
  const { verdict, verdicts, points, blind } = state.status();
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const iso = (at: number | null) => (at === null ? '' : new Date(at).toISOString());
  const on = verdicts.filter((one) => one.on === true);
  return [
    `**${state.name}: ${verdict ?? 'nothing is known yet'}**`,
    '',
    ...blind.map(({ region, since, why }) => `Nothing can be told of ${region} since ${iso(since)}: ${why}.`),
    ...(blind.length === 0 ? [] : ['']),
    ...(on.length === 0
      ? []
      : [
          ...['| what is wrong | since | seen |', '| --- | --- | --- |'],
          ...on.map((one) => `| ${cell(sentence(state.last!, one))} | ${iso(one.since)} | ${cell(one.text)} |`),
          '',
        ]),
    ...['| vantage point | since | |', '| --- | --- | --- |'],
    ...points.map(
      ({ point, report, since, text }) =>
        `| ${point} | ${iso(since)} | ${report === null ? `unknown: ${cell(text)}` : 'answers'} |`,
    ),
  ].join('\n');
}
