/** Everything a watch knows, and what it hands to its next run. */
import { ApplicationFailure } from '@temporalio/common';
import { log, workflowInfo } from '@temporalio/workflow';
import type { Watched, WatchPointAnswer } from '../../activities/contract.ts';
import type { Millis } from '../../drivers/ports.ts';
import type { PointMemory, PointReport, Reports, Subject, Verdict } from '../../plan/watch/model.ts';
import { alertOf, decide, type Verdicts } from '../../plan/watch/verdict.ts';
import { blindAbout, subjectKey, subjectsOf, targetsOf } from '../../plan/watch/vote.ts';
import type { Alert } from '../../topology/alerts.ts';
import type { VantagePoint, Watch } from '../../topology/watches.ts';
import type { WatchStatus } from '../contract.ts';

const MOST_LINES = 50;
/**
 * What goes on is said again so often, in milliseconds: a trigger with a quorum counts words that come within a time (5
 * minutes by default) of each other, and one that has been started anew knows of nothing.
 */
const REPEAT_MS = 120_000;
/** People are told of a watch that can tell nothing when it has lasted so long, in milliseconds. */
export const BLIND_MS = 300_000;

/** What is known of one vantage point. */
interface Point {
  report: PointReport | null;
  memory: PointMemory;
  since: Millis;
  text: string;
}

interface Blind {
  since: Millis;
  why: string;
  told: boolean;
}

/** What people hear of a region that cannot be watched. */
export interface Blindness {
  region: string;
  state: 'opened' | 'cleared';
  text: string;
}

export interface WatchInput {
  watch: string;
  /** From the run before, after a continue-as-new. */
  carried?: Pick<WatchState, 'verdicts' | 'points' | 'blind' | 'outbox' | 'repeatAt' | 'log'> & { last: Watch | null };
}

export class WatchState {
  readonly name: string;
  verdicts: Verdicts = {};
  points: Record<VantagePoint, Point> = {};
  blind: Record<string, Blind> = {};
  /** Alerts that triggers have not been told yet, the newest word of each. */
  outbox: Alert[] = [];
  /** When what goes on is said again; `null` = nothing does. */
  repeatAt: Millis | null = null;
  log: WatchStatus['log'] = [];
  text = 'starting';
  /** The watch as it was when it was last there. */
  watched: Watched | null = null;
  last: Watch | null = null;
  #subjects: Subject[] = [];
  /** Something came in that has not been judged. */
  dirty = true;
  /** The topology may say something else. */
  edited = false;
  /** Search attributes as last upserted. */
  shown: Record<string, string> = {};

  /** @throws ApplicationFailure InvalidInput when the input names no watch */
  constructor(input: WatchInput) {
    const name = (input as WatchInput | undefined)?.watch;
    if (typeof name !== 'string' || name === '')
      throw ApplicationFailure.nonRetryable('the input must be {"watch":"<name>"}', 'InvalidInput');
    this.name = name;
    Object.assign(this, input.carried);
  }

