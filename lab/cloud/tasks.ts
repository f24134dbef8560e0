/** ECS services: the app of a region runs while its service wants tasks, and is drained while it wants none. */
import type { WorldSpec } from '../world/spec.ts';
import type { ProviderClients } from './clients.ts';

export const ECS_CLUSTER = 'shop';
export const ECS_SERVICE = 'checkout';
/** Tasks of each region. One process of the lab stands for all of them. */
const TASKS = 2;

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
      await client.send(new CreateServiceCommand({ ...service, desiredCount: TASKS }));
    }),
  );
}

/** Tasks that the service of a region wants. */
export async function wantedTasks({ ecs }: ProviderClients, region: string): Promise<number> {
  const { DescribeServicesCommand } = await import('@aws-sdk/client-ecs');
  const { services } = await ecs[region]!.send(
    new DescribeServicesCommand({ cluster: ECS_CLUSTER, services: [ECS_SERVICE] }),
  );
  const found = services?.[0];
  if (found?.desiredCount === undefined) throw new Error(`the emulator has no service ${ECS_SERVICE} in ${region}`);
  return found.desiredCount;
}

/** Lets the app of a region run or drains it, by its own contract. @returns whether it was so already */
export async function setApp(port: number, running: boolean): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/rampart`;
  const signal = AbortSignal.timeout(2_000);
  const { state } = (await (await fetch(url, { signal })).json()) as { state: string };
  if ((state !== 'drained') === running) return true;
  const answer = await fetch(url, {
    method: 'PUT',
    body: JSON.stringify({ desired: running ? 'active' : 'drained' }),
    signal,
  });
  if (!answer.ok) throw new Error(`the app on ${port} said ${answer.status}`);
  return false;
}

/** Whether the app of a region serves: what a health check of a load balancer asks. */
export async function appServes(port: number): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/rampart`;
  return fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
    async (answer) => ((await answer.json()) as { state: string }).state !== 'drained',
    () => false,
  );
}
