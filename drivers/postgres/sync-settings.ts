/**
 * Settings of synchronous replication that would make a new primary hang: `synchronous_standby_names` that name
 * nobody who is there stop every commit for ever, `synchronized_standby_slots` that name a missing slot stop every
 * logical subscriber. They are suspended right after the promotion and put back when the replica is there again.
 */

import { readStatus, type ServerStatus } from '../sql/status.ts';
import { withClaim } from './claim.ts';
import type { Cluster, PgNode } from './config.ts';
import { forgetDecided, readSuspended, restoreSetting, type Setting, suspendSetting } from './settings.ts';

/** Reads `FIRST n (a, b)`, `ANY n (a, b)`, `n (a, b)` and `a, b`. Names are compared without regard to case. */
export function parseStandbyNames(text: string): { needed: number; names: string[] } {
  const list = text.trim();
  if (list === '') return { needed: 0, names: [] };
  const match = /^(?:(?:FIRST|ANY)\s+)?(\d+)\s*\((.*)\)$/is.exec(list);
  const names = (match?.[2] ?? list).split(',').map((name) => name.trim().replaceAll('"', '').toLowerCase());
  return { needed: match === null ? 1 : Number(match[1]), names };
}

/** What would make commits or subscribers of a primary wait for somebody who is not there, with its present value. */
export function hangingSync(status: ServerStatus): Array<{ name: Setting; value: string }> {
  const wanted = parseStandbyNames(status.syncNames);
  const streaming = status.standbys.filter(({ state }) => state === 'streaming');
  const present = streaming.filter(({ applicationName }) => isNamed(wanted.names, applicationName)).length;
  const active = status.slots.filter((slot) => slot.active).map((slot) => slot.name);
  const slots = namesOf(status.syncSlots);
  return [
    ...(present < wanted.needed ? [{ name: 'synchronous_standby_names' as const, value: status.syncNames }] : []),
    ...(slots.every((slot) => active.includes(slot))
      ? []
      : [{ name: 'synchronized_standby_slots' as const, value: status.syncSlots }]),
  ];
}

const isNamed = (names: string[], name: string): boolean => names.includes('*') || names.includes(name.toLowerCase());

const namesOf = (list: string): string[] =>
  list
    .split(',')
    .map((name) => name.trim().replaceAll('"', ''))
    .filter(Boolean);

/**
 * Suspends them. The claim is asked for only when something must be changed: this is part of the freeze.
 * @returns the settings suspended
 * @throws Conflict for a stale token
 */
export async function suspendHangingSync(cluster: Cluster, node: PgNode, status: ServerStatus): Promise<Setting[]> {
  const hanging = hangingSync(status);
  if (hanging.length === 0) return [];
  return withClaim(cluster, node, { systemId: status.systemId, timeline: null }, async () => {
    for (const { name, value } of hanging) await suspendSetting(cluster, node, name, value);
    return hanging.map(({ name }) => name);
  });
}

/**
 * Puts back what was suspended, where the replicas it names are there again.
 * @returns the settings put back, and those that have to wait
 */
export async function restoreSync(
  cluster: Cluster,
  node: PgNode,
): Promise<{ restored: Setting[]; waiting: Setting[] }> {
  await forgetDecided(cluster, node);
  const suspended = await readSuspended(cluster, node);
  const restored: Setting[] = [];
  for (const [name, value] of suspended) {
    if (!(await wouldHold(cluster, node, name, value))) continue;
    await restoreSetting(cluster, node, name, value);
    restored.push(name);
  }
  return { restored, waiting: [...suspended.keys()].filter((name) => !restored.includes(name)) };
}

async function wouldHold(cluster: Cluster, node: PgNode, name: Setting, value: string): Promise<boolean> {
  const status = await readStatus(cluster, node);
  const then = name === 'synchronous_standby_names' ? { ...status, syncNames: value } : { ...status, syncSlots: value };
  return hangingSync(then).every((hanging) => hanging.name !== name);
}
