import { z } from 'zod';
import { durationBetween } from '../../../topology/scalars.ts';

/** Configuration that workloads of a number of equal units have in common. */
export const capacityConfig = {
  quiesce: z
    .enum(['keep', 'stop'])
    .prefault('keep')
    .meta({
      description:
        'What standby does: `keep` leaves everything running (what stops its writes is the fence of the store), `stop` stops every unit and waits until none is left: for workers that write by themselves',
      examples: ['keep', 'stop'],
    }),
  cpu: z
    .number()
    .min(1)
    .max(100)
    .prefault(70)
    .meta({
      description:
        'Percent of CPU that units may use. When a former, smaller size is put back, as many stay as keep below it',
      examples: [70],
    }),
  deadline: durationBetween(50, 86_400_000)
    .prefault('10m')
    .meta({ description: 'Longest wait until as many units as wanted can serve', examples: ['10m'] }),
  drainDeadline: durationBetween(50, 86_400_000)
    .prefault('10m')
    .meta({
      description:
        'Longest wait until no unit is left: the deregistration delay of the load balancer plus the time to stop',
      examples: ['10m'],
    }),
  poll: durationBetween(5, 60_000)
    .prefault('5s')
    .meta({ description: 'Pause between two looks at it while waiting', examples: ['5s'] }),
  timeout: durationBetween(10, 60_000)
    .prefault('10s')
    .meta({ description: 'Longest wait for one answer of the API', examples: ['10s'] }),
};

const configObject = z.strictObject(capacityConfig);
export type CapacityConfig = z.output<typeof configObject>;

/** Fields of one side. */
export const units = z.int().min(1).optional();
export const standbyUnits = z.int().min(0).prefault(0);
