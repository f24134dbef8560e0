/** A run as a log: one line per thing that happened, never a line drawn over. */
import { lossSentence, weightsText } from '../../../evidence/format.ts';
import type { RunStatus } from '../../../workflows/contract.ts';
import type { Paint } from '../cli.ts';
import { nextCommands } from './commands.ts';
import { clock, factLines } from './facts.ts';
import { byName, oneLine } from './run.ts';

export class ProgressLines {
  private readonly paint: Paint;
  private lastLog: { at: number; text: string } | null = null;
  private stages = '';
  private gate: string | null = null;
  private holding: number | null = null;
  private weights = '';
  private trouble: string | null = null;

  constructor(paint: Paint) {
    this.paint = paint;
  }

  /** Whether lines of the run's log may have passed unseen between the last status and this one. */
  missed(status: RunStatus): boolean {
    const { lastLog } = this;
    return lastLog !== null && status.log.length > 0 && !status.log.some((line) => same(line, lastLog));
  }

  /** What is new since the last call. `log` replaces the status' own, shorter one. */
  next(status: RunStatus | null, trouble: string | null, now: number, log = status?.log ?? []): string[] {
    const lines: string[] = [];
    if (trouble !== this.trouble) {
      if (trouble !== null) lines.push(`${clock(now)} ${this.paint.yellow(trouble)}`);
      else lines.push(`${clock(now)} it answers again`);
      this.trouble = trouble;
    }
    if (status === null) return lines;
    lines.push(...this.logLines(log));
    lines.push(...this.stageLines(status, now));
    lines.push(...this.weightLines(status, now));
    lines.push(...this.gateLines(status, now));
    lines.push(...this.holdingLines(status, now));
    return lines;
  }

  private logLines(log: RunStatus['log']): string[] {
    const { lastLog } = this;
    const known = lastLog === null ? -1 : log.findLastIndex((line) => same(line, lastLog));
    this.lastLog = log.at(-1) ?? lastLog;
    return log.slice(known + 1).map(({ at, text }) => `${clock(at)} ${oneLine(text)}`);
  }

  private stageLines({ stages }: RunStatus, now: number): string[] {
    const done = stages.filter(({ state }) => state === 'done').map(({ name }) => name);
    const running = stages.filter(({ state }) => state === 'running').map(({ name }) => name);
    const text = `${stages.length > 0 ? `${done.length} of ${stages.length} stages done` : ''}${running.length > 0 ? `, now ${running.join(', ')}` : ''}`;
    if (text === this.stages || text === '') return [];
    this.stages = text;
    return [`${clock(now)} ${this.paint.cyan(text)}`];
  }

  private weightLines({ weights }: RunStatus, now: number): string[] {
    const text = byName(weights)
      .map(([router, shares]) => `${router}: ${weightsText(shares)}`)
      .join('; ');
    if (text === this.weights || text === '') return [];
    this.weights = text;
    return [`${clock(now)} traffic ${text}`];
  }

  private gateLines(status: RunStatus, now: number): string[] {
    const id = status.gate?.id ?? null;
    if (id === this.gate) return [];
    this.gate = id;
    if (status.gate === null) return [];
    const { title, reason, facts, loss } = status.gate;
    return [
      `${clock(now)} ${this.paint.yellow(`waits for a decision on ${id}: ${title}`)}${reason === '' ? '' : ` (${reason})`}`,
      ...(loss.kind === 'none' ? [] : [`  ${this.paint.yellow(lossSentence(loss))}`]),
      ...factLines(facts, loss, this.paint, now).map((line) => `  ${line}`),
      ...nextCommands(status).map(({ command }) => `  ${command}`),
    ];
  }

  private holdingLines(status: RunStatus, now: number): string[] {
    const since = status.holding?.since ?? null;
    if (since === this.holding) return [];
    this.holding = since;
    if (status.holding === null) return [];
    return [
      `${clock(now)} ${this.paint.red('holds, waits for people:')} ${oneLine(status.holding.reason)}`,
      ...nextCommands(status).map(({ command }) => `  ${command}`),
    ];
  }
}

const same = (a: { at: number; text: string }, b: { at: number; text: string }): boolean =>
  a.at === b.at && a.text === b.text;
