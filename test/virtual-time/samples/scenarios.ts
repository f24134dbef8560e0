/**
 * The calibration's table: each row runs in virtual time and on a real server and must give the same events and the
 * same outcome. Times are short because the real server needs them for real; 300 ms and more between things whose
 * order matters.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityCall, ActivityHandler } from '../model/attempt.ts';
import type { EventName } from '../model/trace.ts';

/** What somebody does to the workflow from outside, when it has got so far. */
export interface Act {
  /** After this event has been recorded (`count` times). */
  after: { event: EventName; name?: string; count?: number };
  /** And so many milliseconds later. */
  delay?: number;
  signal?: [name: string, ...args: unknown[]];
  update?: [name: string, ...args: unknown[]];
  cancel?: true;
  terminate?: true;
  /** The server dies, and comes back after so many milliseconds. */
  outage?: number;
}

export interface Scenario {
  name: string;
  workflow: string;
  args?: unknown[];
  activities?: Record<string, ActivityHandler>;
  acts?: Act[];
}

const startToCloseTimeout = 5_000;
const started = { event: 'activityTaskScheduled', name: 'work' } as const;

/** Works on for this long, heartbeating; stops when it is aborted. */
async function working(call: ActivityCall, ms: number, every = 50): Promise<string> {
  for (let passed = 0; passed < ms; passed += every) {
    call.heartbeat({ passed: passed > 0 });
    await call.sleep(every);
  }
  return 'worked';
}

/** Takes longer than what goes on beside it. */
async function undo(call: ActivityCall): Promise<string> {
  await call.sleep(1_500);
  return 'undone';
}

function failing(message: string, until: number): ActivityHandler {
  return ({ attempt }) => {
    if (attempt < until) throw ApplicationFailure.retryable(`${message} ${attempt}`, 'Flaky');
    return `attempt ${attempt}`;
  };
}

