/** What stands around a global database and goes along with a switch, or does not. */
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import type { Aurora, AuroraNode } from './config.ts';
import type { Agreed } from './look.ts';
import { lagPublished } from './metric.ts';
import type { Say } from './preflight.ts';

export function surroundings(said: Agreed, mode: string, say: Say): void {
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
export async function proxies(aurora: Aurora, node: AuroraNode, from: RegionName, say: Say): Promise<void> {
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
export async function publishedLag(aurora: Aurora, target: AuroraNode, say: Say): Promise<void> {
  const lag = await lagPublished(aurora, target).catch(asFailure);
  if (lag instanceof RampartError) return say('lagUnread', 'warning', target.region, lag.message, lag.remedy);
  if (lag !== null) return;
  const message = `CloudWatch in ${target.place.region} has no AuroraGlobalDBRPOLag of ${target.cluster}`;
  say('noLag', 'warning', target.region, message, 'What would be lost is known from the samples alone, or not at all.');
}
