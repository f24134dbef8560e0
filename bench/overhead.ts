/** What the orchestrator itself costs: the time of a whole run in which neither an activity ran nor anybody was waited for. */
import { covered, type RunTimes, readTimes } from './history.ts';
import type { BenchOptions, Result } from './statistics.ts';
import { type FinishedRun, openBenchWorld, settle } from './world.ts';

export async function overhead({ runs, say }: BenchOptions): Promise<Result> {
  const world = await openBenchWorld(`bench-${process.pid}`, say);
  const own: number[] = [];
  const whole: number[] = [];
  const activities: number[] = [];
  const tasks: number[] = [];
  const events: number[] = [];
  try {
    for (let run = 0; run <= runs; run += 1) {
      const { other } = await world.sides();
      await settle();
      const done = await world.run({ action: 'failover', to: other, mode: 'planned', ramp: [100] });
      const times = await readTimes(world.temporal, done.ref.workflowId, done.ref.runId);
      const cost = ownTime(times, done);
      say(`run ${run}: ${Math.round(cost)} of ${Math.round(times.endedAt - times.startedAt)} ms`);
      if (run === 0) continue;
      own.push(cost);
      whole.push(times.endedAt - times.startedAt);
      activities.push(times.activities.length);
      tasks.push(times.workflowTasks);
      events.push(times.events);
    }
  } finally {
    await world.close();
  }
  const subject = 'Rampart';
  return {
    benchmark: 'overhead',
    about:
      'A whole planned failover in the lab, from its history: the time in which no activity was at work, no bake ran and nobody was asked.',
    measures: [
      { name: 'own share of the run', subject, unit: 'ms', values: own, aim: '≤ 300 at about 20 steps' },
      {
        name: 'own share for each activity',
        subject,
        unit: 'ms',
        values: own.map((value, i) => value / activities[i]!),
      },
      { name: 'whole run', subject, unit: 'ms', values: whole },
      { name: 'activities', subject, unit: 'count', values: activities },
      { name: 'workflow tasks', subject, unit: 'count', values: tasks },
      { name: 'events of the history', subject, unit: 'count', values: events, aim: '< 500' },
    ],
    notes: [
      'An activity is at work from the moment a worker takes it to the moment the server has its result; what is left is the server, the way to the workers, and the workflow.',
    ],
  };
}

/** Milliseconds of a run in which nothing outside it was at work and nobody was waited for. */
export function ownTime(times: RunTimes, { record }: Pick<FinishedRun, 'record'>): number {
  const asked = record.decisions.map(({ at }) => [at - record.waitedForPeopleMs, at] as const);
  const busy = [
    ...times.activities.map(({ startedAt, endedAt }) => [startedAt, endedAt] as const),
    ...times.timers.filter(({ fired }) => fired).map(({ startedAt, endedAt }) => [startedAt, endedAt] as const),
    ...asked,
  ].map(([from, to]) => [Math.max(from, times.startedAt), Math.min(to, times.endedAt)] as const);
  return times.endedAt - times.startedAt - covered(busy);
}
