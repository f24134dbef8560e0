/** The same work by hand: commands for the store's present state, for the day when nothing of Rampart runs. */
import { dirname } from 'node:path';
import type { RegionName } from '../../topology/model.ts';
import type { NodeObservation, StoreEscape } from '../ports.ts';
import { isFurther } from '../sql/lsn.ts';
import { addressOf, type Cluster, nodesAt, type PgNode } from './config.ts';
import { observeNode } from './observe.ts';

/**
 * What stands without `#` can be run from top to bottom as it is printed, also by somebody who does not read on, and
 * also when a part of it was done before: it never makes a second side writable. What depends on what people see stands
 * behind `#`. Passwords are in neither: psql asks, or takes PGPASSWORD.
 */
export async function escapeCommands(cluster: Cluster, from: RegionName, to: RegionName): Promise<StoreEscape> {
  const seen = new Map<PgNode, NodeObservation>();
  await Promise.all(cluster.nodes.map(async (node) => seen.set(node, await observeNode(cluster, node))));
  const state = (node: PgNode): string => seen.get(node)!.state;
  const sources = nodesAt(cluster, { region: from });
  const targets = nodesAt(cluster, { region: to });
  const promoted = targets.find((node) => state(node) === 'writable');
  const target = promoted ?? best(targets, seen);
  const now = [
    `# ${cluster.component}, PostgreSQL, from ${from} to ${to}`,
    ...cluster.nodes.map((node) => `#   ${node.name} (${addressOf(node)}): ${state(node)}. ${seen.get(node)!.detail}`),
  ];
  const later: string[] = [];
  let step = 0;
  const add = (lines: string[], title: string, commands: string[]): void => {
    step++;
    lines.push(...(lines.length > 0 ? [''] : []), `# ${step}. ${title}`, ...commands);
  };
  // Once the target is promoted, what is fenced stays so; whatever else could write there comes first all the same.
  const harmless = promoted === undefined ? ['replica'] : ['replica', 'fenced'];
  for (const node of sources.filter((each) => !harmless.includes(state(each)))) {
    add(now, `Make ${node.name} unable to write, and prove it${placeOf(node)}`, fenceCommands(cluster, node));
  }
  if (promoted === undefined) {
    add(now, `See that ${target.name} has everything`, [
      ...psql(cluster, target, 'SELECT pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn(), pg_is_wal_replay_paused()'),
      '# With a clean stop, pg_last_wal_replay_lsn must be greater than the "Latest checkpoint location" above: wait for it.',
      '# Without one, what is missing is lost: note both values before you go on.',
    ]);
    // Whoever has just fenced the old primary and cannot go on needs the way back here, and never after the promotion.
    now.push('', `# Or back, instead of going on, and only while no node of ${to} is promoted:`);
    for (const node of sources) now.push(...unfenceCommands(cluster, node).map((line) => `#   ${line}`));
    add(now, `Promote ${target.name}. From here there is no way back but a failback`, [
      ...psql(cluster, target, 'SELECT pg_promote(true, 60)'),
      ...psql(cluster, target, 'SELECT pg_is_in_recovery()'),
    ]);
  }
  add(now, `See that ${target.name} takes writes and waits for nobody`, [
    ...psql(cluster, target, 'SHOW synchronous_standby_names'),
    '# If that is not empty and its replicas are gone, every commit hangs. Then:',
    ...psql(cluster, target, "ALTER SYSTEM SET synchronous_standby_names = ''").map((line) => `#   ${line}`),
    ...psql(cluster, target, 'SELECT pg_reload_conf()').map((line) => `#   ${line}`),
    ...openCommands(cluster, target),
    ...psql(cluster, target, 'CHECKPOINT'),
    `# Then point the writer endpoint at ${addressOf(target)}.`,
  ]);
  for (const node of cluster.nodes.filter((each) => each !== target)) {
    add(later, `Make ${node.name} follow ${target.name}${placeOf(node)}`, followCommands(cluster, node, target));
  }
  return { now, later };
}

function best(targets: PgNode[], seen: Map<PgNode, NodeObservation>): PgNode {
  const place = (node: PgNode) => seen.get(node)!.position;
  return targets.reduce((a, b) => (isFurther(place(b), place(a)) ? b : a));
}

const placeOf = (node: PgNode): string => (node.dataDir === null ? '' : ` (on the machine of ${node.name})`);

function psql(cluster: Cluster, node: PgNode, sql: string): string[] {
  return [`psql -h ${node.host} -p ${node.port} -U ${node.user} -d ${cluster.config.controlDatabase} -c ${quote(sql)}`];
}

/** Has psql run the statements that a query gives. With `-c` it knows no `\gexec`. */
function psqlEach(cluster: Cluster, node: PgNode, sql: string): string {
  const { host, port, user } = node;
  const program = `psql -h ${host} -p ${port} -U ${user} -d ${cluster.config.controlDatabase}`;
  return `printf '%s\\n' ${quote(`${sql} \\gexec`)} | ${program}`;
}

