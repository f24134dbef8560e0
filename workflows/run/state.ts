/** Everything one run knows. Plain state with small operations; the flow is in engine.ts. */
import { CancellationScope, patched, log as temporalLog, workflowInfo } from '@temporalio/workflow';
import type { Resolved } from '../../activities/contract.ts';
import type { LossStatement, Receipt, Weights } from '../../drivers/ports.ts';
import { assessObjectives } from '../../evidence/objectives.ts';
import type { Debt, Outcome, RunRecord, StepRecord, WaitRecord } from '../../evidence/record.ts';
import { combineLoss } from '../../plan/loss.ts';
import type { Facts, Plan, Request, Stage, StageName, State, Step, StepCall, StepId } from '../../plan/model.ts';
import type { EventName, Severity } from '../../topology/channels.ts';
import type { RunStatus } from '../contract.ts';
import { countRun } from './counted.ts';
import type { Interrupt, InterruptKind } from './errors.ts';
import { Freeze } from './freeze.ts';
import type { OpenGate } from './gate.ts';
import { Tokens } from './tokens.ts';
import { type UndoEntry, UndoStack } from './undo.ts';

/** Log lines kept: enough for any run, and far below the size limits of a query answer. */
const LOG_LIMIT = 500;

/** Readings of lag kept, newest: a gate may be open for days. */
const LAG_LIMIT = 500;
/** Facts kept that decisions were bound to, newest; each is some kilobytes, and the record is the run's result. */
const SHOWN_LIMIT = 20;

/** States that are about a side which accepts writes. */
const ACTIVE: readonly State[] = ['steady', 'unsettled', 'midRamp'];

/** A stronger word replaces a weaker one that is still waiting to be acted on. */
const STRENGTH: Record<InterruptKind, number> = { withdraw: 0, freezeExpired: 1, abort: 2, escalate: 3 };

export interface Holding {
  reason: string;
  since: number;
  choices: string[];
  /** Set by a message; the engine reads it. */
  answer: { kind: 'retry' } | { kind: 'skip'; step: StepId; by: string; reason: string } | null;
  /** Steps that failed and may be retried or skipped. */
  failed: Step[];
}

/** Whoever tells people of the run, beside it (news.ts). */
export interface Teller {
  /** Hands an event over and returns at once. */
  tell(event: EventName, text: string, severity?: Severity): void;
  /** Tells of a gate again while nobody answers it. */
  remind(open: OpenGate): void;
  /** The next leg of the same workflow. */
  follow(run: Run): void;
  /** Waits for what is still being told, within bounds. */
  end(): Promise<void>;
}

export class Run {
  readonly record: RunRecord;
  readonly tokens: Tokens;
  readonly undo = new UndoStack();
  readonly freeze: Freeze;
  /** The last receipt of each step of the present plan. */
  receipts = new Map<StepId, Receipt>();
  skipped = new Set<StepId>();
  resolved: Resolved | null = null;
  plan: Plan | null = null;
  facts: Facts | null = null;
  /** Identity and timeline of each store as tokens carry it; the timeline moves with the promotion. */
  stores: Facts['stores'] = {};
  phase: RunStatus['phase'] = 'planning';
  stage: Stage | null = null;
  doneStages = new Set<Stage>();
  passedGates = new Set<Stage>();
  gate: OpenGate | null = null;
  holding: Holding | null = null;
  paused: { by: string; since: number } | null = null;
  weights: Record<string, Weights> = {};
  trafficPercent: number | null = null;
  /** The greatest loss people have accepted; `null` before anybody decided. */
  maxLoss: { seconds: number | null; bytes: number | null } | null = null;
  /** Override codes of the present plan's request, and those that decisions added to it. */
  overrides = new Set<string>();
  /** Stores whose weak fence people accepted in this plan. */
  weakFenceAccepted = new Set<string>();
  /** Stores whose source answered after the last approval of their weak fence, so that fencing it was tried again. */
  fencedAgain = new Set<string>();
  /** Stores whose source was seen to accept writes when it could not be fenced: the next asking says so. */
  sourceWrites = new Set<string>();
  /** Unfences without an answer yet, by the fence's step: they may act until the place is claimed anew. */
  unfencesSent = new Map<StepId, { step: Step; at: number }>();
  /** People approved although the loss window was open or unknown. */
  unknownLossAccepted = false;
  loss: LossStatement | null = null;
  /** What promotions of earlier plans of this run lost: an escalation has a new plan, and the loss stays. */
  earlierLoss: LossStatement | null = null;
  interrupt: Interrupt | null = null;
  /** An abort that was said after an escalation which is not acted on yet: it is about the rescue. */
  private abortNext: Interrupt | null = null;
  /** True from the first scheduled step that has an effect: such a run can no longer be withdrawn. */
  acted = false;
  closed = false;
  /** Task queues on which no worker took a step of the present plan in time. */
  absentPlaces = new Set<string>();
  /** Regions that were seen to accept writes, at any time: in a plan's facts, or at a gate that showed newer ones. */
  readonly lived = new Set<string>();
  /** Regions that were found fenced by a run that is gone: they wrote until then. */
  readonly foundFenced = new Set<string>();
  /** Undos that should have moved traffic and were refused for good. */
  trafficLeft: UndoEntry[] = [];
  /** Number of the plan (1 = first) whose promotion crossed the point of no return; `null` before. */
  crossedInPlan: number | null = null;
  /** Search attributes as last upserted. */
  shown: Record<string, string> = {};
  private asked: Record<string, number> = {};
  private scope: { scope: CancellationScope; stops(kind: InterruptKind): boolean } | null = null;

