/** Amazon ECS and Application Auto Scaling, as far as the size of services goes, with tasks that take their time. */
import { type AwsCall, AwsError, type FakeService, members } from './protocol.ts';

export interface FakeTask {
  arn: string;
  desiredStatus: 'RUNNING' | 'STOPPED';
  lastStatus: 'PENDING' | 'RUNNING' | 'DEACTIVATING' | 'STOPPED';
  healthStatus: 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN';
}

export interface FakeEcsService {
  region: string;
  cluster: string;
  name: string;
  status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  desired: number;
  tasks: FakeTask[];
  tags: Map<string, string>;
  deployments: Array<{ status: string; rolloutState: string; rolloutStateReason?: string }>;
  events: string[];
  schedulingStrategy: 'REPLICA' | 'DAEMON';
  controller: 'ECS' | 'CODE_DEPLOY' | 'EXTERNAL';
  /** Target groups of its load balancers; every running task is a target of each. */
  targetGroups: string[];
}

export interface FakeTargetHealth {
  State: 'initial' | 'healthy' | 'unhealthy' | 'unused';
  Reason?: string;
  Description?: string;
}

export class FakeEcs {
  services: FakeEcsService[] = [];
  /** Bounds by `region service/cluster/name`; a service without any is not autoscaled. */
  bounds = new Map<string, { MinCapacity: number; MaxCapacity: number; suspended: boolean }>();
  /** Requests that tasks are working on: as many tasks do not end. */
  held = 0;
  /** Tasks that can run at all: machines, or a quota. */
  room = Number.POSITIVE_INFINITY;
  /** What load balancers say of targets, by target group; healthy where it says nothing. */
  health = new Map<string, FakeTargetHealth>();
  /** New tasks stay PENDING. */
  slow = false;
  #tasks = 0;

  add(region: string, cluster: string, name: string, desired: number): FakeEcsService {
    const service: FakeEcsService = {
      region,
      cluster,
      name,
      status: 'ACTIVE',
      desired,
      tasks: [],
      tags: new Map(),
      deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED' }],
      events: [],
      schedulingStrategy: 'REPLICA',
      controller: 'ECS',
      targetGroups: [],
    };
    this.services.push(service);
    this.#settle(service);
    return service;
  }

  fakes(): FakeService[] {
    const snapshot = () => {
      const { services, bounds } = this;
      [this.services, this.bounds] = structuredClone([services, bounds] as const);
      return () => {
        [this.services, this.bounds] = [services, bounds];
      };
    };
    return [
      {
        scope: 'ecs',
        protocol: 'json1.1',
        snapshot,
        operations: {
          DescribeServices: (call) => this.#describe(call),
          UpdateService: (call) => {
            const service = this.#find(call, call.input.service);
            service.desired = call.input.desiredCount ?? service.desired;
            this.#settle(service);
            return { service: show(service) };
          },
          ListTasks: (call) => {
            const { tasks } = this.#find(call, call.input.serviceName);
            const wanted = call.input.desiredStatus ?? 'RUNNING';
            return { taskArns: tasks.filter((task) => task.desiredStatus === wanted).map((task) => task.arn) };
          },
          DescribeTasks: ({ input }) => {
            const tasks = this.services.flatMap((service) => service.tasks);
            const shown = tasks.filter(({ arn }) => input.tasks.includes(arn));
            return { tasks: shown.map(({ arn, ...task }) => ({ taskArn: arn, ...task })), failures: [] };
          },
          TagResource: (call) => {
            for (const { key, value } of call.input.tags) this.#tagged(call).set(key, value);
            return {};
          },
          UntagResource: (call) => {
            for (const key of call.input.tagKeys) this.#tagged(call).delete(key);
            return {};
          },
        },
      },
      {
        scope: 'elasticloadbalancing',
        protocol: 'query',
        namespace: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
        snapshot,
        operations: {
          DescribeTargetHealth: ({ input }) => {
            const service = this.services.find((one) => one.targetGroups.includes(input.TargetGroupArn));
            if (service === undefined) throw new AwsError('TargetGroupNotFound', 'One or more target groups not found');
            const TargetHealth = { ...(this.health.get(input.TargetGroupArn) ?? { State: 'healthy' }) };
            const running = service.tasks.filter(({ lastStatus }) => lastStatus === 'RUNNING');
            const targets = running.map(({ arn }) => ({ Target: { Id: arn, Port: 80 }, TargetHealth }));
            return { TargetHealthDescriptions: members(targets) };
          },
        },
      },
      {
        scope: 'application-autoscaling',
        protocol: 'json1.1',
        snapshot,
        operations: {
          DescribeScalableTargets: ({ region, input }) => ({
            ScalableTargets: (input.ResourceIds ?? []).flatMap((ResourceId: string) => {
              const found = this.bounds.get(`${region} ${ResourceId}`);
              if (found === undefined) return [];
              const { suspended, ...bounds } = found;
              return [{ ServiceNamespace: 'ecs', ResourceId, ...bounds, SuspendedState: suspended ? ALL : NONE }];
            }),
          }),
          RegisterScalableTarget: ({ region, input }) => {
            const { ResourceId, MinCapacity, MaxCapacity } = input;
            if (MinCapacity > MaxCapacity)
              throw new AwsError('ValidationException', 'Maximum capacity cannot be less than minimum capacity');
            const key = `${region} ${ResourceId}`;
            this.bounds.set(key, { suspended: this.bounds.get(key)?.suspended ?? false, MinCapacity, MaxCapacity });
            return { ScalableTargetARN: `arn:aws:application-autoscaling:${region}:000000000000:scalable-target/x` };
          },
        },
      },
    ];
  }

