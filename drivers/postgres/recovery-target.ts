/**
 * Settings of a point-in-time recovery that somebody left behind. A standby heeds them: once it gets log beyond the
 * target it stops replaying, shuts down, or promotes itself and is a second primary (measured on 18).
 */

import { query } from '../sql/session.ts';
import type { Cluster } from './config.ts';
import type { Alive, Say } from './preflight-roles.ts';
import { asFailure, known } from './reading.ts';

const TARGETS = [
  'recovery_target',
  'recovery_target_lsn',
  'recovery_target_name',
  'recovery_target_time',
  'recovery_target_xid',
];
const ACTION = 'recovery_target_action';
const TIMELINE = 'recovery_target_timeline';

interface Settings {
  values: Record<string, string>;
  /** They are in its files and not in effect: the server was not started since. */
  pending: boolean;
}

/** What the server does, or will do from its next start on. */
async function readSettings(cluster: Cluster, { node }: Alive): Promise<Settings> {
  const names = [...TARGETS, ACTION, TIMELINE];
  const now = await query<{ name: string; setting: string; standard: string }>(
    cluster,
    node,
    'SELECT name, setting, boot_val AS standard FROM pg_settings WHERE name = ANY($1)',
    [names],
  );
  // The files may be read by a superuser, or whoever was granted it; without that what is in effect must do.
  const files = await query<{ name: string; setting: string }>(
    cluster,
    node,
    'SELECT DISTINCT ON (name) name, setting FROM pg_file_settings WHERE name = ANY($1) ORDER BY name, seqno DESC',
    [names],
  ).catch(() => null);
  const inEffect = Object.fromEntries(now.map(({ name, setting }) => [name, setting]));
  if (files === null) return { values: inEffect, pending: false };
  const next = {
    ...Object.fromEntries(now.map(({ name, standard }) => [name, standard ?? ''])),
    ...Object.fromEntries(files.map(({ name, setting }) => [name, setting])),
  };
  const set = (values: Record<string, string>) => TARGETS.filter((name) => values[name]).map((n) => values[n]);
  // A running standby still goes by what it was started with.
  const standby = set(inEffect).length > 0 && set(next).length === 0;
  return standby
    ? { values: inEffect, pending: false }
    : { values: next, pending: names.some((name) => next[name] !== inEffect[name]) };
}

const DOES: Record<string, string> = { promote: 'promotes itself', shutdown: 'shuts down', pause: 'stops replaying' };

/** Looks at every node that answers: each of them is, or will be, started as a standby. */
export async function recoveryTargets(
  cluster: Cluster,
  alive: readonly Alive[],
  target: Alive | undefined,
  mode: 'planned' | 'unplanned',
  say: Say,
): Promise<void> {
  const read = await Promise.all(alive.map((one) => readSettings(cluster, one).catch(asFailure)));
  for (const [i, one] of alive.entries()) {
    // What keeps them from being read is told by the other readings.
    const settings = known(read[i]!);
    if (settings !== null) judge(one, settings, one === target, mode, say);
  }
}

function judge(
  { node, status }: Alive,
  { values, pending }: Settings,
  isTarget: boolean,
  mode: string,
  say: Say,
): void {
  const { name, region } = node;
  const target = TARGETS.find((each) => values[each]);
  const action = values[ACTION] || 'pause';
  const when = pending ? ' from its next start on' : '';
  if (target !== undefined) {
    const second = action === 'promote' ? ' and is a second primary' : '';
    // Where it does not promote itself, what is not the target only lacks its log.
    const blocks = mode === 'planned' && (isTarget || action === 'promote');
    say(
      blocks ? 'blocker' : 'warning',
      'postgres.recoveryTarget',
      region,
      `as a standby ${name}${when} ${DOES[action]}${second} once it gets log beyond ${target} = '${values[target]}', left from a point-in-time recovery`,
      `On ${name}: ${[target, ACTION].map((each) => `ALTER SYSTEM RESET ${each};`).join(' ')} take both out of its other files as well${status.inRecovery && !pending ? ', and restart it' : ''}.`,
    );
  } else if (action === 'promote') {
    say(
      'warning',
      'postgres.recoveryTarget',
      region,
      `${name} has ${ACTION} = 'promote' without a target: it does nothing until somebody sets one, and then a standby promotes itself`,
      `On ${name}: ALTER SYSTEM RESET ${ACTION}; take it out of its other files as well.`,
    );
  }
  const timeline = values[TIMELINE] || 'latest';
  if (timeline !== 'latest')
    say(
      'warning',
      'postgres.recoveryTargetTimeline',
      region,
      `as a standby ${name}${when} stays on one timeline (${TIMELINE} = '${timeline}'): it will not follow a new primary`,
      `On ${name}: ALTER SYSTEM RESET ${TIMELINE}; take it out of its other files as well${status.inRecovery && !pending ? ', and restart it' : ''}.`,
    );
}
