/** What stands in the way of a switch, or surprises after it. Reads only. */
import type { DBCluster, Parameter } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { Finding } from '../ports.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';
import { type Agreed, agreed, describeCluster, failureOf, type Look, look } from './look.ts';
import { lagPublished } from './metric.ts';
import { ask, nodeOfSide, serverOf } from './sql.ts';

type Severity = Finding['severity'];
type Say = (code: string, severity: Severity, region: RegionName | null, message: string, remedy: string) => void;

export async function preflight(
  aurora: Aurora,
  mode: 'planned' | 'unplanned',
  from: RegionName,
  to: RegionName,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const say: Say = (code, severity, region, message, remedy) =>
    found.push({ code: `aurora.${code}`, severity, component: aurora.name, region, message, remedy });
  const [source, target] = [nodeOfSide(aurora, from), nodeOfSide(aurora, to)];
  const seen = await look(aurora);
  // A lost source is why an unplanned switch is made; the target has to answer in both modes.
  const atSource: Severity = mode === 'planned' ? 'blocker' : 'warning';
  await reachable(aurora, seen, target, 'blocker', say);
  await reachable(aurora, seen, source, atSource, say);
  let said: Agreed;
  try {
    said = agreed(seen, aurora, mode === 'unplanned' ? from : null);
  } catch (error) {
    const { type, message, remedy } = asFailure(error);
    if (found.length === 0)
      say(type === 'AccessDenied' ? 'accessDenied' : 'unreachable', 'blocker', null, message, remedy);
    return found;
  }
  roles(aurora, said, mode, from, to, say);
  const [a, b] = [seen.clusters[from]!, seen.clusters[to]!];
  if (!(b instanceof RampartError)) await targetFindings(aurora, b, target, said, mode, say);
  if (aurora.globalCluster !== null && !(a instanceof RampartError) && !(b instanceof RampartError))
    await pairFindings(aurora, [a, source], [b, target], say);
  if (aurora.globalCluster !== null) {
    surroundings(said, mode, say);
    for (const node of mode === 'planned' ? [source, target] : [target]) await proxies(aurora, node, from, say);
    if (mode === 'unplanned') await publishedLag(aurora, target, say);
  }
  return found;
}

/** The API answers, and the cluster is where the topology says. */
async function reachable(aurora: Aurora, seen: Look, node: AuroraNode, severity: Severity, say: Say): Promise<void> {
  const failures = [seen.clusters[node.region], seen.said[node.region]].filter((one) => one instanceof RampartError);
  if (failures.length === 0) return;
  const failure = failureOf(failures);
  if (failure.type === 'AccessDenied')
    return say('accessDenied', severity, node.region, failure.message, failure.remedy);
  if (!(failure instanceof AwsRefusal))
    return say('unreachable', severity, node.region, failure.message, failure.remedy);
  const elsewhere = await foundElsewhere(aurora, node);
  if (elsewhere !== null) {
    return say(
      'regionsSwapped',
      'blocker',
      node.region,
      `${where(aurora, node)}: cluster ${node.cluster} is not in ${node.place.region} but in ${elsewhere}`,
      'Correct awsRegion or cluster of the side in the topology: the sides look swapped.',
    );
  }
  say('notFound', 'blocker', node.region, failure.message, 'Correct the identifiers in the topology.');
}

async function foundElsewhere(aurora: Aurora, node: AuroraNode): Promise<string | null> {
  for (const other of aurora.nodes.filter(({ place }) => place.region !== node.place.region)) {
    const there = await describeCluster(aurora, { ...node, place: other.place }).catch(asFailure);
    if (!(there instanceof RampartError)) return other.place.region;
  }
  return null;
}

function roles(aurora: Aurora, said: Agreed, mode: string, from: RegionName, to: RegionName, say: Say): void {
  const { operation, writer } = said;
  if (operation !== null) {
    const message = `Aurora is switching ${aurora.name}${operation.to === null ? '' : ` to ${operation.to}`} (${operation.status})`;
    say('underWay', 'blocker', operation.to, message, 'Wait until that has ended, then make a new plan.');
  } else if (writer === to) {
    say(
      'targetIsWriter',
      'blocker',
      to,
      `${to} is the writer of ${aurora.name} already`,
      'There is nothing to switch.',
    );
  } else if (writer !== from && mode === 'planned') {
    const message = `the writer of ${aurora.name} is ${writer ?? 'in no side of the topology'}, not ${from}`;
    say(
      'sourceIsReader',
      'blocker',
      from,
      message,
      writer === null ? 'Add its side to the topology.' : `Use --from ${writer}.`,
    );
  }
  if (!(to in said.members)) {
    const message = `${to} is no member of ${aurora.globalCluster ?? 'the cluster'}: nothing could make it the writer`;
    say('notMember', 'blocker', to, message, 'Add it in the console, or correct the identifiers in the topology.');
  } else if (said.members[to] === 'pending-resync') {
    const message = `${to} is being rebuilt after an earlier failover (pending-resync): it does not hold the data yet`;
    say('pendingResync', 'blocker', to, message, 'Wait until it is connected: rampart reprotect waits for it.');
  }
}

