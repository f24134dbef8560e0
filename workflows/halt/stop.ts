/** Tells the run under the lock to pause, and keeps what can be seen of the service now. */
import { getExternalWorkflowHandle, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { HaltActivities, ObserveCall } from '../../activities/contract.ts';
import type { HaltedRun, RecoveryChoice } from '../../evidence/halt-record.ts';
import { lastOfEach } from '../../plan/readings.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { causeOf } from '../run/errors.ts';
import { observeAll } from '../run/measure.ts';
import type { HaltState } from './state.ts';

export const control = proxyActivities<HaltActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 500, maximumInterval: 10_000 },
});

/** What may fail without keeping the halt from its work. */
const brief = proxyActivities<HaltActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 500, maximumAttempts: 3 },
});

/** Sampler readings of each node, in each of its roles, that go into the record: of a dead primary as well. */
const MOST_SAMPLES = 30;

/**
 * Sends the run under the lock the message `pause`. It takes effect at its next safe point: between stages and
 * weights, and never while writes are stopped.
 */
export async function stopRun(state: HaltState): Promise<void> {
  const { run, recent } = await control.lookAtLock({ lock: state.target!.lock });
  state.record.recent = recent;
  if (run === null) return state.note(`no run holds ${state.target!.lock}`);
  const reason = `${state.record.service} is halted: ${state.record.reason}`.slice(0, 1_000);
  let told = 'told to pause at its next safe point';
  try {
    await getExternalWorkflowHandle(run.workflowId, run.runId).signal('pause', { by: state.record.workflowId, reason });
  } catch (error) {
    if (isCancellation(error)) throw error;
    told = `could not be told to pause: ${causeOf(error).message}`;
  }
  if (run.cut) told += '; it is inside its cut, and goes on to the other side of it first';
  state.record.run = { ...run, told };
  state.note(`${run.workflowId} (${run.type}, ${run.phase ?? 'nobody says where it is'}): ${told}`);
}

/** The run under the lock, as long as replication must be left to it. */
export async function runAtWork(state: HaltState): Promise<HaltedRun | null> {
  const { run } = await control.lookAtLock({ lock: state.target!.lock });
  return run;
}

/** Everything that can be read of the service, and from what an earlier moment could be had again. */
export async function keepEvidence(state: HaltState): Promise<void> {
  const target = state.target!;
  const { service, components } = target;
  const { workflowId, runId, by } = state.record;
  const identity = { workflowId, runId, service: service.name, by };
  const at = Date.now();
  const [seen, recovery] = await Promise.all([
    observeAll(target, identity),
    Promise.all(
      service.components
        .map((name) => components[name]!)
        .filter(({ role }) => role === 'store')
        .map(async (component): Promise<RecoveryChoice[]> => {
          const call: ObserveCall = { run: identity, component, region: null, nodes: null };
          try {
            return (await brief.recoveryPoints(call)).map((fact) => ({ component: component.name, ...fact }));
          } catch (error) {
            if (isCancellation(error)) throw error;
            state.note(`what ${component.name} could be restored from was not read: ${causeOf(error).message}`);
            return [];
          }
        }),
    ),
  ]);
  const { stores, routers, workloads, checks, samples } = seen;
  state.record.observed = {
    ...{ at, stores, routers, workloads, checks },
    samples: Object.fromEntries(
      Object.entries(samples).map(([name, readings]) => [name, lastOfEach(readings, MOST_SAMPLES)]),
    ),
  };
  state.record.recovery = recovery.flat();
  state.record.runbooks = Object.values(components).flatMap(({ name, recovery: text }) =>
    text === undefined ? [] : [{ component: name, text }],
  );
  state.note('what can be seen of the service now is kept');
}

/** People that cannot be told must not keep the halt from its work. */
export async function tellPeople(
  state: HaltState,
  what: 'opened' | 'cleared',
  text: string,
  remedy: string,
): Promise<void> {
  try {
    await brief.tellOfHalt({ service: state.record.service, state: what, text, remedy });
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`people could not be told: ${causeOf(error).message}`);
  }
}
