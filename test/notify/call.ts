/** Calls the real activity as a worker does, with a topology of these channels. */
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { Kept, NotifyCall } from '../../activities/contract.ts';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createNotifyActivities } from '../../activities/notify.ts';
import type { NewsEvent, RunCard } from '../../evidence/card.ts';
import { type Channel, EVENTS, type EventName } from '../../topology/channels.ts';

export const RUN = { workflowId: 'failover/checkout', runId: '0192f0c0-run', service: 'checkout', by: 'ann' };
export const AT = Date.UTC(2026, 2, 29, 3, 12);

export const CARD: RunCard = {
  ...{ workflowId: RUN.workflowId, runId: RUN.runId, service: 'checkout', owner: 'shop', action: 'failover' },
  ...{ mode: 'unplanned', from: 'eu-west', to: 'eu-central', by: 'ann', reason: 'eu-west <is> on fire' },
  ...{ drill: false, phase: 'planning', startedAt: AT, trafficPercent: null, gate: null, holding: null },
  ...{
    pausedBy: null,
    outcome: null,
    text: '',
    checklist: [],
    link: 'http://ui/namespaces/a/workflows/failover%2Fcheckout/r/history',
  },
};

export const WAITING: RunCard = {
  ...CARD,
  gate: {
    ...{ id: 'cutover.1', title: 'Cut over', reason: '', openedAt: AT, expiresAt: AT + 1_800_000, onTimeout: 'reject' },
    ...{ required: 2, approvedBy: [], approvers: ['ana', 'bob'], needsOverride: [] },
    ...{ state: 'the source is lost', loss: 'bounded: 3 s', facts: ['lag of orders-db: 0 bytes, 0 s'] },
  },
};

export const event = (name: EventName, number = 1, text = `what happened: ${name}`): NewsEvent => ({
  ...{ number, name, severity: EVENTS[name], at: AT, text },
});

export interface Told {
  kept: Kept | null;
}

export interface Teller {
  tell(name: EventName, more?: Partial<NotifyCall>): Promise<Told>;
  /** What it said besides sending. */
  counted: string[];
  logged: string[];
}

export function teller(channel: Channel): Teller {
  const counted: string[] = [];
  const logged: string[] = [];
  const say = (message: string, facts?: object): void => void logged.push(`${message} ${JSON.stringify(facts)}`);
  const deps = {
    ...{ place: { region: null, place: null }, stateDir: '/nonexistent' },
    topology: async () => ({ notifications: { channels: { [channel.name]: channel } } }),
    log: { debug: say, info: say, warn: say, error: say },
  } as unknown as ActivityDeps;
  const { notify } = createNotifyActivities(deps, { count: (name, result) => void counted.push(`${name} ${result}`) });
  const tell: Teller['tell'] = (name, more = {}) => {
    const call: NotifyCall = {
      ...{ run: RUN, channel: channel.name, part: 'event', event: event(name), card: CARD, kept: null },
      ...more,
    };
    const work = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(notify, call);
    return work.then(
      (result) => withoutSecrets({ call, result, logged }, result as Told),
      (failure: Error) => {
        throw withoutSecrets({ call, failure, text: `${failure.message} ${failure.stack}`, logged }, failure);
      },
    );
  };
  return { tell, counted, logged };
}

/** Secrets of the tests, by the variables that hold them. */
const SECRETS = ['SLACK_TOKEN', 'PD_KEY', 'HOOK_SECRET', 'SMTP_PASSWORD'];

/** Whatever an activity is given, answers or fails with is in a history for ever. @throws Error when a secret is in it */
function withoutSecrets<T>(history: object, value: T): T {
  const text = JSON.stringify(history);
  const told = SECRETS.filter((name) => process.env[name] !== undefined && text.includes(process.env[name]));
  if (told.length > 0) throw new Error(`the history holds the value of ${told.join(', ')}`);
  return value;
}

/** The failure as Temporal gets it. */
export async function failureOf(work: Promise<unknown>): Promise<ApplicationFailure> {
  const outcome = await work.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  if (outcome instanceof ApplicationFailure) return outcome;
  throw outcome;
}
