/** Small drivers of every role, so that the topology can be tested without any driven system. */
import { z } from 'zod';
import type { Capabilities, Driver, Json, PortOf, Role } from '../../drivers/ports.ts';
import { durationSchema, secretSchema, sizeSchema } from '../../topology/scalars.ts';

function fake<R extends Role>(driver: Omit<Driver<R>, 'open' | 'summary'>): Driver<R> {
  return {
    ...driver,
    summary: `a fake ${driver.role}`,
    open: (): PortOf[R] => {
      throw new Error('never opened');
    },
  };
}

const store = fake({
  type: 'fakedb',
  role: 'store',
  config: z.strictObject({
    user: z.string().default('rampart'),
    password: secretSchema,
    maxLag: sizeSchema.optional(),
    stop: z.strictObject({ timeout: durationSchema }).optional(),
  }),
  node: z.strictObject({
    host: z.string(),
    port: z.int().min(1).max(65_535).default(5432),
    dataDirectory: z.string().optional(),
    url: z.string().optional(),
  }),
  capabilities: (): Capabilities => ({
    role: 'store',
    cutover: 'staged',
    fenceProofs: ['sessions', 'lease'],
    rewind: true,
  }),
  local: (node) => node.dataDirectory !== undefined,
  secrets: ['password', 'url'],
  validate: (component) =>
    Object.values(component.sides).flatMap((side) =>
      side.nodes.flatMap((node, i) =>
        node.config.host === 'nowhere'
          ? [
              {
                path: ['sides', side.region, 'nodes', i, 'config', 'host'],
                message: 'nowhere is no host',
                code: 'bad_host',
              },
            ]
          : [],
      ),
    ),
});

const router = fake({
  type: 'fakeedge',
  role: 'router',
  config: z.object({ ttl: durationSchema.optional(), kind: z.enum(['weighted', 'endpoint']).default('weighted') }),
  node: z.strictObject({ address: z.string() }),
  capabilities: (config: Record<string, Json>): Capabilities => ({
    role: 'router',
    kind: config.kind as 'weighted',
    ttlMs: (config.ttl as number | undefined) ?? 0,
    verify: 'readback',
  }),
  local: () => false,
  secrets: [],
});

const workload = fake({
  type: 'fakeapp',
  role: 'workload',
  config: z.strictObject({}),
  node: z.strictObject({ url: z.string() }),
  capabilities: (): Capabilities => ({ role: 'workload' }),
  local: () => false,
  secrets: [],
});

const check = fake({
  type: 'fakecheck',
  role: 'check',
  config: z.strictObject({ expect: z.union([z.string(), z.strictObject({ above: z.number() })]).optional() }),
  node: z.strictObject({ url: z.string().optional() }),
  capabilities: (): Capabilities => ({ role: 'check' }),
  local: () => false,
  secrets: [],
});

export const fakeDrivers: ReadonlyMap<string, Driver> = new Map<string, Driver>(
  [store, router, workload, check].map((driver) => [driver.type, driver as Driver]),
);