  #describe(call: AwsCall): object {
    const names: string[] = call.input.services;
    if (!this.services.some(({ region, cluster }) => region === call.region && cluster === call.input.cluster))
      throw new AwsError('ClusterNotFoundException', 'Cluster not found.');
    const found = names.flatMap((name) => {
      try {
        return [this.#find(call, name)];
      } catch {
        return [];
      }
    });
    for (const service of found) this.#settle(service);
    const missing = names.filter((name) => !found.some((service) => service.name === name));
    return { services: found.map(show), failures: missing.map((arn) => ({ arn, reason: 'MISSING' })) };
  }

  #find({ region, input }: AwsCall, name: string): FakeEcsService {
    const found = this.services.find(
      (one) => one.region === region && one.cluster === input.cluster && one.name === name,
    );
    if (found === undefined) throw new AwsError('ServiceNotFoundException', 'Service not found.');
    return found;
  }

  #tagged({ input }: AwsCall): Map<string, string> {
    const found = this.services.find((service) => arnOf(service) === input.resourceArn);
    if (found === undefined) throw new AwsError('InvalidParameterException', 'The specified service was not found.');
    return found.tags;
  }

  /** One round of ECS's scheduler: it looks at what is wanted and moves every task a step. */
  #settle(service: FakeEcsService): void {
    const live = () => service.tasks.filter((task) => task.desiredStatus === 'RUNNING');
    for (const task of live()) if (task.lastStatus === 'PENDING' && !this.slow) task.lastStatus = 'RUNNING';
    while (live().length > service.desired)
      Object.assign(live().at(-1) as FakeTask, { desiredStatus: 'STOPPED', lastStatus: 'DEACTIVATING' });
    while (live().length < Math.min(service.desired, this.room)) {
      const arn = `arn:aws:ecs:${service.region}:000000000000:task/${service.cluster}/${++this.#tasks}`;
      const lastStatus = this.slow ? 'PENDING' : 'RUNNING';
      service.tasks.push({ arn, desiredStatus: 'RUNNING', lastStatus, healthStatus: 'UNKNOWN' });
    }
    if (live().length < service.desired && service.events.length === 0)
      service.events.push(`(service ${service.name}) was unable to place a task: You've reached the limit on vCPUs.`);
    const ending = service.tasks.filter((task) => task.lastStatus === 'DEACTIVATING');
    for (const task of ending.slice(this.held)) task.lastStatus = 'STOPPED';
  }
}

const ALL = { DynamicScalingInSuspended: true, DynamicScalingOutSuspended: true, ScheduledScalingSuspended: true };
const NONE = { DynamicScalingInSuspended: false, DynamicScalingOutSuspended: false, ScheduledScalingSuspended: false };

function arnOf({ region, cluster, name }: FakeEcsService): string {
  return `arn:aws:ecs:${region}:000000000000:service/${cluster}/${name}`;
}

function show(service: FakeEcsService): object {
  const count = (lastStatus: string) =>
    service.tasks.filter((task) => task.desiredStatus === 'RUNNING' && task.lastStatus === lastStatus).length;
  return {
    serviceArn: arnOf(service),
    serviceName: service.name,
    status: service.status,
    desiredCount: service.desired,
    runningCount: count('RUNNING'),
    pendingCount: count('PENDING'),
    deployments: service.deployments,
    events: service.events.map((message, index) => ({ id: String(index), message, createdAt: new Date() })),
    schedulingStrategy: service.schedulingStrategy,
    deploymentController: { type: service.controller },
    loadBalancers: service.targetGroups.map((targetGroupArn) => ({ targetGroupArn, containerPort: 80 })),
    tags: [...service.tags].map(([key, value]) => ({ key, value })),
  };
}
