/** What of the two clusters has to fit together. */
import type { DBCluster, Parameter } from '@aws-sdk/client-rds';
import { RampartError } from '../errors.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import type { Aurora, AuroraNode } from './config.ts';
import type { Say } from './preflight.ts';

/** Versions and settings of the two sides. */
export async function pairFindings(
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
