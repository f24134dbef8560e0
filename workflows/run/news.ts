/**
 * Tells people of a run, beside it: nothing the run does waits for it or fails by it. Each channel has a lane of its
 * own, so that one that hangs delays no other, and hears of events in their order. Only at the very end does the
 * workflow wait for what is still under way, and not for long.
 */
import { ActivityCancellationType, CancellationScope, condition, proxyActivities } from '@temporalio/workflow';
import type { Kept, NotifyActivities, NotifyCall } from '../../activities/contract.ts';
import type { NewsEvent } from '../../evidence/card.ts';
import {
  type ChannelView,
  EVENTS,
  type EventName,
  type NotifyView,
  type Severity,
  wants,
} from '../../topology/channels.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { cardOf } from './card.ts';
import { causeOf } from './errors.ts';
import type { OpenGate } from './gate.ts';
import { identityOf, type Run, type Teller } from './state.ts';

/** One attempt is one request. What has not got through after a minute is old, and what comes next says more. */
const OPTIONS = {
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '15s',
  scheduleToCloseTimeout: '60s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s', maximumAttempts: 6 },
} as const;

/** How long a run that is over holds its lock for what people have not been told yet, in milliseconds. */
const LAST_WORDS_MS = 30_000;
/** Events that wait on a channel that takes none; the oldest are dropped. */
const MOST_WAITING = 50;
/** Tellings that stay in the record. */
const MOST_RECORDED = 500;

interface Lane {
  channel: ChannelView;
  waiting: NewsEvent[];
  /** What is being told now; `null`: nothing. */
  scope: CancellationScope | null;
  kept: Kept | null;
}

export class News implements Teller {
  private run: Run;
  private readonly view: NotifyView;
  private readonly lanes: Lane[];
  private told = 0;
  /** A drill that somebody has made the real thing is a drill no more. */
  private escalated = false;

  constructor(run: Run, view: NotifyView) {
    this.run = run;
    this.view = view;
    this.lanes = view.channels.map((channel) => ({ channel, waiting: [], scope: null, kept: null }));
  }

  /** The next leg of the same workflow: its events go on where those of the one before ended. */
  follow(run: Run): void {
    this.run = run;
  }

  /** Hands an event to every channel that wants it, and returns at once. */
  tell(name: EventName, text: string, severity: Severity = EVENTS[name]): void {
    this.told += 1;
    if (name === 'run-escalated') this.escalated = true;
    const event: NewsEvent = { number: this.told, name, severity, at: Date.now(), text };
    for (const lane of this.lanes) if (this.isFor(lane, name, severity)) this.hand(lane, event);
  }

  /** Tells of a gate again while nobody answers it. */
  remind(open: OpenGate): void {
    if (!this.lanes.some((lane) => this.isFor(lane, 'approval-escalated', EVENTS['approval-escalated']))) return;
    const { run } = this;
    const over = () => run.gate !== open || open.state !== 'open';
    void CancellationScope.nonCancellable(async () => {
      for (const after of this.view.escalation.afterMs) {
        const left = open.openedAt + after - Date.now();
        if (await condition(over, Math.max(left, 1))) return;
        this.tell('approval-escalated', unanswered(open, after));
      }
    });
  }

  /** Waits for what is under way. What has not got through by then is given up, and the record says so. */
  async end(): Promise<void> {
    const quiet = () => this.lanes.every(({ scope }) => scope === null);
    if (quiet()) return;
    await CancellationScope.nonCancellable(async () => {
      if (await condition(quiet, LAST_WORDS_MS)) return;
      for (const lane of this.lanes) {
        for (const event of lane.waiting.splice(0)) this.failed(lane, event, 'dropped', 'the run is over');
        lane.scope?.cancel();
      }
      await condition(quiet);
    });
  }

  private isFor({ channel }: Lane, name: EventName, severity: Severity): boolean {
    if (this.run.drill && !this.escalated && !channel.drills) return false;
    const second = name === 'approval-escalated' && this.view.escalation.channels.includes(channel.name);
    return second || wants(channel, name, severity);
  }

  private hand(lane: Lane, event: NewsEvent): void {
    lane.waiting.push(event);
    if (lane.waiting.length > MOST_WAITING)
      this.failed(lane, lane.waiting.shift()!, 'dropped', `more than ${MOST_WAITING} events wait`);
    if (lane.scope !== null) return;
    // Neither a word that stops a step nor the cancellation of the workflow stops the telling of it.
    void CancellationScope.nonCancellable(() => {
      const scope = new CancellationScope();
      lane.scope = scope;
      return scope.run(() => this.work(lane));
    });
  }

  private async work(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      const event = lane.waiting.shift()!;
      try {
        for (const part of this.partsOf(lane, event)) await this.send(lane, event, part);
        this.record(lane, event, 'sent', '');
      } catch (error) {
        this.failed(lane, event, 'failed', causeOf(error).message);
      }
    }
    lane.scope = null;
  }

  /** A message that shows how the run stands is brought up to date by the newest event; older ones only stand beneath it. */
  private partsOf({ channel, waiting, kept }: Lane, { name }: NewsEvent): Array<NotifyCall['part']> {
    if (channel.type !== 'slack') return ['event'];
    const parts: Array<NotifyCall['part']> = kept === null || waiting.length === 0 ? ['card'] : [];
    return name === 'run-started' ? ['card'] : [...parts, 'thread'];
  }

  private async send(lane: Lane, event: NewsEvent, part: NotifyCall['part']): Promise<void> {
    const { run } = this;
    const { notify } = proxyActivities<NotifyActivities>({
      ...OPTIONS,
      summary: `${lane.channel.name}: ${event.name}`,
    });
    const call: NotifyCall = {
      ...{ run: identityOf(run), channel: lane.channel.name, part, event },
      ...{ card: cardOf(run), kept: lane.kept },
    };
    lane.kept = (await notify(call)).kept;
  }

  private failed(lane: Lane, event: NewsEvent, result: 'failed' | 'dropped', why: string): void {
    this.run.note(`${lane.channel.name} was not told of ${event.name}: ${why}`);
    this.record(lane, event, result, why);
  }

  private record({ channel }: Lane, event: NewsEvent, result: 'sent' | 'failed' | 'dropped', text: string): void {
    this.run.record.notifications ??= [];
    const told = this.run.record.notifications;
    told.push({ at: Date.now(), channel: channel.name, event: event.name, result, text });
    if (told.length > MOST_RECORDED) told.shift();
  }
}

function unanswered(open: OpenGate, afterMs: number): string {
  const { escalateAfterMs, escalateTo } = open.gate.policy;
  const second = escalateAfterMs !== undefined && afterMs >= escalateAfterMs ? escalateTo : [];
  const too = second.length === 0 ? '' : `; ${second.join(', ')} may decide as well now`;
  return `gate ${open.id} has waited for ${afterMs / 60_000} min and nobody has answered${too}`;
}
