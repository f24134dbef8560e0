/** What the driver must make of an ECS, the fake or an emulator: sizes, tags and bounds go there and come back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ecs } from '../../../drivers/ecs/driver.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { credentials, ecsComponent } from './world.ts';

export interface EcsPeer {
  url: string;
  stop(): Promise<void>;
  /** Makes service web of cluster shop with two tasks in eu-west-1; autoscaled from 1 to 8 where `autoscaling` says so. */
  prepare(): Promise<void>;
  /** Where `balancing` says so: the service's load balancer loses one of its four healthy targets. */
  loseTarget?(): Promise<void>;
}

export function describeEcs(
  name: string,
  start: () => Promise<EcsPeer>,
  { autoscaling, balancing = false }: { autoscaling: boolean; balancing?: boolean },
) {
  describe(`ecs on ${name}`, { timeout: 60_000 }, () => {
    let peer: EcsPeer;
    beforeAll(async () => {
      credentials();
      peer = await start();
      await peer.prepare();
    }, 120_000);
    afterAll(() => peer?.stop());

    const open = (node: object = {}, seq = 1) =>
      ecs.open(
        ecsComponent(peer.url, { autoscaling, timeout: '10s' }, { tasks: 4, ...node }),
        driverContext({ token: token(1, 'run one', seq) }),
      );
    const bounds = (min: number, max: number) => (autoscaling ? { min, max } : { min: null, max: null });

    test('scales, drains and puts back what was there, each read back from it', async () => {
      const saved = (await open().save('eu-west')).facts;
      expect(saved).toMatchObject({ state: 'active', size: { ...bounds(1, 8), desired: 2 } });
      const scaled = await open().scale('eu-west');
      expect(scaled).toMatchObject({ already: false, facts: { size: { ...bounds(4, 8), desired: 4 } } });
      expect(await open().observe('eu-west')).toMatchObject({
        reachable: true,
        state: 'active',
        ready: true,
        capacity: { present: 4, wanted: 4 },
        claim: { epoch: 1, runId: 'run one', seq: 1 },
      });
      expect(await open().scale('eu-west')).toMatchObject({ already: true });
      const drained = await open().drain('eu-west');
      expect(drained.facts).toMatchObject({ state: 'drained', size: { ...bounds(0, 0), desired: 0 } });
      const back = await open().restore('eu-west', saved);
      expect(back.facts).toMatchObject({ state: 'active', size: { ...bounds(1, 8), desired: 2 } });
    });

    test.runIf(balancing)('a load balancer that misses a target is waited for', async () => {
      await peer.loseTarget!();
      const impatient = ecsComponent(peer.url, { autoscaling, timeout: '10s', deadline: '100ms' }, { tasks: 4 });
      const scaling = ecs.open(impatient, driverContext({ token: token(1, 'run one', 2) })).scale('eu-west');
      await expect(scaling).rejects.toMatchObject({
        type: 'DeadlineExceeded',
        message: expect.stringContaining('the load balancer finds 3 of 4 targets of web healthy'),
      });
    });

    test('an older claim is refused, and the service stays as it is', async () => {
      await open({}, 7).quiesce('eu-west');
      await expect(open({}, 6).drain('eu-west')).rejects.toMatchObject({ type: 'Conflict' });
      expect(await open().observe('eu-west')).toMatchObject({ state: 'standby', claim: { seq: 7 } });
    });

    test('a service or a cluster that is not there is told', async () => {
      for (const other of [{ service: 'none' }, { cluster: 'none' }])
        await expect(open(other).save('eu-west')).rejects.toMatchObject({
          type: 'PreconditionFailed',
          message: expect.stringContaining('there is no service'),
        });
    });
  });
}
