import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../../lab/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { Run, type StoreWorld } from '../store/run.ts';
import { describeStore } from '../store/store-suite.ts';
import { atomicStore } from './driver.ts';
import { AtomicSystem } from './system.ts';

const KEY = '${env:ATOMIC_KEY}';
const WRONG = '${env:WRONG_KEY}';

describeStore('atomic store', makeWorld);

async function makeWorld(): Promise<StoreWorld & { system: AtomicSystem }> {
  const dir = mkdtempSync(join(tmpdir(), 'rampart-atomic-'));
  const system = await AtomicSystem.open(join(dir, 'system'), ['east', 'west'], 'the-right-key');
  const side = (region: string) => ({ region, nodes: [{ name: region, queue: 'rampart', config: {} }] });
  const at = (port: number, key = KEY): Component => ({
    name: 'ledger',
    type: 'atomic-store',
    role: 'store',
    queue: 'rampart',
    config: { url: `http://127.0.0.1:${port}`, key },
    sides: { east: side('east'), west: side('west') },
    capabilities: atomicStore.capabilities({}),
  });
  const closed = await freePort();
  const call = (method: string, path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${system.port}/${path}`, { method, headers: { authorization: `Bearer ${system.key}` } });
  return {
    system,
    driver: atomicStore,
    component: at(system.port),
    from: 'east',
    to: 'west',
    secrets: { [KEY]: 'the-right-key' },
    dir,
    unreachable: () => at(closed),
    wrongCredentials: () => ({ component: at(system.port, WRONG), secrets: { [WRONG]: 'not-the-key' } }),
    write: async (region) => {
      const response = await call('POST', `write/${region}`);
      if (response.status !== 201) throw new Error(`not written: ${await response.text()}`);
    },
    count: async (region) => {
      const state = (await (await call('GET', 'cluster')).json()) as {
        members: Array<{ region: string; position: number }>;
      };
      return state.members.find((member) => member.region === region)!.position;
    },
    close: async () => {
      await system.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

test('a planned switchover that cannot catch up is given up without loss; an unplanned one goes on with it', async () => {
  const world = await makeWorld();
  try {
    const run = new Run(world, 1);
    await run.claim();
    world.system.replicate(false);
    await world.write('east');
    await expect(run.at(null).switchover!('east', 'west', 'planned')).rejects.toMatchObject({ type: 'NotApplied' });
    expect(await run.observe('east')).toMatchObject({ state: 'writable', timeline: 1 });
    expect((await run.at(null).prove({ region: 'east' })).fence.cannotWrite).toBe('none');
    const moved = await run.at(null).switchover!('east', 'west', 'unplanned');
    expect(moved).toMatchObject({ already: false, promote: { region: 'west', timeline: 2 } });
    expect((await run.at(null).prove({ region: 'east' })).fence).toMatchObject({
      cannotWrite: 'provider',
      durable: true,
    });
    expect(await world.count('west')).toBe(0);
  } finally {
    await world.close();
  }
});
