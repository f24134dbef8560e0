/** What a run owes of synchronous replication, by what its steps have said. */
import { beforeEach, expect, test } from 'vitest';
import type { Json, Receipt } from '../../drivers/ports.ts';
import type { Debt } from '../../evidence/record.ts';
import type { Run } from '../../workflows/run/state.ts';
import { noteSyncDebt } from '../../workflows/run/sync-debt.ts';

const NAME = 'synchronous_standby_names';
let owed: Debt[];
let run: Run;
beforeEach(() => {
  owed = [];
  const step = (verb: string, region: string) => ({ id: `${verb}@${region}`, verb, component: 'db' });
  const steps = [step('verifyWritable', 'b'), step('rejoin', 'a'), step('rejoin', 'c'), step('rebuild', 'a')];
  run = {
    plan: { to: 'b', stages: [{ steps }] },
    record: { service: 'checkout' },
    receipts: new Map(),
    addDebt: (debt: Debt) => void owed.splice(0, 1, debt),
    payDebt: () => void owed.splice(0),
  } as unknown as Run;
});

const say = (id: string, facts: Record<string, Json>): void => {
  run.receipts.set(id, { already: false, at: 0, summary: '', facts } satisfies Receipt);
  noteSyncDebt(run, 'db');
};

test('owed from the promotion on, until a replica that comes back says that nothing waits', () => {
  say('verifyWritable@b', { suspended: [NAME] });
  expect(owed).toMatchObject([{ code: 'syncSuspended', component: 'db', region: 'b' }]);
  expect(owed[0]!.message).toContain(`${NAME} of db in b is set aside`);
  say('rejoin@a', { syncRestored: [], syncWaiting: [NAME] });
  expect(owed).toHaveLength(1);
  say('rebuild@a', { syncRestored: [NAME], syncWaiting: [] });
  expect(owed).toEqual([]);
});

test('what one step has put back is not waiting, although another one says so that looked earlier', () => {
  say('rejoin@c', { syncRestored: [NAME], syncWaiting: [] });
  say('rejoin@a', { syncRestored: [], syncWaiting: [NAME, 'synchronized_standby_slots'] });
  expect(owed[0]!.message).toMatch(/^synchronized_standby_slots of/);
});

test('a store whose driver says nothing of it leaves what an earlier plan noted', () => {
  owed = [{ code: 'syncSuspended', component: 'db', region: 'b', message: '', remedy: '' }];
  say('rejoin@a', { needs: 'rebuild' });
  say('verifyWritable@b', {});
  expect(owed).toHaveLength(1);
  say('verifyWritable@b', { suspended: [] });
  expect(owed).toEqual([]);
});
