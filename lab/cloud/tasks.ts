/** ECS services: the app of a region runs while its service wants tasks, and is drained while it wants none. */
import { FakeEcs } from '../../test/fakes/aws/ecs.ts';
import { FakeAws } from '../../test/fakes/aws/server.ts';
import { HOME_REGION, type WorldSpec } from '../world/spec.ts';
import { AWS_REGIONS, type ProviderClients } from './clients.ts';

export const ECS_CLUSTER = 'shop';
export const ECS_SERVICE = 'checkout';
/** Tasks of the region with the traffic, and of the other. One process of the lab stands for all of a region. */
const TASKS = { home: 4, standby: 2 };
/** Bounds of the autoscaling. */
const LARGEST = 12;

export async function createServices(spec: WorldSpec, { ecs }: ProviderClients): Promise<void> {
  const { CreateClusterCommand, CreateServiceCommand, RegisterTaskDefinitionCommand } = await import(
    '@aws-sdk/client-ecs'
  );
  const task = {
    family: ECS_SERVICE,
    containerDefinitions: [{ name: 'app', image: 'example/checkout:1', memory: 128 }],
  };
  await Promise.all(
    spec.regions.map(async ({ name }) => {
      const client = ecs[name]!;
      await client.send(new CreateClusterCommand({ clusterName: ECS_CLUSTER }));
      await client.send(new RegisterTaskDefinitionCommand(task));
      const service = { cluster: ECS_CLUSTER, serviceName: ECS_SERVICE, taskDefinition: ECS_SERVICE };
      await client.send(new CreateServiceCommand({ ...service, desiredCount: tasksOf(name) }));
    }),
  );
}

const tasksOf = (region: string): number => (region === HOME_REGION ? TASKS.home : TASKS.standby);

/** Application Auto Scaling, which the emulator does not have. @returns its URL */
export async function startScaling(spec: WorldSpec): Promise<string> {
  const fake = new FakeEcs();
  for (const { name } of spec.regions)
    fake.bounds.set(`${AWS_REGIONS[name]} service/${ECS_CLUSTER}/${ECS_SERVICE}`, {
      ...{ MinCapacity: tasksOf(name), MaxCapacity: LARGEST, suspended: false },
    });
  const { url } = await FakeAws.start(fake.fakes().filter(({ scope }) => scope === 'application-autoscaling'));
  return url;
}

/** Tasks that the service of a region wants. */
async function wantedTasks({ ecs }: ProviderClients, region: string): Promise<number> {
  const { DescribeServicesCommand } = await import('@aws-sdk/client-ecs');
  const { services } = await ecs[region]!.send(
    new DescribeServicesCommand({ cluster: ECS_CLUSTER, services: [ECS_SERVICE] }),
  );
  const found = services?.[0];
  if (found?.desiredCount === undefined) throw new Error(`the emulator has no service ${ECS_SERVICE} in ${region}`);
  return found.desiredCount;
}

/** Lets the app of a region run or drains it, by its own contract. */
async function setApp(port: number, running: boolean): Promise<void> {
  const url = `http://127.0.0.1:${port}/rampart`;
  const signal = AbortSignal.timeout(2_000);
  const told = await fetch(url, { signal }).catch(() => undefined);
  // It has not been started yet, or was killed: its service is looked at again.
  if (told === undefined) return;
  const { state } = (await told.json()) as { state: string };
  if ((state !== 'drained') === running) return;
  const answer = await fetch(url, {
    method: 'PUT',
    body: JSON.stringify({ desired: running ? 'active' : 'drained' }),
    signal,
  });
  if (!answer.ok) throw new Error(`the app on ${port} said ${answer.status}`);
}

/** One pass of a follower: every app as its service says. */
export async function followServices(spec: WorldSpec, clients: ProviderClients): Promise<boolean> {
  await Promise.all(
    spec.regions.map(async ({ name, appPort }) => setApp(appPort, (await wantedTasks(clients, name)) > 0)),
  );
  return true;
}

/** Whether the app of a region serves: what a health check of a load balancer asks. */
export async function appServes(port: number): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/rampart`;
  return fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
    async (answer) => ((await answer.json()) as { state: string }).state !== 'drained',
    () => false,
  );
}
