import { z } from 'zod';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';

/** Configuration of an `http-contract` component. */
export const configSchema = z.strictObject({
  path: z
    .string()
    .regex(/^\//, 'expected a path such as /rampart')
    .prefault('/rampart')
    .meta({ description: 'Path of the contract, for urls that have none', examples: ['/rampart'] }),
  token: secretSchema.optional().meta({
    description: 'Bearer token that the service asks for',
    examples: ['${env:CHECKOUT_RAMPART_TOKEN}'],
  }),
  timeout: durationBetween(10, 60_000)
    .prefault('2s')
    .meta({ description: 'Longest wait for one answer', examples: ['2s'] }),
  deadline: durationBetween(50, 86_400_000)
    .prefault('30s')
    .meta({ description: 'Longest wait until the service shows the state asked for', examples: ['30s', '5m'] }),
  drainDeadline: durationBetween(50, 86_400_000)
    .prefault('1m')
    .meta({ description: 'Longest wait until no request is in flight', examples: ['1m', '10m'] }),
});

/** Configuration of one node: one instance of the service, or the address that speaks for all of a region. */
export const nodeSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as http://10.0.0.5:8080' })
    .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
      error: 'no user or password in a URL: they would be shown in plans and logs',
    })
    .meta({ description: 'Address of the service, with or without the path of the contract', examples: ['http://10.1.0.5:8080'] }), // biome-ignore format: one thought
  capacity: z
    .int()
    .min(1)
    .optional()
    .meta({ description: 'Units (instances, tasks, …) that must be present before the region gets traffic', examples: [3] }), // biome-ignore format: one thought
});

export type ContractConfig = z.output<typeof configSchema>;
export type ContractNode = z.output<typeof nodeSchema>;

/** The address of the contract: the URL itself when it has a path, else the URL with the component's path. */
export function contractUrl(config: ContractConfig, node: ContractNode): string {
  const url = new URL(node.url);
  if (url.pathname === '/') url.pathname = config.path;
  return url.href;
}
