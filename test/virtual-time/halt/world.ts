/** A halt beside the real engine: the service is the model world, its replicas are what this file says they are. */
import type { HaltActivities, LockSeen } from '../../../activities/contract.ts';
import { readHalt } from '../../../activities/halts.ts';
import { toFailure } from '../../../activities/perform.ts';
import type { ReplayFact } from '../../../drivers/ports.ts';
import type { HaltRecord } from '../../../evidence/halt-record.ts';
import { isInsideCut } from '../../../plan/inside-cut.ts';
import { haltNote } from '../../../workers/halt-deps.ts';
import type { MessageAnswer, RunStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK } from '../engine/run.ts';
import { B, ModelWorld } from '../engine/world/world.ts';
import { type ActivityHandler, createWorld, type Workflow, type World } from '../harness.ts';
import { readBundle } from '../sdk.ts';

export const MINUTE = 60_000;
export const HALT = 'halt/checkout';
export const ASKED = { service: 'checkout', by: 'ann', reason: 'orders show wrong amounts' };

export interface HaltWorldOptions {
  suggestContinueAsNewAfter?: number;
  /** Further activities, by name. */
  more?: Record<string, (input: never) => unknown>;
}

export class HaltWorld {
  readonly model = new ModelWorld({});
  readonly told: string[] = [];
  /** By node: whether its replay goes on, and what was done to it. */
  readonly replay: Record<string, ReplayFact['state']> = { 'orders-db-eu-central': 'applying' };
  readonly touched: string[] = [];
  /** What a replica shows after it was told to pause. */
  paused: ReplayFact['state'] = 'paused';
  /** Reads and tells every node otherwise, when set: the tests' faults. */
  fault: ((verb: string) => void) | null = null;
  run: LockSeen['run'] = null;
  harness!: World;

  async open(options: HaltWorldOptions = {}): Promise<this> {
    for (const component of Object.values(this.model.topology.components))
      if (component.role === 'store') component.capabilities = { ...component.capabilities, pausesReplay: true };
    const fact = (state: ReplayFact['state'], node: string, changed = false): ReplayFact => ({
      ...{ node, region: B, state, changed, at: this.harness.now, detail: state },
      applied: { text: '0/3000060', order: '50331744', timeline: 1 },
      received: { text: '0/3000100', order: '50331904', timeline: 1 },
      lastCommitAt: this.harness.now - 1_500,
    });
    const replay =
      (verb: 'readReplay' | 'pauseReplay' | 'resumeReplay') => (call: { region: string; nodes: string[] }) => {
        this.fault?.(verb);
        return call.nodes.map((node) => {
          const before = this.replay[node] ?? 'none';
          const wanted = { readReplay: before, pauseReplay: this.paused, resumeReplay: 'applying' } as const;
          const now = before === 'none' || before === 'unknown' ? before : wanted[verb];
          if (verb !== 'readReplay') this.touched.push(`${verb} ${node}`);
          this.replay[node] = now;
          return fact(now, node, now !== before);
        });
      };
    const handlers: { [K in keyof HaltActivities]: (input: never) => unknown } = {
      resolveHalt: async (raw: Parameters<HaltActivities['resolveHalt']>[0]) => {
        try {
          return { ...readHalt(raw, this.model.topology), searchAttributes: [] };
        } catch (error) {
          throw toFailure(error);
        }
      },
      lookAtLock: () => ({ run: this.run, recent: [] }) satisfies LockSeen,
      readReplay: replay('readReplay'),
      pauseReplay: replay('pauseReplay'),
      resumeReplay: replay('resumeReplay'),
      recoveryPoints: () => [{ kind: 'archive', node: 'a', region: 'eu-west', reaches: null, text: 'no WAL archive' }],
      tellOfHalt: ({ state, text }: { state: string; text: string }) => {
        this.told.push(`${state}: ${text}`);
      },
    };
    const activities: ActivityHandler = (call) => {
      this.look();
      const handler = handlers[call.type as keyof HaltActivities] ?? options.more?.[call.type];
      return handler === undefined ? this.model.activities(call) : handler(call.args[0] as never);
    };
    this.harness = await createWorld({
      bundle: await readBundle(BUNDLE),
      activities,
      workflowQueues: ['rampart'],
      foreignWorkflows: () => ({ done: true }),
      ...(options.suggestContinueAsNewAfter === undefined
        ? {}
        : { suggestContinueAsNewAfter: options.suggestContinueAsNewAfter }),
    });
    this.model.useClock(() => this.harness.now);
    return this;
  }

  /** What activities find out about the halt, from the same places as the real ones: whether it is open, and its memo. */
  look(): void {
    const halt = this.#found(HALT);
    if (halt === null || halt.outcome !== null) this.model.halt = null;
    else this.model.halt = haltNote(HALT, halt.startedAt, halt.memo);
  }

  /** Reads where the run under the lock is, for the halt's next look. */
  async seeRun(): Promise<void> {
    const run = this.#found(LOCK);
    if (run === null || run.outcome !== null) this.run = null;
    else {
      const status = (await run.query('status')) as RunStatus;
      const { phase, paused, gate } = status;
      this.run = {
        ...{ workflowId: LOCK, runId: run.runId, type: 'failover', startedAt: 0, phase, paused: paused !== null },
        cut: isInsideCut(status),
        gate: gate?.id ?? null,
      };
    }
  }

  #found(workflowId: string): Workflow | null {
    try {
      const found = this.harness.workflow(workflowId);
      void found.outcome;
      return found;
    } catch {
      return null;
    }
  }

  halt(input: unknown = ASKED, workflowId = HALT): Promise<Workflow> {
    return this.harness.start('halt', { workflowId, args: [input] });
  }

  record(): Promise<HaltRecord> {
    return this.harness.workflow(HALT).query('evidence') as Promise<HaltRecord>;
  }

  say(verb: 'resume' | 'note', input: unknown): Promise<MessageAnswer> {
    return this.harness.workflow(HALT).update(verb, input) as Promise<MessageAnswer>;
  }

  /** Runs on until the record of the halt shows this. */
  async until(fits: (record: HaltRecord) => boolean, limitMs = 10 * MINUTE): Promise<HaltRecord> {
    const end = this.harness.now + limitMs;
    for (;;) {
      await this.harness.settle();
      await this.seeRun();
      const record = await this.record();
      if (fits(record)) return record;
      if (!(await this.harness.step(end))) throw new Error(`the halt shows ${JSON.stringify(record, null, 1)}`);
    }
  }

  /** Runs on until the run under the lock shows this. */
  async untilRun(fits: (status: RunStatus) => boolean, limitMs = 30 * MINUTE): Promise<RunStatus> {
    const end = this.harness.now + limitMs;
    for (;;) {
      await this.harness.settle();
      await this.seeRun();
      const status = (await this.harness.workflow(LOCK).query('status')) as RunStatus;
      if (fits(status)) return status;
      if (!(await this.harness.step(end)))
        throw new Error(
          `the run shows ${JSON.stringify([status.phase, status.paused, status.gate?.id, status.text, status.log.slice(-6)], null, 1)}`,
        );
    }
  }
}
