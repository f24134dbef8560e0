/** What every activity does around its work: context, heartbeats, cancellation, and errors people can act on. */
import { join } from 'node:path';
import { activityInfo, Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { clock } from '../drivers/clock.ts';
import { ERROR_TYPES, RampartError } from '../drivers/errors.ts';
import type { Driver, DriverContext, Json, PortOf, Role, Token } from '../drivers/ports.ts';
import type { StepCall } from '../plan/model.ts';
import type { Component } from '../topology/model.ts';
import type { ActivityDeps } from './deps.ts';
import { sinceScheduledMs } from './samples.ts';
import { resolveSecret } from './secrets.ts';

/** Heartbeats carry cancellation, so they are frequent, in milliseconds. The server is told at most every 80 % of the time-out. */
const HEARTBEAT_MS = 500;
/** Least time between two heartbeats that a driver asks for, in milliseconds; what it said last goes with the next one. */
const LEAST_BEAT_MS = 100;

/**
 * Runs the work of an activity.
 * @throws ApplicationFailure with the error's type, retryable or not as drivers/errors.ts says; CancelledFailure
 */
export async function perform<T>(
  deps: ActivityDeps,
  run: StepCall['run'],
  token: Token | null,
  work: (context: DriverContext) => Promise<T>,
): Promise<T> {
  const activity = Context.current();
  sinceScheduledMs();
  let facts: Record<string, Json> = {};
  let nextBeat = 0;
  const stopBeating = clock.every(HEARTBEAT_MS, () => activity.heartbeat(facts));
  try {
    return await work({
      signal: activity.cancellationSignal,
      heartbeat: (next) => {
        facts = next;
        // Drivers poll every few milliseconds; each call into the SDK costs more than such a look.
        if (clock.monotonic() < nextBeat) return;
        nextBeat = clock.monotonic() + LEAST_BEAT_MS;
        activity.heartbeat(next);
      },
      now: () => clock.now(),
      log: deps.log,
      secret: resolveSecret,
      ...(token === null ? {} : { token }),
      place: deps.place,
      stateDir: join(deps.stateDir, 'claims'),
      run: { workflowId: run.workflowId, runId: run.runId, service: run.service },
    });
  } catch (error) {
    if (activity.cancellationSignal.aborted) throw new CancelledFailure(`cancelled: ${activityInfo().activityType}`);
    deps.log.warn(`${activityInfo().activityType} failed`, {
      workflowId: run.workflowId,
      activityId: activityInfo().activityId,
      attempt: activityInfo().attempt,
      error: error instanceof Error ? error.message : String(error),
    });
    throw toFailure(error);
  } finally {
    stopBeating();
  }
}

/** A failure whose text a tired person can act on. Unexpected errors are retried: they are bugs or broken connections. */
export function toFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof RampartError) {
    const { retryAfterMs } = error.details;
    const message = error.remedy === '' ? error.message : `${error.message.replace(/\.$/, '')}. ${error.remedy}`;
    return ApplicationFailure.create({
      message,
      type: error.type,
      nonRetryable: !ERROR_TYPES[error.type].retryable,
      details: [error.details],
      // A provider that throttles says how long it wants to be left alone.
      ...(typeof retryAfterMs === 'number' ? { nextRetryDelay: retryAfterMs } : {}),
    });
  }
  const unexpected = error instanceof Error ? error : new Error(String(error));
  return ApplicationFailure.create({ message: unexpected.message, type: 'Unexpected', nonRetryable: false });
}

/** Opens a component's port. @throws RampartError InvalidInput for a type or role that does not fit */
export function open<R extends Role>(
  deps: ActivityDeps,
  component: Component,
  role: R,
  context: DriverContext,
): PortOf[R] {
  const driver = deps.drivers.get(component.type);
  if (driver === undefined)
    throw new RampartError(
      'InvalidInput',
      `this worker knows no driver "${component.type}" (component ${component.name})`,
      {
        remedy: `Run workers of one build everywhere; this one is ${deps.build} and knows ${[...deps.drivers.keys()].join(', ')}.`,
      },
    );
  if (driver.role !== role)
    throw new RampartError(
      'InvalidInput',
      `component ${component.name} (${component.type}) is a ${driver.role}, not a ${role}`,
    );
  return (driver as Driver<R>).open(component, context);
}
