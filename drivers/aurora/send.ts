/** The call itself, sent once, to the region that the provider's documentation names for it. */
import { rdsApi } from './api.ts';
import type { Aurora, AuroraNode } from './config.ts';

/**
 * Planned: `SwitchoverGlobalCluster`, to the primary's region. Unplanned: `FailoverGlobalCluster` with `AllowDataLoss`,
 * to the target's region; without it the call would wait for the lost region. One cluster: `FailoverDBCluster`.
 * @param arn the target's cluster, as its own region names it
 * @throws what the API fails with
 */
export async function send(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  arn: string,
  mode: 'planned' | 'unplanned',
): Promise<void> {
  const sdk = await import('@aws-sdk/client-rds');
  const to = await rdsApi(aurora, target);
  if (aurora.globalCluster === null) {
    const command = new sdk.FailoverDBClusterCommand({
      DBClusterIdentifier: target.cluster,
      TargetDBInstanceIdentifier: target.instance!,
    });
    await to.call('FailoverDBCluster', (rds, options) => rds.send(command, options));
    return;
  }
  const input = { GlobalClusterIdentifier: aurora.globalCluster, TargetDbClusterIdentifier: arn };
  if (mode === 'planned') {
    const from = await rdsApi(aurora, source);
    const command = new sdk.SwitchoverGlobalClusterCommand(input);
    await from.call('SwitchoverGlobalCluster', (rds, options) => rds.send(command, options));
    return;
  }
  const command = new sdk.FailoverGlobalClusterCommand({ ...input, AllowDataLoss: true });
  await to.call('FailoverGlobalCluster', (rds, options) => rds.send(command, options));
}