  /** Whose word covers the first gate of this run: an approval of the leg before it, or a drill's policy. */
  covered: string | null = null;
  /** Who is told of it; `null`: nobody. */
  news: Teller | null = null;
  /** Before the names of its gates: a run that is one leg of several has gates of its own. */
  private readonly gatePrefix: string;

  /** @param gatePrefix `leg1.`: its gates are then `leg1.cutover.1`, … */
  constructor(action: string, request: Request, gatePrefix = '') {
    this.gatePrefix = gatePrefix;
    const info = workflowInfo();
    this.record = {
      version: 1,
      workflowId: info.workflowId,
      runId: info.firstExecutionRunId,
      service: request.service,
      owner: '',
      tier: '',
      action,
      mode: request.mode ?? 'planned',
      from: request.from ?? null,
      to: request.to ?? null,
      request,
      startedAt: Date.now(),
      endedAt: null,
      outcome: null,
      text: '',
      plans: [],
      decisions: [],
      messages: [],
      steps: [],
      undos: [],
      ramp: [],
      freeze: { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false },
      pointOfNoReturn: { stepId: null, crossedAt: null, revokedAt: null },
      loss: null,
      waitedForPeopleMs: 0,
      dataReadyAt: null,
      trafficCompleteAt: null,
      objectives: [],
      findings: [],
      debt: [],
      log: [],
      targets: null,
      waits: [],
      shown: [],
      lagSamples: [],
      // Whoever rehearses says what kind of test it is; a run by itself is none.
      context: gatePrefix === '' ? { testType: 'live' } : {},
    };
    this.tokens = new Tokens(info.firstExecutionRunId);
    this.freeze = new Freeze(this.record.freeze);
  }

  note(text: string): void {
    this.record.log.push({ at: Date.now(), text });
    if (this.record.log.length > LOG_LIMIT) this.record.log.splice(0, this.record.log.length - LOG_LIMIT);
    temporalLog.info(text);
  }

  /** Tells people, beside the run. */
  tell(event: EventName, text: string, severity?: Severity): void {
    this.news?.tell(event, text, severity);
  }

  /** Whether it is a leg of a drill. */
  get drill(): boolean {
    return this.gatePrefix !== '';
  }

  /** What is measured newly replaces what was, and the lag in it is kept: nobody can measure it afterwards. */
  saw(facts: Facts): void {
    this.facts = facts;
    const { state, region } = facts.classified;
    if (region !== null && ACTIVE.includes(state)) this.lived.add(region);
    if (region !== null && state === 'fenced') this.foundFenced.add(region);
    const samples = this.record.lagSamples!;
    for (const [component, lag] of Object.entries(facts.lag)) {
      if (lag === null) continue;
      const { measuredAt: at, fresh, seconds } = lag;
      if (samples.some((s) => s.component === component && s.at === at)) continue;
      samples.push({ at, component, region: this.record.to ?? '', seconds: fresh ? seconds : null });
    }
    if (samples.length > LAG_LIMIT) samples.splice(0, samples.length - LAG_LIMIT);
  }

  /** Keeps the facts that a decision is bound to, unless a plan in the record holds them. */
  keepShown(facts: Facts): void {
    const shown = this.record.shown!;
    if ([...shown, ...this.record.plans.map((p) => p.facts)].some(({ digest }) => digest === facts.digest)) return;
    shown.push(facts);
    if (shown.length > SHOWN_LIMIT) shown.splice(0, shown.length - SHOWN_LIMIT);
  }

  /** Past the first scheduled promotion, and not revoked by proof. */
  get pastPointOfNoReturn(): boolean {
    const p = this.record.pointOfNoReturn;
    return p.crossedAt !== null && p.revokedAt === null;
  }

  /** Adds a wait for people to the record, under the name of what was waited for. */
  waited(kind: WaitRecord['kind'], name: string, since: number): void {
    const endedAt = Date.now();
    this.record.waitedForPeopleMs += endedAt - since;
    this.record.waits!.push({ kind, name, startedAt: since, endedAt });
  }

