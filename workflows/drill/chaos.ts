/**
 * A chaos drill: the team's own command breaks something; it must be noticed, and the service must work again, in time.
 * Then it is mended, whatever has happened. It holds no lock of the service: a rescue must find that free.
 */
import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { DrillActivities } from '../../activities/contract.ts';
import type { ChaosRecord, DrillRecord, DwellRecord } from '../../evidence/record.ts';
import type { Drill } from '../../topology/drill.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { causeOf } from '../run/errors.ts';
import { resolve } from '../run/prepare.ts';
import { lookAtChecks, note } from './dwell.ts';
import { everyMs, type Round } from './limits.ts';
import { identity, planNow } from './look.ts';
import { close, skip } from './record.ts';

const control = proxyActivities<DrillActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { maximumAttempts: 2 },
});

/** Between two looks at where the service is active, in milliseconds: each is a dozen activities. */
const LOOK_MS = 10_000;
/** Most rounds, which are larger than those of a dwell. */
const MOST_ROUNDS = 200;
/** Tries of the command that mends it, before people must. */
const RESTORE_TRIES = 20;

/** Breaks, watches, mends, judges. */
export async function playChaos(drill: Drill, record: DrillRecord): Promise<void> {
  const { service, chaos } = drill;
  const input = { action: 'reprotect', service };
  const resolved = await resolve({ input, workflowType: 'plan', workflowId: workflowInfo().workflowId });
  const regions = [resolved.service.home, ...resolved.service.standby];
  const around = (): Promise<Round> => lookAtChecks(resolved, regions, identity(service, record.by));
  const before = await around();
  const already = before.filter(([, { outcome }]) => outcome !== 'pass').map(([name]) => `check ${name} does not pass`);
  const sign = await control.noticeTrouble({ drill }).catch((error: unknown) => {
    if (isCancellation(error)) throw error;
    return `whether something shows already cannot be found out: ${causeOf(error).message}`;
  });
  if (sign !== null) already.push(sign);
  // Else what is broken now would be taken for what is broken by the drill.
  if (already.length > 0) return skip(record, already);
  const { break: breaks, restore } = chaos!;
  const nothing = { brokeAt: null, detectedAt: null, detectedBy: null, recoveredAt: null, restoredAt: null };
  const found: ChaosRecord = { break: breaks, restore, ...nothing, active: record.from };
  record.chaos = found;
  const scope = CancellationScope.current();
  let stopped = false;
  scope.cancelRequested.catch(() => {
    stopped = true;
  });
  // From here on nothing ends it but the mending.
  await CancellationScope.nonCancellable(async () => {
    try {
      await breakIt(drill);
      found.brokeAt = Date.now();
      await watch({ drill, record, found, around, stopped: () => stopped });
    } catch (error) {
      const what = found.brokeAt === null ? 'it could not be broken' : 'what became of it could not be watched';
      record.reasons.push(`${what}: ${causeOf(error).message}`);
    }
    if (stopped) record.reasons.push('it was cancelled');
    await mend(drill, record, found);
    await verify(drill, record, found, around);
  });
  judge(drill, record, found);
}

const breakIt = ({ name, chaos }: Drill): Promise<unknown> =>
  command(chaos!.timeoutMs, 1).runChaos({ drill: name, which: 'break' });

/** @param attempts the command that breaks is tried once: whether an attempt that was lost has run is not known */
function command(timeoutMs: number, attempts: number): DrillActivities {
  return proxyActivities<DrillActivities>({
    taskQueue: CONTROL_QUEUE,
    startToCloseTimeout: timeoutMs + 30_000,
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: 1_000, maximumInterval: 30_000, maximumAttempts: attempts },
  });
}

interface Watched {
  drill: Drill;
  record: DrillRecord;
  found: ChaosRecord;
  around(): Promise<Round>;
  stopped(): boolean;
}

