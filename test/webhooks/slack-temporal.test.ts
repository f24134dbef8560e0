/** What a press says to Temporal, and what its answers mean for the person. */
import { type Client, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { expect, test } from 'vitest';
import { Unavailable } from '../../clients/webhooks/inbox.ts';
import type { Pressed } from '../../clients/webhooks/slack.ts';
import { slackOnTemporal } from '../../clients/webhooks/slack-temporal.ts';

const PRESSED: Pressed = {
  ...{ workflowId: 'failover/checkout', runId: 'run-1', gate: 'cutover.1', decision: 'approve', by: 'ana' },
  updateId: 'slack-1',
};
const silent = (): void => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent };

function deps(answer: () => unknown, said: unknown[] = []) {
  const client = {
    withDeadline: (_deadline: number, work: () => unknown) => work(),
    workflow: {
      getHandle: (...handle: unknown[]) => ({
        executeUpdate: async (...update: unknown[]) => {
          said.push([...handle, ...update]);
          return answer();
        },
      }),
    },
  } as unknown as Client;
  const topology = async (): Promise<never> => {
    throw new Error('no such file');
  };
  return slackOnTemporal({ client, topology, log });
}

const fails = (error: Error) => (): never => {
  throw error;
};

test('it is the same decide as every other, with an id of its own', async () => {
  const said: unknown[] = [];
  const { decide } = deps(() => ({ applied: true, text: 'done' }), said);
  expect(await decide(PRESSED)).toEqual({ kind: 'applied', text: 'done' });
  const args = [{ gate: 'cutover.1', decision: 'approve', by: 'ana', comment: 'in Slack' }];
  expect(said).toEqual([['failover/checkout', 'run-1', 'decide', { args, updateId: 'slack-1' }]]);
});

test.each([
  ['not applied', () => ({ applied: false, text: 'too late' }), 'refused', 'too late'],
  [
    'refused by the run',
    fails(new WorkflowUpdateFailedError('failed', new Error('with four eyes somebody else must approve it'))),
    'refused',
    'with four eyes somebody else must approve it',
  ],
  ['for a run that is over', fails(new WorkflowNotFoundError('gone', 'w', 'r')), 'refused', 'the run is over'],
  ['that nobody took', fails(new Error('deadline exceeded')), 'lost', 'no worker took it in time'],
] as const)('a press %s', async (_, answer, kind, text) => {
  expect(await deps(answer).decide(PRESSED)).toEqual({ kind, text: expect.stringContaining(text) });
});

test('without a topology Slack is told to show a failure', async () => {
  await expect(deps(silent).channels()).rejects.toThrow(Unavailable);
});