  /** The id of the next asking of a gate: `cutover.1`, `cutover.2`, … */
  nextGateId(name: string): string {
    const n = (this.asked[name] ?? 0) + 1;
    this.asked[name] = n;
    return `${this.gatePrefix}${name}.${n}`;
  }

  addDebt(debt: Debt): void {
    const same = (d: Debt) => d.code === debt.code && d.component === debt.component && d.region === debt.region;
    this.record.debt = [...this.record.debt.filter((d) => !same(d)), debt];
  }

  /** @param region only what is owed there; absent: anywhere */
  payDebt(code: string, component: string | null, region?: string | null): void {
    const paid = (d: Debt) =>
      d.code === code && d.component === component && (region === undefined || d.region === region);
    this.record.debt = this.record.debt.filter((d) => !paid(d));
  }

  /** Takes a person's or a deadline's word; what runs in the interruptible scope is cancelled, and awaited there. */
  raise(interrupt: Interrupt): void {
    const requested = `${interrupt.kind} requested by ${interrupt.by}${interrupt.reason ? `: ${interrupt.reason}` : ''}`;
    if (this.interrupt !== null && STRENGTH[this.interrupt.kind] >= STRENGTH[interrupt.kind]) {
      if (interrupt.kind !== 'abort' || this.interrupt.kind !== 'escalate' || !patched('abort-after-escalate')) return;
      this.abortNext ??= interrupt;
      this.note(requested);
      return;
    }
    this.interrupt = interrupt;
    this.note(requested);
    if (this.scope?.stops(interrupt.kind)) this.scope.scope.cancel();
  }

  takeInterrupt(): Interrupt | null {
    const taken = this.interrupt;
    this.interrupt = this.abortNext;
    this.abortNext = null;
    return taken;
  }

  /**
   * Runs `fn` so that `raise` cancels it. Activities inside wait for their cancellation to complete, so nothing of
   * it is still acting (as far as Temporal can know) when this returns or throws.
   */
  async interruptible<T>(fn: () => Promise<T>, stops: (kind: InterruptKind) => boolean = () => true): Promise<T> {
    const scope = new CancellationScope();
    const outer = this.scope;
    this.scope = { scope, stops };
    // A word that came before there was anything to stop must not be overlooked.
    if (this.interrupt !== null && stops(this.interrupt.kind)) scope.cancel();
    try {
      return await scope.run(fn);
    } finally {
      this.scope = outer;
    }
  }

  stepRecord(stage: StageName, step: Step): StepRecord {
    const found = this.record.steps.find((s) => s.id === step.id && s.state !== 'done');
    if (found !== undefined) return found;
    const created: StepRecord = {
      id: step.id,
      stage,
      summary: step.summary,
      verb: step.verb,
      component: step.component,
      region: step.region,
      state: 'running',
      scheduled: 0,
      startedAt: Date.now(),
      endedAt: null,
      result: null,
      already: false,
      facts: {},
      error: null,
    };
    this.record.steps.push(created);
    return created;
  }

  close(outcome: Outcome, text: string): void {
    this.record.outcome = outcome;
    this.record.text = text;
    this.record.endedAt = Date.now();
    // What was not watched to its end will not be any more.
    for (const weight of this.record.ramp) if (weight.bake === 'running') weight.bake = 'inconclusive';
    this.record.loss = lossOfAll(this.earlierLoss, this.loss);
    this.record.objectives = assessObjectives(this.record);
    this.phase = 'closed';
    this.closed = true;
    this.note(text);
    countRun(this);
    this.tellEnd(outcome, text);
  }

  private tellEnd(outcome: Outcome, text: string): void {
    const missed = this.record.objectives.filter(({ met }) => met === false);
    if (missed.length > 0)
      this.tell('contract-breached', missed.map((o) => `${o.name}: ${o.actual}, promised ${o.target}`).join('; '));
    if (outcome === 'completed' || outcome === 'nothingToDo') this.tell('run-completed', text);
    else if (outcome === 'withdrawn' || outcome === 'cancelled') this.tell('run-withdrawn', text);
    else this.tell('run-failed', `${outcome}: ${text}`, outcome === 'needsHuman' ? 'error' : 'warning');
  }
}

/** Whom an activity of planning acts for. */
export function identityOf(run: Run): StepCall['run'] {
  return {
    workflowId: run.record.workflowId,
    runId: run.record.runId,
    service: run.record.service,
    by: run.plan?.request.by ?? run.record.request.by ?? null,
  };
}

/** The loss of a run that followed several plans. */
export function lossOfAll(earlier: LossStatement | null, now: LossStatement | null): LossStatement | null {
  if (earlier === null || now === null) return earlier ?? now;
  return combineLoss([
    ['before the escalation', earlier],
    ['after it', now],
  ]);
}