async function targetFindings(
  aurora: Aurora,
  cluster: DBCluster,
  node: AuroraNode,
  said: Agreed,
  mode: 'planned' | 'unplanned',
  say: Say,
): Promise<void> {
  const members = (cluster.DBClusterMembers ?? []).map(({ DBInstanceIdentifier: id }) => id);
  if (node.instance !== null && !members.includes(node.instance))
    say(
      'notMember',
      'blocker',
      node.region,
      `cluster ${node.cluster} has no instance ${node.instance}`,
      'Correct `instance` in the topology.',
    );
  if (members.length === 0) {
    const message = `cluster ${node.cluster} in ${node.region} is headless: it has no instance that could take writes`;
    say(
      'headless',
      'blocker',
      node.region,
      message,
      'Create an instance in it, of the class that the primary has, and wait for it.',
    );
    return;
  }
  if (cluster.Status !== 'available' && said.operation === null) {
    const message = `cluster ${node.cluster} in ${node.region} is ${cluster.Status}`;
    say('notAvailable', 'blocker', node.region, message, 'Wait until it is available, or mend it.');
  }
  if (cluster.Engine !== undefined && cluster.Engine !== 'aurora-postgresql') {
    const message = `cluster ${node.cluster} is ${cluster.Engine}: the write probe speaks PostgreSQL`;
    say('engine', 'blocker', node.region, message, 'Only aurora-postgresql is driven.');
    return;
  }
  const server = serverOf(aurora, node, cluster, 'reader');
  const told = server === null ? null : await ask(aurora, server).catch(asFailure);
  if (told === null)
    say(
      'noEndpoint',
      'blocker',
      node.region,
      `cluster ${node.cluster} names no endpoint`,
      'Look at it in the console.',
    );
  else if (told instanceof RampartError)
    say(
      told.type === 'AccessDenied' ? 'sqlAccessDenied' : 'sqlUnreachable',
      // After the switch the worker could not tell whether the target takes writes, and the run would hold for that.
      // A lost source is no time to insist on it: a person can look.
      mode === 'planned' ? 'blocker' : 'warning',
      node.region,
      told.message,
      told.remedy,
    );
}

/** Versions and settings of the two sides. */
async function pairFindings(
  aurora: Aurora,
  [a, source]: [DBCluster, AuroraNode],
  [b, target]: [DBCluster, AuroraNode],
  say: Say,
): Promise<void> {
  if (a.EngineVersion !== b.EngineVersion) {
    const message = `${source.region} runs ${a.EngineVersion}, ${target.region} runs ${b.EngineVersion}: Aurora switches only between the same major and minor version`;
    say(
      'versionMismatch',
      'blocker',
      target.region,
      message,
      'Upgrade the older side; if there is no time: `rampart escape` has the way by detaching.',
    );
  }
  const [mine, theirs] = await Promise.all([parametersOf(aurora, a, source), parametersOf(aurora, b, target)]);
  for (const [set, node] of [
    [mine, source],
    [theirs, target],
  ] as const) {
    if (set instanceof RampartError) say('parametersUnread', 'warning', node.region, set.message, set.remedy);
  }
  if (mine instanceof RampartError || theirs instanceof RampartError) return;
  const rpo = [mine.get('rds.global_db_rpo'), theirs.get('rds.global_db_rpo')].find((value) => value !== undefined);
  if (rpo !== undefined && aurora.regions.length === 2) {
    const message = `rds.global_db_rpo is ${rpo} s with one secondary: commits wait as soon as that one is further behind, and while it is away`;
    say(
      'globalDbRpo',
      'warning',
      source.region,
      message,
      'With two regions leave it unset, or expect writes to stop when the other region is lost.',
    );
  }
  const names = [...new Set([...mine.keys(), ...theirs.keys()])].sort();
  const different = names.filter((name) => mine.get(name) !== theirs.get(name));
  if (different.length > 0) {
    const message = `parameter groups are not replicated, and these settings differ: ${different.slice(0, 10).join(', ')}${different.length > 10 ? ` and ${different.length - 10} more` : ''}`;
    say(
      'parametersDiffer',
      'warning',
      target.region,
      message,
      `Compare ${a.DBClusterParameterGroup} with ${b.DBClusterParameterGroup}: after the switch the second one counts.`,
    );
  }
}