async function watch({ drill, record, found, around, stopped }: Watched): Promise<void> {
  const { chaos, intervalMs } = drill;
  const time: DwellRecord = { startedAt: found.brokeAt!, endedAt: null, checks: [] };
  record.dwell = time;
  const end = found.brokeAt! + Math.max(chaos!.detectWithinMs, chaos!.recoverWithinMs);
  const every = everyMs(intervalMs, end - found.brokeAt!, MOST_ROUNDS);
  let broken = false;
  let lookedAt = 0;
  while (Date.now() < end && !stopped() && (found.detectedAt === null || found.recoveredAt === null)) {
    const round = await around();
    note(time, round);
    broken ||= round.some(([, { outcome }]) => outcome !== 'pass');
    if (found.detectedAt === null) {
      // Who does not answer has not noticed.
      found.detectedBy = await control.noticeTrouble({ drill }).catch(() => null);
      if (found.detectedBy !== null) found.detectedAt = Date.now();
    }
    if ((broken || found.detectedAt !== null) && found.recoveredAt === null && Date.now() - lookedAt >= LOOK_MS) {
      lookedAt = Date.now();
      const active = await worksIn(drill, record, round);
      if (active !== null) Object.assign(found, { recoveredAt: Date.now(), active });
    }
    await condition(stopped, Math.max(Math.min(every, end - Date.now()), 1));
  }
  time.endedAt = Date.now();
}

/** Region that is active and routed, and in which every check passes; `null` when there is none, or nobody knows. */
async function worksIn(drill: Drill, record: DrillRecord, round: Round): Promise<string | null> {
  try {
    const { state, region } = (await planNow(drill, record.by)).facts.classified;
    if ((state !== 'steady' && state !== 'unsettled') || region === null) return null;
    const there = round.filter(([name]) => !name.includes('@') || name.endsWith(`@${region}`));
    return there.length > 0 && there.every(([, { outcome }]) => outcome === 'pass') ? region : null;
  } catch {
    return null;
  }
}

async function mend({ name, chaos }: Drill, record: DrillRecord, found: ChaosRecord): Promise<void> {
  try {
    await command(chaos!.timeoutMs, RESTORE_TRIES).runChaos({ drill: name, which: 'restore' });
    found.restoredAt = Date.now();
  } catch (error) {
    record.reasons.push(
      `it could not be mended, do it by hand (${found.restore.join(' ')}): ${causeOf(error).message}`,
    );
  }
}

/** After the mending all is as it was; where a rescue has moved the service, the side it left may still be down. */
async function verify(
  drill: Drill,
  record: DrillRecord,
  found: ChaosRecord,
  around: () => Promise<Round>,
): Promise<void> {
  const end = Date.now() + drill.chaos!.recoverWithinMs;
  for (;;) {
    const round = await around();
    const active = await worksIn(drill, record, round);
    const failing = round.filter(([, { outcome }]) => outcome !== 'pass').map(([name]) => name);
    if (active !== null) found.active = active;
    if (active !== null && (active !== record.from || failing.length === 0)) return;
    if (Date.now() >= end) {
      record.reasons.push(
        `after the mending it does not work as before: ${failing.length === 0 ? 'no side is active and routed' : `${failing.join(', ')} does not pass`}`,
      );
      return;
    }
    await condition(
      () => false,
      everyMs(Math.max(drill.intervalMs, LOOK_MS), drill.chaos!.recoverWithinMs, MOST_ROUNDS),
    );
  }
}

function judge({ service, chaos }: Drill, record: DrillRecord, found: ChaosRecord): void {
  const { brokeAt, detectedAt, detectedBy, recoveredAt, active } = found;
  if (brokeAt !== null) {
    const late = (what: string, at: number | null, within: number): string[] =>
      at !== null && at - brokeAt <= within
        ? []
        : [
            `${what} ${at === null ? 'not at all' : `after ${seconds(at - brokeAt)}`}, the objective is ${seconds(within)}`,
          ];
    record.reasons.push(
      ...late('it was noticed', detectedAt, chaos!.detectWithinMs),
      ...late('the service worked again', recoveredAt, chaos!.recoverWithinMs),
    );
  }
  const moved = active === record.from ? '' : `; ${service} is active in ${active ?? 'no region'} now, and stays there`;
  if (record.reasons.length > 0) {
    close(record, 'failed', `${record.reasons.join('; ')}${moved}`);
    return;
  }
  const [noticed, worked] = [seconds(detectedAt! - brokeAt!), seconds(recoveredAt! - brokeAt!)];
  close(
    record,
    'passed',
    `noticed after ${noticed} (${detectedBy}), working again after ${worked}, and mended${moved}`,
  );
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