  /** Goes on with the topology as it is now. What is not asked any more is over. */
  resolve(watched: Watched): void {
    const { watch } = watched;
    this.watched = watched;
    this.last = watch;
    this.#subjects = subjectsOf(targetsOf(watch, watched.components));
    const kept = new Set(this.#subjects.map(subjectKey));
    this.letGo(watch, (key) => !kept.has(key));
    const now = Date.now();
    const fresh = (): Point => ({ report: null, memory: {}, since: now, text: 'has not answered yet' });
    this.points = Object.fromEntries(watch.from.map((point) => [point, this.points[point] ?? fresh()]));
    this.blind = Object.fromEntries(Object.entries(this.blind).filter(([region]) => watch.regions.includes(region)));
    this.dirty = true;
  }

  /** Ends verdicts that nobody decides any more: a trigger would believe them for ever. */
  letGo(watch: Watch, which: (key: string) => boolean): void {
    const now = Date.now();
    for (const [key, verdict] of Object.entries(this.verdicts)) {
      if (!which(key)) continue;
      delete this.verdicts[key];
      if (verdict.on === true) this.#put(alertOf(watch, { ...verdict, on: false, until: now, text: '' }, now));
    }
  }

  hear(point: VantagePoint, { report, memory }: WatchPointAnswer): void {
    const known = this.points[point];
    const back = known?.report == null;
    this.points[point] = { report, memory, since: back ? Date.now() : known.since, text: '' };
    if (back) this.note(`${point} answers`);
    this.dirty = true;
  }

  /** Its worker does not answer: unknown, whatever it said before. */
  lose(point: VantagePoint, text: string, memory?: PointMemory): void {
    const known = this.points[point];
    if (known === undefined) return;
    if (known.report !== null) this.note(`${point} does not answer: ${text}`);
    const since = known.report === null ? known.since : Date.now();
    this.points[point] = { report: null, memory: memory ?? known.memory, since, text };
    this.dirty = true;
  }

  /** Judges anew. Changes are put into the outbox; what goes on is, when its time has come. */
  judge(): void {
    const { watch } = this.watched!;
    const now = Date.now();
    this.dirty = false;
    const reports: Reports = Object.fromEntries(
      Object.entries(this.points).map(([point, { report }]) => [point, report]),
    );
    const { verdicts, changed } = decide(watch, this.#subjects, reports, this.verdicts, now);
    this.verdicts = verdicts;
    for (const verdict of changed) {
      const alert = alertOf(watch, verdict, now);
      this.#put(alert);
      if (verdict.on === true || verdict.since !== null) this.note(alert.annotations.summary!);
    }
    const on = Object.values(verdicts).filter((verdict) => verdict.on === true);
    if (on.length === 0) this.repeatAt = null;
    else if (this.repeatAt === null || changed.some((verdict) => verdict.on)) this.repeatAt = now + REPEAT_MS;
    else if (now >= this.repeatAt) {
      this.repeatAt = now + REPEAT_MS;
      for (const verdict of on) this.#put(alertOf(watch, verdict, now));
    }
    this.#lookForBlindness(watch, reports, now);
  }

  #lookForBlindness(watch: Watch, reports: Reports, now: Millis): void {
    const regions = new Set(this.#subjects.flatMap(({ signal, region }) => (signal === 'down' ? region! : [])));
    for (const region of regions) {
      const why = blindAbout(watch, reports, region);
      const known = this.blind[region];
      if (why !== null) this.blind[region] = { since: known?.since ?? now, told: known?.told ?? false, why };
      // Kept until people know that it is over.
      else if (known?.told === false) delete this.blind[region];
      else if (known !== undefined) this.blind[region] = { ...known, why: '' };
    }
  }

  /** What people must hear of now: a blindness that has lasted, or one that they were told of and that is over. */
  toTell(): Blindness[] {
    const now = Date.now();
    return Object.entries(this.blind).flatMap(([region, { since, told, why }]): Blindness[] => {
      if (why === '') return [{ region, state: 'cleared', text: `${region} can be watched again` }];
      if (told || now - since < BLIND_MS) return [];
      return [{ region, state: 'opened', text: `nothing can be told of ${region}: ${why}` }];
    });
  }

  told(region: string, state: 'opened' | 'cleared'): void {
    if (state === 'cleared') delete this.blind[region];
    else if (this.blind[region] !== undefined) this.blind[region]!.told = true;
  }

  /** When there is something to do although nothing comes in, milliseconds since the epoch; `null` = never. */
  nextAt(): Millis | null {
    const blind = Object.values(this.blind).filter(({ told, why }) => !told && why !== '');
    const times = [this.repeatAt, ...blind.map(({ since }) => since + BLIND_MS)].filter((at) => at !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** The newest word of an alert takes the place of an older one that nobody has heard. */
  #put(alert: Alert): void {
    this.outbox = [...this.outbox.filter(({ key }) => key !== alert.key), alert];
  }

  note(text: string): void {
    if (this.log.at(-1)?.text === text) return;
    this.log = [...this.log, { at: Date.now(), text }].slice(-MOST_LINES);
    log.info(text);
  }

  carry(): WatchInput {
    const { verdicts, points, blind, outbox, repeatAt, last, log: lines } = this;
    return { watch: this.name, carried: { verdicts, points, blind, outbox, repeatAt, last, log: lines } };
  }

  status(): WatchStatus {
    const verdicts = Object.values(this.verdicts);
    const blind = Object.entries(this.blind).filter(([, { why }]) => why !== '');
    return {
      workflowId: workflowInfo().workflowId,
      watch: this.name,
      service: this.last?.service ?? null,
      now: Date.now(),
      verdict: verdictOf(verdicts, blind.length > 0),
      points: Object.entries(this.points).map(([point, { report, since, text }]) => ({ point, report, since, text })),
      verdicts,
      blind: blind.map(([region, { since, why }]) => ({ region, since, why })),
      text: this.text,
      log: this.log,
    };
  }
}

function verdictOf(verdicts: readonly Verdict[], blind: boolean): WatchStatus['verdict'] {
  if (verdicts.some(({ on }) => on === true)) return 'wrong';
  if (blind) return 'blind';
  return verdicts.length === 0 ? null : 'well';
}