/** What people have set in the cluster's parameter group. */
async function parametersOf(
  aurora: Aurora,
  cluster: DBCluster,
  node: AuroraNode,
): Promise<Map<string, string> | RampartError> {
  const group = cluster.DBClusterParameterGroup;
  if (group === undefined || group.startsWith('default.')) return new Map();
  try {
    const [api, { DescribeDBClusterParametersCommand }] = await Promise.all([
      rdsApi(aurora, node),
      import('@aws-sdk/client-rds'),
    ]);
    const set: Parameter[] = [];
    let Marker: string | undefined;
    do {
      const command = new DescribeDBClusterParametersCommand({
        DBClusterParameterGroupName: group,
        Source: 'user',
        Marker,
      });
      const page = await api.call('DescribeDBClusterParameters', (rds, o) => rds.send(command, o), readLimit(aurora));
      set.push(...(page.Parameters ?? []));
      Marker = page.Marker;
    } while (Marker !== undefined && Marker !== '');
    return new Map(
      set.flatMap(({ ParameterName: name, ParameterValue: value }) => (name && value ? [[name, value]] : [])),
    );
  } catch (error) {
    return asFailure(error);
  }
}

function surroundings(said: Agreed, mode: string, say: Say): void {
  if (said.endpoint === null) {
    const message = 'the global database has no global writer endpoint: the writer gets another address';
    say(
      'noGlobalEndpoint',
      'info',
      null,
      message,
      'The service needs a router that follows the writer (an endpoint component), or clients that know both addresses.',
    );
  } else {
    const message = `clients of the global writer endpoint ${said.endpoint} follow by themselves, as soon as their DNS answer has run out`;
    say(
      'globalEndpoint',
      'info',
      null,
      message,
      'Keep the DNS cache of clients at 5 s or less, and pools that reconnect.',
    );
  }
  if (said.strangers.length > 0) {
    const what =
      mode === 'planned'
        ? 'they follow the new writer'
        : 'Aurora rebuilds them, which takes minutes to hours: until then they are no protection';
    say(
      'otherSecondaries',
      'warning',
      null,
      `other members of the global database: ${said.strangers.join(', ')}; ${what}`,
      'Expect that, or take them out first.',
    );
  }
}

/** A proxy belongs to one region and one cluster. */
async function proxies(aurora: Aurora, node: AuroraNode, from: RegionName, say: Say): Promise<void> {
  try {
    const [api, sdk] = await Promise.all([rdsApi(aurora, node), import('@aws-sdk/client-rds')]);
    const limit = readLimit(aurora);
    const { DBProxies } = await api.call(
      'DescribeDBProxies',
      (rds, o) => rds.send(new sdk.DescribeDBProxiesCommand({}), o),
      limit,
    );
    for (const { DBProxyName } of DBProxies ?? []) {
      const command = new sdk.DescribeDBProxyTargetsCommand({ DBProxyName });
      const { Targets } = await api.call('DescribeDBProxyTargets', (rds, o) => rds.send(command, o), limit);
      const concerned = (Targets ?? []).some(
        (one) => one.TrackedClusterId === node.cluster || one.RdsResourceId === node.cluster,
      );
      if (!concerned) continue;
      const message =
        node.region === from
          ? `RDS Proxy ${DBProxyName} in ${node.region} goes on pointing at ${node.cluster}, which becomes read-only`
          : `RDS Proxy ${DBProxyName} in ${node.region} stands in front of the target`;
      const remedy =
        'A proxy does not follow the writer to another region: switch the address of its clients in the same run.';
      say('proxy', node.region === from ? 'warning' : 'info', node.region, message, remedy);
    }
  } catch (error) {
    const failure = asFailure(error);
    if (failure instanceof AwsRefusal) return;
    say('proxiesUnread', 'warning', node.region, failure.message, failure.remedy);
  }
}

/** Without it nobody can say how much an unplanned switch loses. */
async function publishedLag(aurora: Aurora, target: AuroraNode, say: Say): Promise<void> {
  const lag = await lagPublished(aurora, target).catch(asFailure);
  if (lag instanceof RampartError) return say('lagUnread', 'warning', target.region, lag.message, lag.remedy);
  if (lag !== null) return;
  const message = `CloudWatch in ${target.place.region} has no AuroraGlobalDBRPOLag of ${target.cluster}`;
  say('noLag', 'warning', target.region, message, 'What would be lost is known from the samples alone, or not at all.');
}
