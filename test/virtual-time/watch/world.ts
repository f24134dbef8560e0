/**
 * A watch of the real bundle in virtual time. Its vantage points look at a model of the network: which region each of
 * them reaches, and what answers there. Their windows and their words are the real ones.
 */
import type {
  VantageActivities,
  Watched,
  WatchingActivities,
  WatchPointAnswer,
  WatchPointCall,
} from '../../../activities/contract.ts';
import type { PointMemory, PointReport, Reading } from '../../../plan/watch/model.ts';
import { isPointNews } from '../../../plan/watch/report.ts';
import { targetOf, targetsOf } from '../../../plan/watch/vote.ts';
import { judge, NEW_TARGET, take } from '../../../plan/watch/window.ts';
import type { Alert } from '../../../topology/alerts.ts';
import type { Component } from '../../../topology/model.ts';
import type { Watch } from '../../../topology/watches.ts';
import { type WatchStatus, watchQueueOf } from '../../../workflows/contract.ts';
import { BUNDLE } from '../engine/run.ts';
import { type ActivityCall, createWorld, type Workflow, type World, type WorldOptions } from '../harness.ts';
import { readBundle } from '../sdk.ts';

export const A = 'eu-west';
export const B = 'eu-central';
export const CONTROL = 'control';
export const WATCH: Watch = {
  ...{ name: 'checkout', service: 'checkout', regions: [A, B], probes: ['app'], from: [CONTROL, A, B] },
  ...{ intervalMs: 2_000, windowMs: 60_000, failures: 3, errorRate: 5, latencyMs: 500, votes: 2 },
};

type Answer = 'well' | 'error' | 'silent' | 'slow';
type Handlers = {
  [K in keyof (WatchingActivities & VantageActivities)]: (call: ActivityCall, input: never) => unknown;
};

export interface WatchOptions {
  watch?: Partial<Watch>;
  harness?: Partial<WorldOptions>;
  /** In place of the vantage points that look every interval. */
  point?: (run: WatchRun, call: ActivityCall, input: WatchPointCall) => unknown;
}

export class WatchRun {
  harness!: World;
  workflow!: Workflow;
  watch: Watch | null;
  /** What answers in each region. */
  readonly regions: Record<string, Answer> = { [A]: 'well', [B]: 'well' };
  /** Links that are cut: `control>eu-west`, or `control>` for all of a vantage point. */
  readonly cut = new Set<string>();
  /** Vantage points whose process has stopped: no heartbeat, no word. */
  readonly frozen = new Set<string>();
  readonly alerts: Alert[] = [];
  readonly told: string[] = [];
  /** Whether triggers can be told. */
  deaf = false;
  /** Calls of each vantage point. */
  readonly calls: Record<string, number> = {};

  constructor(watch: Partial<Watch> = {}) {
    this.watch = { ...WATCH, ...watch };
  }

  status(): Promise<WatchStatus> {
    return this.workflow.query('status') as Promise<WatchStatus>;
  }

  /** `firing RegionDown eu-west`, in order; a repeated word once. */
  words(): string[] {
    const all = this.alerts.map(({ status, labels }) =>
      [status, labels.alertname, labels.region, labels.probe].filter(Boolean).join(' '),
    );
    return all.filter((word, i) => all[i - 1] !== word);
  }

  /** Words about what is wrong: not the first ones, which say that all is well. */
  news(): Alert[] {
    return this.alerts.filter(({ status, startsAt }) => status === 'firing' || startsAt !== null);
  }

  async until(what: string, fits: (status: WatchStatus) => boolean, limitMs = 3_600_000): Promise<WatchStatus> {
    const end = this.harness.now + limitMs;
    for (;;) {
      await this.harness.settle();
      const status = await this.status();
      if (fits(status)) return status;
      if (!(await this.harness.step(end))) throw new Error(`never ${what}: ${JSON.stringify(status, null, 1)}`);
    }
  }

