/** The engineer on call takes no risk that nothing asks for. */
import { expect, test } from 'vitest';
import type { RunStatus } from '../../workflows/contract.ts';
import type { Hands } from './hands.ts';
import { answerHold, helpOn } from './person.ts';

/** The database of eu-west is down; everything else is well. */
const hands = {
  roles: async () => ({ 'eu-west': 'stopped', 'eu-central': 'primary' }),
  mend: async () => {},
} as unknown as Hands;

const status = (change: Partial<RunStatus>): RunStatus =>
  ({
    action: 'failover',
    mode: 'planned',
    from: 'eu-west',
    to: 'eu-central',
    phase: 'reprotect',
    steps: [],
    holding: { reason: 'a step failed', since: 0, choices: [] },
    pointOfNoReturn: { crossedAt: null, revokedAt: null },
    ...change,
  }) as unknown as RunStatus;

async function saidAt(one: RunStatus): Promise<string[]> {
  const said: string[] = [];
  const say = async (verb: string): Promise<boolean> => said.push(verb) > 0;
  await helpOn(hands, one, say);
  await answerHold(hands, one, 1, say);
  return said;
}

test('a planned run whose source is dead is escalated', async () => {
  expect(await saidAt(status({}))).toEqual(['escalate', 'escalate']);
});

test('a side that is being rebuilt is down, and no dead source: escalating would end the rebuild', async () => {
  expect(await saidAt(status({ action: 'reprotect' }))).toEqual(['retry']);
});
