/** Rules over what the servers say of themselves: one per row of the preflight table. Pure. */
import type { Cluster } from './config.ts';
import type { Alive, Say } from './preflight-roles.ts';
import type { Readiness } from './readiness.ts';
import { parseStandbyNames } from './sync-settings.ts';

/** A query on the target that runs for longer can hold up replay, in seconds. */
const LONG_QUERY_SECONDS = 30;

/** What makes the fence slow, or the way back hard. */
export function sourceFindings(
  cluster: Cluster,
  source: Alive,
  ready: Readiness,
  mode: 'planned' | 'unplanned',
  say: Say,
): void {
  const { node } = source;
  const { region, name } = node;
  if (!ready.checksums && !ready.walLogHints) {
    say(
      'warning',
      'postgres.noRewind',
      region,
      `${name} has neither data checksums nor wal_log_hints: after an unplanned failover it must be copied anew, pg_rewind cannot repair it`,
      'Set wal_log_hints = on (needs a restart), or enable checksums with pg_checksums.',
    );
  }
  if (mode === 'planned' && ready.preparedTransactions > 0) {
    say(
      'warning',
      'postgres.preparedTransactions',
      region,
      `${ready.preparedTransactions} prepared transactions are open on ${name}: they survive the promotion and keep their locks`,
      'Commit or roll them back: SELECT * FROM pg_prepared_xacts.',
    );
  }
  if (mode === 'planned' && ready.runningBackups > 0) {
    say(
      'warning',
      'postgres.backupRunning',
      region,
      `a base backup of ${name} is running: the fence ends it`,
      'Wait for it to finish.',
    );
  }
  if (mode === 'planned' && ready.archiver !== null && (ready.archiver.failing || (ready.archiver.waiting ?? 0) > 0)) {
    const what = ready.archiver.failing ? 'its last attempt failed' : `${ready.archiver.waiting} segments wait`;
    say(
      'warning',
      'postgres.archiver',
      region,
      `archiving on ${name} is behind (${what}), and a fast stop waits for it`,
      'Look at archive_command and pg_stat_archiver.',
    );
  }
  if (node.fence === 'sql') {
    const missing = [
      ...(ready.rights.signal || ready.rights.superuser ? [] : ['pg_signal_backend']),
      ...(ready.rights.superuser ? [] : ['ownership of its databases']),
    ];
    if (missing.length > 0) {
      say(
        'warning',
        'postgres.fenceRights',
        region,
        `role ${node.user} may lack rights for a fence by SQL on ${name}: ${missing.join(', ')}`,
        '`rampart doctor` prints the statements.',
      );
    }
    if (cluster.config.database === cluster.config.controlDatabase) {
      say(
        'blocker',
        'postgres.controlDatabase',
        region,
        `a fence by SQL leaves ${cluster.config.controlDatabase} open, and the service lives there`,
        'Create a database for Rampart alone and name it as controlDatabase.',
      );
    }
    say(
      'info',
      'postgres.needsRewind',
      region,
      `${name} is fenced by SQL: it must be rewound or rebuilt before it can follow`,
      'Give the node a dataDir and a worker beside it for a fence that lets it rejoin.',
    );
  }
}

