/** Runs on a world of the lab, asked for and approved by the benchmark itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Temporal } from '../clients/connection.ts';
import { follow } from '../clients/follow.ts';
import { sendMessage } from '../clients/messages.ts';
import type { RunRef } from '../clients/runs.ts';
import { startRun } from '../clients/start.ts';
import type { RunRecord } from '../evidence/record.ts';
import { regionOfActive, type WorldReport } from '../lab/world/running.ts';
import { SERVICE } from '../lab/world/spec.ts';
import { openWorld, removeWorld, type World } from '../lab/world.ts';
import type { Request } from '../plan/model.ts';

/** A run that takes longer has gone wrong. */
const RUN_DEADLINE_MS = 120_000;

/** After a decision nobody asks the run anything for this long, milliseconds. */
const QUIET_MS = 3_000;

export interface BenchWorld {
  lab: World;
  report: WorldReport;
  temporal: Temporal;
  /** Region that takes writes, and the other one. */
  sides(): Promise<{ active: string; other: string }>;
  /** Starts a run and approves each gate as soon as it opens. @returns its record and when each gate was decided */
  run(request: Partial<Request> & Pick<Request, 'action'>): Promise<FinishedRun>;
  close(): Promise<void>;
}

export interface FinishedRun {
  ref: RunRef;
  record: RunRecord;
  /** Gates, with the time the run waited for the decision and the moment it was sent, milliseconds since the epoch. */
  decisions: Array<{ gate: string; sentAt: number }>;
}

/** Brings up a world of its own; it ends with this process at the latest. */
export async function openBenchWorld(
  name: string,
  say: (line: string) => void,
  options: { guard?: boolean } = {},
): Promise<BenchWorld> {
  const lab = await openWorld({ name, load: 0, bake: '500ms', tied: true, say, ...options });
  const { world: report } = await lab.status();
  const temporal = await connect(
    { ...process.env, TEMPORAL_ADDRESS: report.temporal.address, TEMPORAL_NAMESPACE: report.temporal.namespace },
    SERVICE,
  );
  return {
    lab,
    report,
    temporal,
    sides: async () => {
      const active = await regionOfActive(report);
      return { active, other: Object.keys(report.regions).find((region) => region !== active)! };
    },
    run: (request) => finish(temporal, { service: SERVICE, by: 'bench', ...request } as Request),
    close: async () => {
      await temporal.close().catch(() => {});
      await removeWorld(name);
    },
  };
}

async function finish(temporal: Temporal, request: Request): Promise<FinishedRun> {
  const ref = await startRun(temporal, `failover/${SERVICE}`, request);
  const decisions: FinishedRun['decisions'] = [];
  const signal = AbortSignal.timeout(RUN_DEADLINE_MS);
  for await (const view of follow(temporal, ref, { intervalMs: 100, signal })) {
    if (view.ending !== null) {
      const { record } = view.ending;
      if (record?.outcome !== 'completed')
        throw new Error(`the run ended ${record?.outcome ?? 'without a record'}: ${record?.text ?? ''}`);
      return { ref: view.run, record, decisions };
    }
    if (view.status?.holding) throw new Error(`the run holds: ${view.status.holding.reason}`);
    const gate = view.status?.gate;
    if (!gate || decisions.some((decision) => decision.gate === gate.id)) continue;
    const override = gate.needsOverride.length > 0 ? { override: gate.needsOverride } : {};
    decisions.push({ gate: gate.id, sentAt: performance.timeOrigin + performance.now() });
    await sendMessage(temporal, ref, 'approve', { by: 'bench', gate: gate.id, ...override });
    // Each look is work for the worker that leads the run: none while it is measured.
    if (request.mode === 'planned') await sleep(QUIET_MS, undefined, { signal });
  }
  throw new Error(`the run did not end within ${RUN_DEADLINE_MS / 1000} s`);
}

/** Polls until true; what throws is not yet true. @throws naming what did not come about */
export async function until(what: string, deadlineMs: number, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await look().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${deadlineMs / 1000} s`);
    await sleep(50);
  }
}

/** Long enough for a new primary to be followed and for caches to be as they usually are, milliseconds. */
export const settle = (): Promise<void> => sleep(1_500);
