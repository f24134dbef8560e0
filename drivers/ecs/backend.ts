/**
 * One ECS service as a number of tasks. Facts about ECS: a service's `runningCount` leaves out tasks that are being
 * stopped, and those still work on their last requests until the load balancer and the stop time-out let go of them, so
 * the tasks themselves are asked (Amazon ECS Developer Guide, "Task lifecycle").
 */
import type { Service, Task } from '@aws-sdk/client-ecs';
import type { Backend, Reading, Size } from '../aws/capacity/backend.ts';
import { averageCpu } from '../aws/capacity/cpu.ts';
import { awsApi } from '../aws/client.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Finding } from '../ports.ts';
import { ECS_CALLS } from './calls.ts';
import type { EcsConfig, EcsNode } from './config.ts';
import { type Bounds, scalableTarget } from './scaling.ts';
import { balancedTargets, type Targets } from './targets.ts';

/** Most tasks that one DescribeTasks takes. */
const PAGE = 100;

export interface EcsPlace {
  component: string;
  region: string;
  node: EcsNode;
  config: EcsConfig;
  context: DriverContext;
  timeoutMs: number;
}

export async function openService({ component, region, node, config, context, timeoutMs }: EcsPlace): Promise<Backend> {
  const { cluster, service } = node;
  const name = `service ${service} of cluster ${cluster}`;
  const where = `${component} in ${region}`;
  const common = { context, component: where };
  const limits = { timeoutMs };
  const api = await awsApi({
    load: () =>
      import('@aws-sdk/client-ecs').then(
        ({ ECSClient }) =>
          (base) =>
            new ECSClient(base),
      ),
    package: '@aws-sdk/client-ecs',
    calls: ECS_CALLS,
    place: { region: node.region, endpoint: node.endpoint },
    ...common,
  });
  const sdk = await import('@aws-sdk/client-ecs');
  const scaling = config.autoscaling
    ? await scalableTarget({ node, ...common, timeoutMs })
    : { read: async (): Promise<Bounds | null> => null, write: async () => undefined };

  const targets: Targets = config.targetHealth
    ? await balancedTargets({ node, ...common, timeoutMs })
    : { missing: async () => '' };

  async function describe(): Promise<Service> {
    const missing = new RampartError('PreconditionFailed', `${where}: there is no ${name} in ${node.region}`, {
      remedy: 'Check `cluster`, `service` and `region` of this side; are the regions swapped?',
    });
    const command = new sdk.DescribeServicesCommand({ cluster, services: [service], include: ['TAGS'] });
    const answer = await api
      .call('DescribeServices', (client, options) => client.send(command, options), limits)
      .catch((error: unknown) => {
        throw error instanceof AwsRefusal && error.code === 'ClusterNotFoundException' ? missing : error;
      });
    const [found] = answer.services ?? [];
    if (found !== undefined && found.status !== 'INACTIVE') return found;
    if (found === undefined && answer.failures?.length === 0)
      throw unreadable(where, 'names neither the service nor a failure');
    throw missing;
  }

  async function tasks(desiredStatus: 'RUNNING' | 'STOPPED'): Promise<Task[]> {
    const found: Task[] = [];
    let nextToken: string | undefined;
    do {
      const list = new sdk.ListTasksCommand({ cluster, serviceName: service, desiredStatus, nextToken });
      const page = await api.call('ListTasks', (client, options) => client.send(list, options), limits);
      nextToken = page.nextToken;
      const arns = page.taskArns ?? [];
      for (let at = 0; at < arns.length; at += PAGE) {
        const some = new sdk.DescribeTasksCommand({ cluster, tasks: arns.slice(at, at + PAGE) });
        const answer = await api.call('DescribeTasks', (client, options) => client.send(some, options), limits);
        found.push(...(answer.tasks ?? []));
      }
    } while (nextToken !== undefined && nextToken !== '');
    return found;
  }

  let arn: string | undefined;
  return {
    name,
    unit: 'tasks',

    async read(): Promise<Reading> {
      const found = await describe();
      arn = found.serviceArn;
      const { desiredCount, runningCount, pendingCount } = found;
      if (desiredCount === undefined || runningCount === undefined || pendingCount === undefined)
        throw unreadable(where, 'has no counts');
      // Towards nothing it counts what has not ended; towards something, what is healthy.
      const [bounds, listed] = await Promise.all([scaling.read(), tasks(desiredCount === 0 ? 'STOPPED' : 'RUNNING')]);
      const unhealthy = listed.filter((task) => task.lastStatus === 'RUNNING' && task.healthStatus === 'UNHEALTHY');
      const stopping = desiredCount === 0 ? listed.filter((task) => task.lastStatus !== 'STOPPED') : [];
      return {
        size: { min: bounds?.min ?? null, max: bounds?.max ?? null, desired: desiredCount },
        present: Math.max(0, runningCount - unhealthy.length),
        left: runningCount + pendingCount + stopping.length,
        tags: Object.fromEntries((found.tags ?? []).map(({ key = '', value = '' }) => [key, value])),
        troubles: troublesOf(found),
      };
    },

    async resize(now: Size, to: Size) {
      // Upwards the bounds first, so that the autoscaling does not take new tasks away; downwards too, so that it adds none.
      if (to.min !== null && to.max !== null && (now.min !== to.min || now.max !== to.max))
        await scaling.write({ min: to.min, max: to.max });
      if (now.desired === to.desired) return;
      const command = new sdk.UpdateServiceCommand({ cluster, service, desiredCount: to.desired });
      await api.call('UpdateService', (client, options) => client.send(command, options), limits);
    },

    async tag(tags) {
      const resourceArn = arn ?? (await describe()).serviceArn;
      const set = Object.entries(tags).flatMap(([key, value]) => (value === null ? [] : [{ key, value }]));
      const gone = Object.keys(tags).filter((key) => tags[key] === null);
      if (set.length > 0) {
        const command = new sdk.TagResourceCommand({ resourceArn, tags: set });
        await api.call('TagResource', (client, options) => client.send(command, options), limits);
      }
      if (gone.length === 0) return;
      const command = new sdk.UntagResourceCommand({ resourceArn, tagKeys: gone });
      await api.call('UntagResource', (client, options) => client.send(command, options), limits);
    },

    obstacle: async () => '',
    notYet: async () => targets.missing(await describe()),
    progress: async () => (await describe()).events?.[0]?.message ?? '',
    cpu: () =>
      averageCpu({
        place: { region: node.region, endpoint: node.cloudwatchEndpoint },
        ...common,
        timeoutMs,
        namespace: 'AWS/ECS',
        dimensions: { ClusterName: cluster, ServiceName: service },
      }),

    async findings(): Promise<Finding[]> {
      const found = await describe();
      // What it says changes until traffic comes; that it can be read is found out before a run needs it.
      await targets.missing(found);
      const rest = { component, region };
      const blocker = (code: string, message: string, remedy: string): Finding => ({
        ...{ code, severity: 'blocker', ...rest, message: `${where}: ${message}.`, remedy },
      });
      const controller = found.deploymentController?.type ?? 'ECS';
      return [
        ...(found.status === 'ACTIVE'
          ? []
          : [blocker('serviceNotActive', `${name} is ${found.status}`, 'Bring it back to ACTIVE first.')]),
        ...(found.schedulingStrategy === 'DAEMON'
          ? [
              blocker(
                'serviceDaemon',
                `${name} runs one task on each machine and has no desired count`,
                'Drive its machines instead (type asg).',
              ),
            ]
          : []),
        ...(controller === 'EXTERNAL'
          ? [
              blocker(
                'serviceExternal',
                `the tasks of ${name} belong to an external deployment controller`,
                'Drive what controls them.',
              ),
            ]
          : []),
        ...troublesOf(found).map(
          (message): Finding => ({
            code: 'serviceDeploying',
            severity: 'warning',
            ...rest,
            message: `${where}: ${message}.`,
            remedy: 'Wait for the deployment, or see its events, and hold further ones during the run.',
          }),
        ),
      ];
    },
  };
}

/** Deployments that are on their way, or were given up by the circuit breaker. */
function troublesOf({ deployments = [] }: Service): string[] {
  const primary = deployments.find(({ status }) => status === 'PRIMARY');
  if (primary?.rolloutState === 'FAILED')
    return [`the last deployment failed: ${primary.rolloutStateReason ?? 'no reason given'}`];
  return deployments.length > 1 ? ['a deployment is in progress'] : [];
}

function unreadable(where: string, why: string): RampartError {
  return new RampartError('ProviderUnavailable', `${where}: the answer of ECS ${why}`, {
    remedy: 'It is looked at again by itself.',
    details: { maybeApplied: true },
  });
}