  /** Until all vantage points have answered. */
  ready(): Promise<WatchStatus> {
    return this.until('all answer', ({ points }) => points.every(({ report }) => report !== null));
  }

  down(region: string): (status: WatchStatus) => boolean {
    return ({ verdicts }) => verdicts.some((one) => one.signal === 'down' && one.region === region && one.on === true);
  }

  reading(point: string, region: string, at: number): Reading {
    const reached = !this.cut.has(`${point}>${region}`) && (!this.cut.has(`${point}>`) || point === region);
    const answer = reached ? this.regions[region]! : 'silent';
    const ms = { well: 20, error: 20, slow: 900, silent: null }[answer];
    return { at, ok: answer === 'well' || answer === 'slow', answered: answer !== 'silent', ms };
  }

  dispose(): Promise<void> {
    return this.harness.dispose();
  }
}

const components: Record<string, Component> = {
  app: {
    ...{ name: 'app', type: 'http', role: 'check', queue: 'rampart', config: {}, capabilities: { role: 'check' } },
    sides: Object.fromEntries([A, B].map((region) => [region, { region, nodes: [] }])),
  },
};

/** Asks every interval, as the real one does. */
async function ask(run: WatchRun, call: ActivityCall, input: WatchPointCall): Promise<WatchPointAnswer | 'never'> {
  const { watched, point, shown } = input;
  const { watch } = watched;
  const end = call.now() + input.forMs;
  const before = call.heartbeatDetails as { memory?: PointMemory } | undefined;
  const memory: PointMemory = { ...(before?.memory ?? input.memory) };
  for (;;) {
    if (run.frozen.has(point)) return 'never';
    const now = call.now();
    const targets = targetsOf(watch, watched.components);
    for (const target of targets) {
      const key = targetOf(target);
      memory[key] = judge(take(memory[key] ?? NEW_TARGET, run.reading(point, target.region!, now), watch), watch, now);
    }
    const report: PointReport = {
      at: now,
      targets: targets.map((target) => {
        const { signals, isSilent } = memory[targetOf(target)]!;
        return { ...target, signals, silent: isSilent, text: signals.failing.on ? 'no answer' : '' };
      }),
    };
    call.heartbeat({ memory });
    if (isPointNews(shown, report)) return { why: 'changed', report, memory };
    if (now >= end) return { why: 'time', report, memory };
    await call.sleep(Math.min(watch.intervalMs, Math.max(end - now, 1)));
  }
}

export async function startWatch(options: WatchOptions = {}): Promise<WatchRun> {
  const run = new WatchRun(options.watch);
  const handlers: Handlers = {
    resolveWatch: () => (run.watch === null ? null : { ...resolved(run.watch), searchAttributes: SHOWN }),
    watchPoint: (call, input: WatchPointCall) => {
      run.calls[input.point] = (run.calls[input.point] ?? 0) + 1;
      return options.point === undefined ? ask(run, call, input) : options.point(run, call, input);
    },
    tellTriggers: (_call, { alerts }: { alerts: Alert[] }) => {
      if (run.deaf) throw new Error('Temporal does not take the alert');
      run.alerts.push(...alerts);
    },
    tellOfWatch: (_call, { state, text }: { state: string; text: string }) => {
      run.told.push(`${state}: ${text}`);
    },
  };
  run.harness = await createWorld({
    bundle: await readBundle(BUNDLE),
    activities: (call) => handlers[call.type as keyof Handlers](call, call.args[0] as never),
    workflowQueues: ['rampart'],
    ...options.harness,
  });
  run.workflow = await run.harness.start('watch', { workflowId: 'watch/checkout', args: [{ watch: 'checkout' }] });
  return run;
}

const SHOWN = ['RampartService', 'RampartPhase', 'RampartAction'];
const resolved = (watch: Watch): Watched => ({ watch, components });

export const queues = [CONTROL, A, B].map(watchQueueOf);
