/** A team's own steps, put into their stage and checked like the built-in ones. */
import type { Json } from '../../drivers/ports.ts';
import type { OwnStep, OwnStepKind } from '../../topology/model.ts';
import { type Action, STAGES, type StageName, type Step, type Verb } from '../model.ts';
import { ahead, type Situation } from '../situation.ts';
import { givenUp, step } from './step.ts';

const VERB: Record<OwnStepKind, Verb> = {
  command: 'ownCommand',
  http: 'ownHttp',
  activity: 'ownActivity',
  workflow: 'ownWorkflow',
};

const MOVING: readonly StageName[] = STAGES;
const STAGES_OF: Record<Action, readonly StageName[]> = {
  failover: MOVING,
  failback: MOVING,
  trafficRamp: ['preflight', 'prepare', 'ramp', 'settle'],
  reprotect: ['preflight', 'prepare', 'reprotect', 'settle'],
  // It only fences, and people's own steps are about moving.
  refence: [],
};

/** Own steps with an effect cannot come before the first gate; these are refused by the findings. */
export function beforeGate(own: OwnStep): boolean {
  return own.stage === 'preflight' && own.effect !== 'none';
}

/** The own steps of one stage, in the order of the topology. */
export function ownSteps(situation: Situation, stage: StageName): Step[] {
  const { action } = situation.input.request;
  const runs =
    stage === 'preflight' || stage === 'prepare' ? situation.course.resumeAt === null : ahead(situation, stage);
  if (!runs || !STAGES_OF[action].includes(stage)) return [];
  return situation.input.service.steps
    .filter((own) => own.stage === stage && !beforeGate(own))
    .filter((own) => own.actions.length === 0 || own.actions.includes(action))
    .map((own) => ownStep(situation, stage, own));
}

function ownStep(situation: Situation, stage: StageName, own: OwnStep): Step {
  const { from, to, course } = situation;
  const region = own.at === 'from' ? from : own.at === 'to' ? to : null;
  const undo = own.undo;
  // What cannot be taken back is called irreversible, whatever the file says.
  const effect = own.effect === 'reversible' && undo === undefined ? 'irreversible' : own.effect;
  return step(situation, stage, VERB[own.kind], {
    id: `own:${own.name}`,
    summary: own.summary,
    region,
    place: queueOf(own.kind, own.taskQueue, region),
    input: inputOf(own.kind, own.config),
    effect,
    ...(effect === 'reversible' && undo !== undefined && !course.past
      ? {
          undo: {
            verb: VERB[undo.kind],
            summary: `Undo: ${own.summary}`,
            input: inputOf(undo.kind, undo.config),
            place: queueOf(undo.kind, undo.taskQueue ?? own.taskQueue, region),
          },
        }
      : {}),
    ...(region === null ? {} : givenUp(situation, region)),
    timeoutMs: own.deadlineMs,
    onFailure: own.onFailure,
  });
}

/** Activities and workflows are named by the field that the engine looks them up by; the others are taken as written. */
function inputOf(kind: OwnStepKind, config: Record<string, Json>): Record<string, Json> {
  if (kind === 'command' || kind === 'http') return config;
  return { [kind]: config.type ?? null, input: config.input ?? null };
}

/** Commands and HTTP calls run on Rampart's workers of the region; activities and workflows on the team's queue. */
function queueOf(kind: OwnStepKind, taskQueue: string | undefined, region: string | null): string {
  if ((kind === 'activity' || kind === 'workflow') && taskQueue !== undefined) return taskQueue;
  return region === null || kind === 'activity' || kind === 'workflow' ? 'rampart' : `rampart.${region}`;
}

/** Verbs whose queue may belong to a team, so that Rampart's own ping finds nobody there. */
export const TEAM_VERBS: readonly Verb[] = ['ownActivity', 'ownWorkflow'];