/** What makes the promotion slow, or the new primary hang. */
export function targetFindings(cluster: Cluster, target: Alive, ready: Readiness, say: Say): void {
  const { node, status } = target;
  const { region, name } = node;
  if (!ready.rights.promote && !ready.rights.superuser) {
    say(
      'blocker',
      'postgres.promoteRight',
      region,
      `role ${node.user} may not promote ${name}`,
      `GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO ${node.user};`,
    );
  }
  if (!ready.rights.checkpoint && !ready.rights.superuser) {
    say(
      'warning',
      'postgres.checkpointRight',
      region,
      `role ${node.user} may not run CHECKPOINT on ${name}`,
      `GRANT pg_checkpoint TO ${node.user};`,
    );
  }
  if (!ready.rights.monitor && !ready.rights.superuser) {
    say(
      'warning',
      'postgres.monitorRight',
      region,
      `role ${node.user} does not see replication on ${name}`,
      `GRANT pg_monitor TO ${node.user};`,
    );
  }
  if (!ready.hotStandby) {
    say(
      'blocker',
      'postgres.hotStandby',
      region,
      `${name} takes no sessions while in recovery (hot_standby is off): its position cannot be read`,
      'Set hot_standby = on and restart it.',
    );
  }
  if (ready.longestQuerySeconds > LONG_QUERY_SECONDS) {
    say(
      'warning',
      'postgres.longQuery',
      region,
      `a query on ${name} has been running for ${Math.round(ready.longestQuerySeconds)} s and can hold up replay`,
      'End it, or wait.',
    );
  }
  if (!ready.databases.includes(cluster.config.database)) {
    say(
      'blocker',
      'postgres.database',
      region,
      `${name} has no database ${cluster.config.database}`,
      'Correct `database` of the component.',
    );
  }
  if (ready.replicationHba === false) {
    say(
      'warning',
      'postgres.hba',
      region,
      `pg_hba.conf of ${name} has no line for replication over the network: the old primary could not come back as its replica`,
      `Add: host replication ${cluster.config.replication.user ?? node.user} <addresses> scram-sha-256`,
    );
  }
  if (ready.maxWalSenders === 0 || ready.walLevel === 'minimal') {
    say(
      'blocker',
      'postgres.walLevel',
      region,
      `${name} cannot have replicas: wal_level ${ready.walLevel}, max_wal_senders ${ready.maxWalSenders}`,
      'Set wal_level = replica and max_wal_senders >= 10, then restart.',
    );
  }
  if (node.slot === null && ready.walKeepBytes === 0) {
    say(
      'warning',
      'postgres.walKeep',
      region,
      `no slots are used and wal_keep_size is 0 on ${name}: the old primary may find its log gone`,
      'Use slots, or set wal_keep_size.',
    );
  }
  const wanted = parseStandbyNames(status.syncNames);
  if (wanted.needed > 0) {
    say(
      'info',
      'postgres.syncNames',
      region,
      `${name} will demand ${status.syncNames}; Rampart suspends that right after the promotion until the replica is there, so that no commit hangs`,
      '',
    );
  }
}

/** What only both sides together show. */
export function pairFindings(source: Alive, target: Alive, ofSource: Readiness, ofTarget: Readiness, say: Say): void {
  const { region, name } = target.node;
  for (const [setting, value] of Object.entries(ofSource.limits)) {
    const own = ofTarget.limits[setting] ?? 0;
    if (own >= value) continue;
    say(
      'blocker',
      'postgres.standbySettings',
      region,
      `${setting} is ${own} on ${name} and ${value} on ${source.node.name}: a standby with less pauses or refuses to start`,
      `Set ${setting} = ${value} on ${name} and restart it.`,
    );
  }
  // And the other way round, for the way back.
  for (const [setting, value] of Object.entries(ofTarget.limits)) {
    const own = ofSource.limits[setting] ?? 0;
    if (own >= value) continue;
    say(
      'warning',
      'postgres.standbySettings',
      source.node.region,
      `${setting} is ${own} on ${source.node.name} and ${value} on ${name}: after the failover it could not come back as a replica`,
      `Raise it to ${value} on ${source.node.name}.`,
    );
  }
  if (Math.trunc(source.status.version / 10_000) !== Math.trunc(target.status.version / 10_000)) {
    say(
      'blocker',
      'postgres.version',
      region,
      `${name} and ${source.node.name} run different major versions`,
      'Physical replication needs the same one.',
    );
  }
  for (const slot of ofSource.logicalSlots) logicalSlot(source, target, slot.name, ofTarget, say);
}

/** After the promotion a logical subscriber finds its slot only if it was synchronised. */
function logicalSlot(source: Alive, target: Alive, name: string, ofTarget: Readiness, say: Say): void {
  const { region } = target.node;
  const copy = ofTarget.logicalSlots.find((slot) => slot.name === name);
  const ready = copy?.synced && !copy.temporary && copy.invalid === null;
  if (ready) return;
  const why =
    source.status.version < 170_000
      ? 'this version cannot synchronise logical slots'
      : copy === undefined
        ? 'there is no copy on the target'
        : copy.invalid !== null
          ? `its copy is invalid (${copy.invalid})`
          : 'its copy is not ready yet';
  say(
    'warning',
    'postgres.logicalSlot',
    region,
    `logical slot ${name} will not survive: ${why}`,
    'Create it with failover = true, set sync_replication_slots = on and dbname in primary_conninfo on the target; or make the subscriptions anew afterwards.',
  );
}