export const SCENARIOS: Scenario[] = [
  {
    name: 'an activity answers',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout }],
    activities: { work: ({ args }) => ({ got: args }) },
  },
  {
    name: 'retries until it works',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout }],
    activities: { work: failing('no', 3) },
  },
  {
    name: 'retries run out',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, retry: { initialInterval: 50, maximumAttempts: 2 } }],
    activities: { work: failing('no', 9) },
  },
  {
    name: 'a failure of an activity fails the workflow',
    workflow: 'strictActivity',
    args: [{ startToCloseTimeout, retry: { maximumAttempts: 1 } }],
    activities: { work: failing('no', 9) },
  },
  {
    name: 'a failure that forbids retries',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout }],
    activities: {
      work: () => {
        throw ApplicationFailure.nonRetryable('never again', 'Final', { code: 7 });
      },
    },
  },
  {
    name: 'a type the policy does not retry',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, retry: { initialInterval: 50, nonRetryableErrorTypes: ['Flaky'] } }],
    activities: { work: failing('no', 9) },
  },
  {
    name: 'an ordinary error is a retryable failure of its name',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, retry: { initialInterval: 50, maximumAttempts: 2 } }],
    activities: {
      work: () => {
        throw new TypeError('surprise', { cause: new RangeError('deep') });
      },
    },
  },
  {
    name: 'a failure that says when to retry',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, retry: { initialInterval: 60_000, maximumAttempts: 3 } }],
    activities: {
      work: ({ attempt }) => {
        if (attempt === 1) throw ApplicationFailure.create({ message: 'soon', nextRetryDelay: 50 });
        return 'second';
      },
    },
  },
  {
    name: 'start-to-close runs out',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout: 300, retry: { maximumAttempts: 1 } }],
    activities: { work: () => 'never' },
  },
  {
    name: 'start-to-close runs out, the next attempt works',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout: 300 }],
    activities: { work: ({ attempt }) => (attempt === 1 ? 'never' : 'second') },
  },
  {
    name: 'a time-out the policy does not retry',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout: 300, retry: { nonRetryableErrorTypes: ['TemporalTimeout:StartToClose'] } }],
    activities: { work: () => 'never' },
  },
  {
    name: 'no worker takes it: schedule-to-start',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, scheduleToStartTimeout: 300, taskQueue: 'nobody' }],
  },
  {
    name: 'no worker takes it and there is only schedule-to-close',
    workflow: 'oneActivity',
    args: [{ scheduleToCloseTimeout: 300, taskQueue: 'nobody' }],
  },
  {
    name: 'schedule-to-close bounds a single attempt',
    workflow: 'oneActivity',
    args: [{ scheduleToCloseTimeout: 400, startToCloseTimeout }],
    activities: { work: () => 'never' },
  },
  {
    name: 'schedule-to-close leaves no room for the back-off',
    workflow: 'oneActivity',
    args: [{ scheduleToCloseTimeout: 1_000, retry: { initialInterval: 3_000 } }],
    activities: { work: failing('no', 9) },
  },
  {
    name: 'schedule-to-close runs out in the second attempt',
    workflow: 'oneActivity',
    args: [{ scheduleToCloseTimeout: 900, startToCloseTimeout, retry: { initialInterval: 100 } }],
    activities: {
      work: ({ attempt }) => {
        if (attempt === 1) throw ApplicationFailure.retryable('first', 'Flaky');
        return 'never';
      },
    },
  },
  {
    name: 'start-to-close runs out and schedule-to-close leaves no room',
    workflow: 'oneActivity',
    args: [{ scheduleToCloseTimeout: 900, startToCloseTimeout: 300, retry: { initialInterval: 2_000 } }],
    activities: { work: () => 'never' },
  },
  {
    name: 'a heartbeat fails to come, the next attempt goes on from the last',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: {
      work: async (call) => {
        if (call.attempt > 1) return call.heartbeatDetails;
        call.heartbeat({ at: 1 });
        return 'never';
      },
    },
  },
  {
    name: 'a heartbeat fails to come for good',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000, retry: { maximumAttempts: 1 } }],
    activities: {
      work: async (call) => {
        call.heartbeat({ at: 1 });
        return 'never';
      },
    },
  },
  {
    name: 'heartbeats keep a slow activity alive',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: { work: (call) => working(call, 2_500) },
  },
  {
    name: 'the last heartbeat before a failure is kept',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout, heartbeatTimeout: 60_000, retry: { initialInterval: 50 } }],
    activities: {
      work: async (call) => {
        if (call.attempt > 1) return call.heartbeatDetails;
        call.heartbeat('first');
        await call.sleep(20);
        call.heartbeat('last');
        throw new Error('after the last');
      },
    },
  },
  {
    name: 'cancel: waits for an activity that obeys',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: { work: (call) => working(call, 4_000), undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: an activity that finishes all the same',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: {
      work: async (call) => {
        try {
          return await working(call, 4_000);
        } catch (error) {
          return `finished in spite of ${error instanceof CancelledFailure}`;
        }
      },
      undo,
    },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: an activity that does not heartbeat hears nothing',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout }],
    activities: {
      work: async (call) => {
        await call.sleep(1_500);
        return `aborted: ${call.signal.aborted}`;
      },
      undo,
    },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: a failure after it is not retried',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000, retry: { initialInterval: 50 } }],
    activities: {
      work: async (call) => {
        await working(call, 4_000).catch(() => {});
        throw ApplicationFailure.retryable('could not stop', 'Stuck');
      },
      undo,
    },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: a time-out after it is not retried',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout: 1_500, retry: { initialInterval: 50 } }],
    activities: { work: () => 'never', undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: try-cancel does not wait',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000, cancellationType: 'TRY_CANCEL' }],
    activities: { work: (call) => working(call, 4_000), undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: abandon does not even ask',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000, cancellationType: 'ABANDON' }],
    activities: { work: (call) => working(call, 2_500), undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: between two attempts',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, retry: { initialInterval: 30_000 } }],
    activities: { work: failing('no', 9), undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: before any worker has taken it',
    workflow: 'cancelled',
    args: [{ startToCloseTimeout, taskQueue: 'nobody' }],
    activities: { undo },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: a shielded activity goes on, the next is not even scheduled',
    workflow: 'shielded',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: { work: (call) => working(call, 2_500), other: () => 'other' },
    acts: [{ after: started, delay: 500, cancel: true }],
  },
  {
    name: 'cancel: an inner scope of a shielded one stops by message only',
    workflow: 'stoppableUndo',
    activities: { undo: (call) => working(call, 5_000) },
    acts: [
      { after: { event: 'activityTaskScheduled', name: 'undo' }, delay: 500, cancel: true },
      { after: { event: 'workflowExecutionCancelRequested' }, delay: 1_500, signal: ['stop'] },
    ],
  },
  {
    name: 'cancel: in the workflow task that schedules it',
    workflow: 'cancelBeforeSent',
    activities: { other: () => 'other' },
  },
  {
    name: 'cancel: a scope with a time limit',
    workflow: 'boundedScope',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: { work: (call) => working(call, 4_000), other: () => 'other' },
  },
  {
    name: 'parallel: one fails, the other is cancelled',
    workflow: 'parallel',
    args: [{ startToCloseTimeout, heartbeatTimeout: 1_000 }],
    activities: {
      work: (call) => working(call, 4_000),
      other: async (call) => {
        await call.sleep(300);
        throw ApplicationFailure.nonRetryable('other is broken', 'Broken');
      },
    },
  },
  {
    name: 'parallel: both answer',
    workflow: 'parallel',
    args: [{ startToCloseTimeout }],
    activities: {
      work: async (call) => {
        await call.sleep(300);
        return 'second';
      },
      other: () => 'first',
    },
  },
  { name: 'a condition times out', workflow: 'conditionTimeout' },
  {
    name: 'a condition comes true in time',
    workflow: 'conditionTimeout',
    acts: [{ after: { event: 'timerStarted' }, signal: ['open'] }],
  },
  {
    name: 'signals wait for their handler',
    workflow: 'lateHandler',
    acts: [
      { after: { event: 'timerStarted' }, signal: ['note', 1] },
      { after: { event: 'workflowExecutionSignaled' }, signal: ['note', { two: 2 }] },
    ],
  },
  {
    name: 'updates: accepted, refused, failed, with an activity, unknown',
    workflow: 'updates',
    acts: [
      { after: { event: 'workflowExecutionStarted' }, update: ['set', { value: 1 }] },
      { after: { event: 'workflowExecutionUpdateCompleted' }, update: ['set', { value: 'one' }] },
      { after: { event: 'workflowExecutionUpdateCompleted' }, update: ['set'] },
      { after: { event: 'workflowExecutionUpdateCompleted' }, update: ['set', { value: 13 }] },
      { after: { event: 'workflowExecutionUpdateCompleted' }, update: ['unknown', { value: 13 }] },
      { after: { event: 'workflowExecutionUpdateCompleted' }, update: ['set', { value: 2 }] },
      { after: { event: 'activityTaskCompleted' }, signal: ['done'] },
    ],
    activities: { work: () => 'for the update' },
  },
  {
    name: 'continue-as-new, twice',
    workflow: 'counter',
    args: [0],
    activities: { work: ({ args }) => args[0] },
  },
  { name: 'a child answers', workflow: 'parent', args: [{ type: 'quick', args: [] }] },
  { name: 'a child fails', workflow: 'parent', args: [{ type: 'failing', args: [] }] },
  {
    name: 'a child that continues as new',
    workflow: 'parent',
    args: [{ type: 'counter', args: [1] }],
    activities: { work: ({ args }) => args[0] },
  },
  {
    name: 'a child whose id is taken',
    workflow: 'parent',
    args: [{ type: 'patient', args: [1_000], twice: true }],
  },
  {
    name: 'a child is cancelled with its parent',
    workflow: 'parent',
    args: [{ type: 'patient', args: [5_000] }],
    acts: [{ after: { event: 'childWorkflowExecutionStarted' }, delay: 500, cancel: true }],
  },
  {
    name: 'a child is cancelled by a scope, waiting',
    workflow: 'parentCancelsChild',
    args: [{ type: 'patient', args: [5_000] }],
  },
  {
    name: 'a child is cancelled by a scope, not waiting',
    workflow: 'parentCancelsChild',
    args: [{ type: 'patient', args: [5_000], options: { cancellationType: 'TRY_CANCEL' } }],
  },
  {
    name: 'a child is abandoned by a scope',
    workflow: 'parentCancelsChild',
    args: [{ type: 'patient', args: [1_500], options: { cancellationType: 'ABANDON', parentClosePolicy: 'ABANDON' } }],
  },
  { name: 'messages to other workflows', workflow: 'messagesToOthers' },
  { name: 'search attributes, memo, patch', workflow: 'attributes' },
  { name: 'notes over a continue-as-new', workflow: 'handsOver' },
  { name: 'notes over a continue-as-new, told to', workflow: 'handsOver', args: [{ told: 'at its end' }] },
  {
    name: 'notes over a continue-as-new, some of them from its start',
    workflow: 'parent',
    args: [{ type: 'handsOver', args: [], options: { memo: { given: 'at its start', both: 'at its start' } } }],
  },
  {
    name: 'a terminated workflow',
    workflow: 'patient',
    args: [5_000],
    acts: [{ after: { event: 'timerStarted' }, delay: 100, terminate: true }],
  },
  {
    name: 'a cancelled workflow cleans up first',
    workflow: 'patient',
    args: [5_000],
    acts: [{ after: { event: 'timerStarted' }, delay: 100, cancel: true }],
  },
  {
    name: 'local activity: answers',
    workflow: 'localActivity',
    args: [{ startToCloseTimeout }],
    activities: { work: ({ args, local }) => ({ args, local }) },
  },
  {
    name: 'local activity: retries in place',
    workflow: 'localActivity',
    args: [{ startToCloseTimeout }],
    activities: { work: failing('no', 3) },
  },
  {
    name: 'local activity: fails for good',
    workflow: 'localActivity',
    args: [{ startToCloseTimeout }],
    activities: {
      work: () => {
        throw ApplicationFailure.nonRetryable('never again', 'Final');
      },
    },
  },
  {
    name: 'local activity: a long back-off is left to a timer',
    workflow: 'localActivity',
    args: [{ startToCloseTimeout, localRetryThreshold: 100, retry: { initialInterval: 400 } }],
    activities: { work: failing('no', 2) },
  },
  {
    name: 'local activity: times out',
    workflow: 'localActivity',
    args: [{ startToCloseTimeout: 300, retry: { maximumAttempts: 1 } }],
    activities: { work: () => 'never' },
  },
  {
    name: 'local activity: beside an ordinary one',
    workflow: 'localBesideOrdinary',
    activities: {
      work: async (call) => {
        await call.sleep(300);
        return 'local';
      },
      other: () => 'ordinary',
    },
  },
];

/** Where the server dies, 300 ms after what is under way began. The same for all: on the real one they die together. */
export const OUTAGE_MS = 3_000;
const outage = (event: EventName): Act[] => [{ after: { event }, delay: 300, outage: OUTAGE_MS }];
/** So that no limit but the one in question runs out, whatever the server takes to come back. */
const ample = { startToCloseTimeout: 60_000 };

/** What goes on while the server is away. */
export const OUTAGES: Scenario[] = [
  {
    name: 'server away: an activity answers meanwhile',
    workflow: 'oneActivity',
    args: [ample],
    activities: {
      work: async (call) => {
        await call.sleep(1_500);
        return `attempt ${call.attempt}`;
      },
    },
    acts: outage('activityTaskScheduled'),
  },
  {
    name: 'server away: an activity fails meanwhile and is tried again',
    workflow: 'oneActivity',
    args: [ample],
    activities: {
      work: async (call) => {
        await call.sleep(1_500);
        return failing('no', 2)(call);
      },
    },
    acts: outage('activityTaskScheduled'),
  },
  {
    name: 'server away: a limit runs out meanwhile',
    workflow: 'oneActivity',
    args: [{ startToCloseTimeout: 2_500 }],
    activities: { work: ({ attempt }) => (attempt === 1 ? 'never' : `attempt ${attempt}`) },
    acts: outage('activityTaskScheduled'),
  },
  {
    name: 'server away: a heartbeat fails to come',
    workflow: 'oneActivity',
    args: [{ ...ample, heartbeatTimeout: 2_500 }],
    activities: {
      work: async (call) => {
        if (call.attempt > 1) return call.heartbeatDetails;
        call.heartbeat({ at: 1 });
        return 'never';
      },
    },
    acts: outage('activityTaskScheduled'),
  },
  {
    name: 'server away: nobody takes it meanwhile',
    workflow: 'oneActivity',
    args: [{ ...ample, taskQueue: 'nobody', scheduleToStartTimeout: 1_500 }],
    activities: {},
    acts: outage('activityTaskScheduled'),
  },
  {
    name: 'server away: a back-off is over meanwhile',
    workflow: 'oneActivity',
    args: [{ ...ample, retry: { initialInterval: 1_500 } }],
    activities: { work: failing('no', 2) },
    acts: outage('activityTaskScheduled'),
  },
  { name: 'server away: a timer is due meanwhile', workflow: 'patient', args: [1_500], acts: outage('timerStarted') },
  {
    name: 'server away: two timers are due meanwhile',
    workflow: 'inOrder',
    args: [[1_700, 1_000]],
    acts: outage('timerStarted'),
  },
];
