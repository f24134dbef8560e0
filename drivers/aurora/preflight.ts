/** What stands in the way of a switch, or surprises after it. Reads only. */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { Finding } from '../ports.ts';
import { asFailure } from './api.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';
import { type Agreed, agreed, describeCluster, failureOf, type Look, look } from './look.ts';
import { pairFindings } from './preflight-pair.ts';
import { proxies, publishedLag, surroundings } from './preflight-surroundings.ts';
import { ask, nodeOfSide, serverOf } from './sql.ts';

type Severity = Finding['severity'];
export type Say = (
  code: string,
  severity: Severity,
  region: RegionName | null,
  message: string,
  remedy: string,
) => void;

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