/** One word for a POSIX shell. */
function quote(text: string): string {
  return /^[\w./:=@,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

const tool = (node: PgNode, name: string): string => quote(node.bin === null ? name : `${node.bin}/${name}`);

function fenceCommands(cluster: Cluster, node: PgNode): string[] {
  if (node.fence === 'command' && node.control.fence !== undefined) {
    return [node.control.fence.map(quote).join(' '), ...(node.dataDir === null ? [] : stopCommands(node))];
  }
  if (node.dataDir !== null && node.fence !== 'sql') return stopCommands(node);
  return [
    '# Closed before the fence. The way back opens every database: what is listed here, note and close again then.',
    ...psql(cluster, node, 'SELECT datname FROM pg_database WHERE NOT datallowconn AND NOT datistemplate'),
    '# Refuse new connections to every database but the control database, then end what is open; repeat until none is left.',
    psqlEach(
      cluster,
      node,
      `SELECT format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS false', datname) FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database()`,
    ),
    ...psql(
      cluster,
      node,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IS NOT NULL AND datname <> current_database() AND backend_type <> 'autovacuum worker'",
    ),
    ...psql(cluster, node, 'SELECT pg_current_wal_insert_lsn()'),
  ];
}

function stopCommands(node: PgNode): string[] {
  const dir = quote(node.dataDir!);
  const stop =
    node.control.kind === 'systemd' && node.control.unit !== undefined
      ? `systemctl stop ${quote(node.control.unit)}`
      : `${tool(node, 'pg_ctl')} status -D ${dir} > /dev/null && ${tool(node, 'pg_ctl')} stop -m fast -D ${dir}`;
  return [
    // Before the stop: whoever starts the server again from now on gets it read-only.
    signalCommand(dir),
    stop,
    `${tool(node, 'pg_controldata')} ${dir} | grep -E 'cluster state|Latest checkpoint location'`,
    '# It must say "shut down", or "shut down in recovery". If it says "in production" and nothing runs, the server was',
    '# killed and its last position is not known. If it still runs: stop it with -m immediate before you go on.',
  ];
}

function openCommands(cluster: Cluster, target: PgNode): string[] {
  if (cluster.nodes.every((node) => node.fence !== 'sql')) return [];
  return [
    '# The fence by SQL was replicated: open the databases here, every one that it closed.',
    openAll(cluster, target),
  ];
}

/** The fence by hand keeps no list of what it closed, and closed them all. */
function openAll(cluster: Cluster, node: PgNode): string {
  return psqlEach(
    cluster,
    node,
    `SELECT format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true', datname) FROM pg_database WHERE NOT datallowconn AND NOT datistemplate`,
  );
}

function followCommands(cluster: Cluster, node: PgNode, primary: PgNode): string[] {
  const { host, port } = primary.replication;
  const user = cluster.config.replication.user ?? primary.user;
  const slot =
    node.slot === null
      ? []
      : psql(cluster, primary, `SELECT pg_create_physical_replication_slot('${node.slot}', true)`);
  const conninfo = `host=${host} port=${port} user=${user} password=$PGPASSWORD application_name=${node.name}`;
  if (node.dataDir === null) {
    const password = conninfo.replace('$PGPASSWORD', '…');
    return [
      ...slot,
      '# With the password in place of the dots:',
      ...psql(cluster, node, `ALTER SYSTEM SET primary_conninfo = '${password}'`).map((line) => `#   ${line}`),
      ...psql(cluster, node, `ALTER SYSTEM SET primary_slot_name = '${node.slot ?? ''}'`),
      ...psql(cluster, node, 'SELECT pg_reload_conf()'),
    ];
  }
  const dir = quote(node.dataDir);
  return [
    ...slot,
    signalCommand(dir),
    `# Set PGPASSWORD first to ${user}'s password. The last of several lines of a setting counts.`,
    `cat >> ${dir}/postgresql.auto.conf <<RAMPART`,
    `primary_conninfo = '${conninfo}'`,
    `primary_slot_name = '${node.slot ?? ''}'`,
    'RAMPART',
    `${tool(node, 'pg_ctl')} status -D ${dir} > /dev/null || ${startCommand(node)}`,
    `# If it ran already: ${tool(node, 'pg_ctl')} restart -m fast -D ${dir}`,
    '# If its log says "forked off current database system timeline", it has rows of its own. Stop it fast, keep a copy, then:',
    `#   cp -a ${dir} ${quote(`${node.dataDir}.before`)}`,
    `#   ${tool(node, 'pg_rewind')} --target-pgdata ${dir} --source-server 'host=${primary.host} port=${primary.port} user=${primary.user} dbname=${cluster.config.controlDatabase}'`,
    `# pg_rewind copies the primary's settings: put back *.conf from ${node.dataDir}.before, then the steps above.`,
  ];
}

const signalCommand = (dir: string): string =>
  `touch ${dir}/standby.signal && chown --reference=${dir} ${dir}/standby.signal && sync`;

function startCommand(node: PgNode): string {
  const { control } = node;
  if (control.start !== undefined) return control.start.map(quote).join(' ');
  if (control.kind === 'systemd' && control.unit !== undefined) return `systemctl start ${quote(control.unit)}`;
  const log = node.logFile ?? `${dirname(node.dataDir!)}/postgres.log`;
  return `${tool(node, 'pg_ctl')} start -D ${quote(node.dataDir!)} -l ${quote(log)}`;
}

function unfenceCommands(cluster: Cluster, node: PgNode): string[] {
  if (node.dataDir !== null && node.fence !== 'sql') {
    const dir = quote(node.dataDir);
    return [`${tool(node, 'pg_ctl')} stop -m fast -D ${dir}`, `rm ${dir}/standby.signal`, startCommand(node)];
  }
  return [openAll(cluster, node)];
}
