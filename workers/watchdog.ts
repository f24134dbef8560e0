/**
 * The watchdog (I2): says out loud what no run may leave behind. No Temporal call in its path, and it never changes
 * anything. Judging is pure; saying is a log line, a metric and, when configured, a command.
 */
import { spawn } from 'node:child_process';
import type { Finding } from '../activities/notify/finding.ts';
import type { DriverLog, NodeObservation } from '../drivers/ports.ts';
import type { ChannelTeller } from './channel-teller.ts';
import { AGAIN_MS, Heard } from './heard.ts';

/** What people are told, by the watchdog or by a guard: this JSON is what the notify command reads. */
export interface Notice {
  /** For example `twoWritable`; the same names from both. */
  kind: string;
  service: string;
  component: string | null;
  message: string;
  /** The command to run first. */
  remedy: string;
}

export interface Alarm extends Notice {
  kind: 'noneWritable' | 'twoWritable' | 'fenceForgotten';
  component: string;
}

/** A guard's word: said once when a finding opens, and once when it is cleared. */
export interface GuardNotice extends Notice {
  source: 'guard' | 'trigger' | 'halt' | 'watch' | 'divergence';
  severity: 'critical' | 'warning' | 'info';
  state: 'opened' | 'cleared';
  region: string | null;
}

export interface Watched {
  service: string;
  component: string;
  freezeBudgetMs: number;
}

export interface WatchState {
  /** Since when no node was seen writable; `null` while one is. By component. */
  noneSince: Record<string, number>;
}

/** Whether nothing was writable for longer than the budget, as of the looks before. */
export function isOverdue({ component, freezeBudgetMs }: Watched, { noneSince }: WatchState, now: number): boolean {
  const since = noneSince[component];
  return since !== undefined && now - since > freezeBudgetMs;
}

/**
 * @param nodes this moment's readings of every node of the component
 * @param state carried from one look to the next; changed
 * @param withJournals readings that show journals, made a while ago perhaps: each is judged as of then
 */
export function judge(
  watched: Watched,
  nodes: NodeObservation[],
  state: WatchState,
  now: number,
  withJournals: NodeObservation[] = nodes,
): Alarm[] {
  const alarms: Alarm[] = [];
  const { service, component } = watched;
  const writable = nodes.filter((n) => n.state === 'writable');
  if (writable.length > 0) delete state.noneSince[component];
  else state.noneSince[component] ??= now;
  const since = state.noneSince[component];
  if (since !== undefined && isOverdue(watched, state, now))
    alarms.push({
      kind: 'noneWritable',
      service,
      component,
      message: `no writable side of ${component} for ${Math.round((now - since) / 1000)} s, its budget is ${watched.freezeBudgetMs / 1000} s: ${nodes.map((n) => `${n.node} ${n.state}`).join(', ') || 'nothing answers'}`,
      remedy: `rampart status ${service}; without Temporal: rampart escape ${service}`,
    });
  if (writable.length > 1)
    alarms.push({
      kind: 'twoWritable',
      service,
      component,
      message: `${writable.length} writable sides of ${component}: ${writable.map((n) => `${n.node} in ${n.region} on timeline ${n.timeline ?? '?'}`).join(', ')}`,
      remedy: `fence the lower timeline at once: rampart escape ${service} prints the commands`,
    });
  for (const node of withJournals) {
    const j = node.journal;
    if (j === null || !j.open || j.fencedAt === null) continue;
    const untouchedMs = node.observedAt - j.lastTouched;
    if (untouchedMs > j.freezeBudgetMs && writable.length === 0)
      alarms.push({
        kind: 'fenceForgotten',
        service,
        component,
        message: `${node.node} in ${node.region} was fenced by ${j.workflowId} at ${new Date(j.fencedAt).toISOString()} and nobody has touched its journal for ${Math.round(untouchedMs / 1000)} s`,
        remedy: `rampart status ${service}; if its run is gone, start the same failover again: it resumes; without Temporal: rampart escape ${service}`,
      });
  }
  return alarms;
}

const ALARM = { source: 'watchdog', severity: 'critical', state: 'opened', region: null } as const;

/** Longest time a notify command may take, in milliseconds. */
const COMMAND_MS = 15_000;

/**
 * Says what people must know: always in the log; by the notify command, an alarm that stands at most once a minute; on
 * the channels of the topology.
 */
export class Announcer {
  private readonly log: DriverLog;
  private readonly command: string[] | null;
  private readonly channels: ChannelTeller | null;
  private readonly heard = new Heard();

  /**
   * @param command argument list that gets the alarm as JSON on standard input; no shell
   * @param channels `null`: this process tells none
   */
  constructor(log: DriverLog, command: string[] | null, channels: ChannelTeller | null) {
    this.log = log;
    this.command = command;
    this.channels = channels;
  }

  announce(alarm: Alarm, now: number): void {
    const finding: Finding = { ...alarm, ...ALARM, at: now };
    if (this.heard.has(finding, AGAIN_MS)) return;
    this.heard.add(finding);
    this.log.error(`ALARM ${alarm.kind}: ${alarm.message}`, { ...alarm });
    for (const saying of [this.send(alarm), this.channels?.alarm(finding)])
      void saying?.catch((error: Error) => this.log.error(error.message));
  }

  /**
   * Says a guard's finding. The command does not hear again of what the watchdog of this process has just alarmed.
   * @param now a guard says the same time with every attempt: who has heard the word is left alone
   * @throws Error when the notify command ended with an error, or a channel did not take it: then it is worth another try
   */
  async tell(notice: GuardNotice, now: number): Promise<void> {
    const finding: Finding = { ...notice, at: now };
    const text = `${notice.source}: ${notice.kind} ${notice.state}: ${notice.message}`;
    if (notice.severity === 'critical' && notice.state === 'opened') this.log.error(text, { ...notice });
    else this.log.warn(text, { ...notice });
    const told = await Promise.allSettled([this.once(finding, notice), this.channels?.tell(finding)]);
    const failed = told.find((one): one is PromiseRejectedResult => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Another attempt, because a channel failed, does not run the command again. */
  private async once(finding: Finding, notice: Notice): Promise<void> {
    if (this.heard.has(finding, AGAIN_MS)) return;
    this.heard.add(finding);
    try {
      await this.send(notice);
    } catch (error) {
      this.heard.forget(finding);
      throw error;
    }
  }

  private send(notice: Notice): Promise<void> {
    const [file, ...args] = this.command ?? [];
    if (file === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], timeout: COMMAND_MS });
      child.once('error', (error) => reject(new Error(`the notify command could not be started: ${error.message}`)));
      child.once('close', (code, signal) =>
        code === 0 ? resolve() : reject(new Error(`the notify command ended with ${code ?? signal}`)),
      );
      child.stdin.on('error', () => this.log.warn('the notify command did not read its input'));
      child.stdin.end(JSON.stringify(notice));
    });
  }
}
