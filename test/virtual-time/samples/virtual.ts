/** Runs one row of the calibration's table in virtual time. */
import { fileURLToPath } from 'node:url';
import { createWorld, type Workflow, type World } from '../harness.ts';
import type { Act, Scenario } from './scenarios.ts';
import { describeError } from './workflows.ts';

export const SAMPLE_WORKFLOWS = fileURLToPath(new URL('./workflows.ts', import.meta.url));
/** A queue that no worker serves, here and on the real server. */
export const NOBODY = 'nobody';

/** What a scenario came to; equal in both worlds. */
export interface Observed {
  events: string[];
  outcome: string;
  /** Answers to the scenario's updates, in order. */
  updates: string[];
}

export async function runVirtually(scenario: Scenario, batching: 'together' | 'apart' = 'together'): Promise<Observed> {
  const world = await createWorld({
    workflowsPath: SAMPLE_WORKFLOWS,
    batching,
    activities: (call) => {
      const activity = scenario.activities?.[call.type];
      if (!activity) throw new Error(`scenario "${scenario.name}" has no activity ${call.type}`);
      return activity(call);
    },
  });
  world.removeWorkers(NOBODY);
  try {
    const workflow = await world.start(scenario.workflow, { workflowId: 'sample', args: scenario.args ?? [] });
    const updates: string[] = [];
    for (const act of scenario.acts ?? []) await perform(world, workflow, act, updates);
    await workflow.runUntilClosed();
    const { outcome } = workflow;
    const events = workflow.trace
      .filter(({ event }) => event !== 'activityTaskStarted')
      .map(({ event, ...facts }) => eventLine(event, facts));
    await world.replay();
    return { events, outcome: outcomeLine(outcome), updates };
  } finally {
    await world.dispose();
  }
}

async function perform(world: World, workflow: Workflow, act: Act, updates: string[]): Promise<void> {
  const { event, name, count = 1 } = act.after;
  const seen = (): number =>
    workflow.trace.filter((entry) => entry.event === event && (!name || entry.name === name)).length;
  await world.runUntil(() => seen() >= count);
  await world.advance(act.delay ?? 0);
  if (act.signal) await workflow.signal(...act.signal);
  if (act.update) {
    updates.push(
      await workflow.update(...act.update).then(
        (value) => `completed ${JSON.stringify(value)}`,
        (error: unknown) => `failed ${describeError(error)}`,
      ),
    );
  }
  if (act.cancel) await workflow.cancel();
  if (act.terminate) await workflow.terminate();
  if (act.outage !== undefined) {
    world.stopServer();
    await world.advance(act.outage);
    world.resumeServer();
  }
}

/** One event in a form that is the same in both worlds; attempts count where the server tells them. */
export function eventLine(event: string, facts: { name?: string; attempt?: number }): string {
  const attempt = event === 'activityTaskCompleted' || event === 'activityTaskFailed' ? `#${facts.attempt}` : '';
  return [event, facts.name, attempt].filter(Boolean).join(' ');
}

function outcomeLine(outcome: Workflow['outcome']): string {
  if (outcome?.status === 'completed') return `completed ${JSON.stringify(outcome.result)}`;
  if (outcome?.status === 'failed') return `failed ${describeError(outcome.failure)}`;
  return outcome?.status ?? 'open';
}
