/** What stands in the way of moving a record, and what its plan should know. */
import type { RegionName } from '../../topology/model.ts';
import { findingsFor } from '../findings.ts';
import type { Claim, Finding } from '../ports.ts';
import type { Sample } from '../sample.ts';
import { withMark } from './claim.ts';
import type { DnsConfig } from './dns-config.ts';
import { type DnsState, ttlOf } from './dns-state.ts';

/** A claim as long as they get: the comment must have room for it. */
const LONGEST: Claim = {
  epoch: 9_999,
  seq: 9_999,
  at: Date.UTC(2050, 0),
  runId: 'f'.repeat(8) + '-ffff'.repeat(3) + '-'.padEnd(13, 'f'),
};

/** @param sample what answers now, when that is measured */
export function dnsFindings(
  name: string,
  config: DnsConfig,
  state: DnsState,
  sample: Sample | null,
  { mode, from }: { mode: 'planned' | 'unplanned'; from: RegionName },
): Finding[] {
  const found: Finding[] = [];
  const say = (
    severity: Finding['severity'],
    code: string,
    message: string,
    remedy: string,
    region: string | null = null,
  ) =>
    found.push({
      code: `cloudflare.${code}`,
      severity,
      component: name,
      region,
      message: `${name}: ${message}`,
      remedy,
    });
  const { record, records, obstacle, problems } = state;
  if (obstacle !== null || record === null) {
    const remedy =
      'Keep exactly one record of this type under the name; Rampart changes what is there and creates nothing.';
    say('blocker', 'records', obstacle ?? 'no record', remedy);
    return findingsFor(mode, found);
  }
  const others = records.filter((one) => one !== record);
  if (others.length > 0) {
    const list = others.map(({ type, content }) => `${type} ${content ?? ''}`.trim()).join(', ');
    const message = `${config.name} also has ${list}: clients that take that one do not move`;
    const remedy = 'Remove it, or drive it by a component of its own.';
    say('blocker', 'otherRecords', message, remedy);
  }
  const proxied = record.proxied === true;
  if (proxied !== config.proxied) {
    const message = `the record is ${proxied ? 'proxied' : 'not proxied'}, the topology says \`proxied: ${config.proxied}\``;
    say('blocker', 'proxied', message, `Set \`proxied: ${proxied}\`: it decides how long clients keep old answers.`);
  }
  if (ttlOf(record) > config.ttl) {
    const message = `its TTL is ${ttlOf(record) / 1000} s, longer than the ${config.ttl / 1000} s of the topology`;
    const remedy =
      'Set `ttl` to what the record has: prepare waits for as long as old answers live, and its step for `ttl`.';
    say('blocker', 'ttl', message, remedy);
  }
  if (withMark(state.mark.rest, LONGEST, 'ffffffff').length > config.commentLength) {
    const message = `the comment of the record has no room for a claim within ${config.commentLength} characters`;
    say('blocker', 'comment', message, 'Shorten it, or raise `commentLength` if the plan of the zone allows 500.');
  }
  for (const problem of problems) {
    say('warning', 'answers', problem, 'See the zone at Cloudflare, and that this worker reaches its name servers.');
  }
  const pointed = Object.entries(state.weights ?? {}).find(([, weight]) => weight === 100)?.[0];
  const counts = Object.entries(sample?.counts ?? {}).sort(([, a], [, b]) => b - a);
  const answering = counts[0]?.[0];
  if (sample !== null && answering === undefined) {
    say('warning', 'sample', `nobody answers at ${config.sample!.url}`, 'See the region that serves now.', from);
  } else if (pointed !== undefined && answering !== undefined && answering !== pointed) {
    const message = `the record points at ${pointed} by the topology, and ${answering} answers: are regions swapped in the topology?`;
    say('blocker', 'regionsSwapped', message, 'Compare `content` of every region with where it really is.', pointed);
  }
  return findingsFor(mode, found, ['cloudflare.regionsSwapped']);
}
