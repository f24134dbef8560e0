/** What a drill asks of the control place: its part of the topology, whether it may begin, and what its assertions say. */
import { RampartError } from '../drivers/errors.ts';
import type { DriverContext } from '../drivers/ports.ts';
import { runCommand } from '../drivers/run-command.ts';
import { evaluate } from '../evidence/assertions.ts';
import { type Drill, dependencyGroup, drillGroupOf } from '../topology/drill.ts';
import { nextRuns } from '../topology/drills.ts';
import { quietUntilOf } from '../topology/maintenance.ts';
import { lockOf, type Topology } from '../topology/model.ts';
import type { DrillActivities, DrillSurvey } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { perform } from './perform.ts';

/** A drill that has ended, from Temporal's list. */
export interface PastDrill {
  workflowId: string;
  runId: string;
  kind: string;
  /** When it ended, milliseconds since the epoch. */
  at: number;
  /** `other`: refused, withdrawn, escalated or terminated, which says nothing about the service. */
  result: 'passed' | 'failed' | 'other';
}

/** How things stand; each throws when Temporal does not say. */
export interface DrillDeps {
  /** The open run of a workflow ID; `null` when none is. */
  openRun(workflowId: string): Promise<{ type: string } | null>;
  /** How many alerts of a trigger fire, or `null` when it has nothing to watch. */
  firing(trigger: string): Promise<string | null>;
  /** What the guard of a service is alarmed about; `null` when it is not, or there is none. */
  alarm(service: string): Promise<string | null>;
  /** Drills that have ended under a lock, newest first, as far back as Temporal remembers. */
  pastDrills(lock: string): Promise<PastDrill[]>;
  /** Whether a report of a full drill of the service that has passed is filed; `false` too when nobody can tell. */
  filedPass(service: string): Promise<boolean>;
}

const NOBODY = { workflowId: '', runId: '', service: '', by: null };

export function createDrillActivities(deps: ActivityDeps, drills: DrillDeps): DrillActivities {
  return {
    judgeDrill: ({ assertions, record }) => {
      const { workflowId, runId, service } = record;
      return perform(deps, { workflowId, runId, service, by: null }, null, async () => evaluate(assertions, record));
    },
    resolveDrill: ({ drill: name }) =>
      perform(deps, NOBODY, null, async (context) => {
        const topology = await deps.topology();
        const drill = topology.drills[name];
        if (drill === undefined) return null;
        const [next] = nextRuns(drill.crons, drill.timeZone, new Date(context.now()), 1);
        const lock = lockOf(topology.services[drill.service]!);
        return { drill, group: drillGroupOf(topology, drill), lock, nextDueAt: next?.getTime() ?? null };
      }),
    surveyDrill: ({ drill, byPerson }) =>
      perform(deps, { ...NOBODY, service: drill.service }, null, async (context) =>
        survey(await deps.topology(), drill, drills, { byPerson, now: context.now() }),
      ),
    runChaos: ({ drill: name, which }) =>
      perform(deps, NOBODY, null, async (context) => {
        const drill = (await deps.topology()).drills[name];
        if (drill?.chaos == null)
          throw new RampartError('PreconditionFailed', `the topology has no chaos drill ${name} any more`);
        return runChaos(drill, which, context);
      }),
    noticeTrouble: ({ drill }) =>
      perform(deps, { ...NOBODY, service: drill.service }, null, async () => {
        const found = await incidents(await deps.topology(), drill, drills);
        return found[0] ?? (await drills.alarm(drill.service));
      }),
  };
}

/** @throws what Temporal did not say */
export async function survey(
  topology: Topology,
  drill: Drill,
  deps: DrillDeps,
  { byPerson, now }: { byPerson: boolean; now: number },
): Promise<DrillSurvey> {
  const past = await deps.pastDrills(lockOf(topology.services[drill.service]!));
  const { incident, lastFailed } = drill.blockWhen;
  const [newest] = past;
  const failed = lastFailed && !byPerson && newest?.result === 'failed';
  const against = [
    ...quiet(topology, drill, now),
    ...(incident ? await incidents(topology, drill, deps) : []),
    ...(failed
      ? [`the last drill (${iso(newest.at)}) has failed: mend it, then rampart drills run ${drill.name}`]
      : []),
  ];
  const passed = past.some(({ kind, result }) => kind === 'full' && result === 'passed');
  // Temporal forgets a quarterly drill before the next one.
  const proven = drill.approvals === 'auto' && (passed || (await deps.filedPass(drill.service)));
  return { against, approvals: proven ? drill.approvals : 'people' };
}

function quiet({ triggers }: Topology, { blackout, blockWhen, service }: Drill, now: number): string[] {
  const blackUntil = quietUntilOf(blackout, now);
  const own = Object.values(triggers).filter((trigger) => trigger.service === service);
  const windows = blockWhen.maintenance ? own.flatMap(({ maintenance }) => maintenance) : [];
  const quietUntil = quietUntilOf(windows, now);
  return [
    ...(blackUntil === null ? [] : [`its blackout lasts until ${iso(blackUntil)}`]),
    ...(quietUntil === null ? [] : [`a maintenance window of ${service} is on until ${iso(quietUntil)}`]),
  ];
}

/** Open runs and firing triggers of every service of the dependency group. */
async function incidents({ services, triggers }: Topology, { service }: Drill, deps: DrillDeps): Promise<string[]> {
  const group = dependencyGroup(services, service);
  const locks = [...new Set(group.map((name) => lockOf(services[name]!)))];
  const runs = locks.map(async (lock) => {
    const run = await deps.openRun(lock);
    return run === null ? [] : [`a ${run.type} is on (${lock})`];
  });
  const alerts = Object.values(triggers)
    .filter((trigger) => group.includes(trigger.service))
    .map(async ({ name }) => {
      const text = await deps.firing(name);
      return text === null ? [] : [`trigger ${name} fires: ${text}`];
    });
  return (await Promise.all([...runs, ...alerts])).flat();
}

const iso = (at: number): string => new Date(at).toISOString().slice(0, 16).concat('Z');

/** End of each output that an error shows, in bytes. */
const MAX_OUTPUT_BYTES = 2_000;

/** @throws RampartError when it does not end well, with the end of what it printed */
export async function runChaos(
  { name, service, to, chaos }: Drill,
  which: 'break' | 'restore',
  { signal }: Pick<DriverContext, 'signal'>,
): Promise<{ ms: number }> {
  const { timeoutMs } = chaos!;
  const command = chaos![which];
  const env = { RAMPART_DRILL: name, RAMPART_SERVICE: service, RAMPART_TO: to ?? '' };
  const { end, stdout, stderr, ms } = await runCommand({ command, env, timeoutMs, maxBytes: MAX_OUTPUT_BYTES, signal });
  if (end.kind === 'exited' && end.code === 0) return { ms: Math.round(ms) };
  const how = {
    exited: () => `ended with exit code ${end.kind === 'exited' ? end.code : ''}`,
    killed: () => 'was ended by a signal',
    timeout: () => `had not ended after ${timeoutMs / 1000} s and was ended`,
    'not started': () => 'could not be started',
  }[end.kind]();
  const said = (stderr.trim() || stdout.trim() || (end.kind === 'not started' ? end.why : '')).slice(-500);
  throw new RampartError('ProviderUnavailable', `${command[0]} ${how}${said === '' ? '' : `: ${said}`}`);
}
