/** How times, durations, sizes and losses are written in every report. Pure and total: odd numbers give `unknown`. */
import type { LossStatement, Millis, Weights } from '../drivers/ports.ts';

/** Greatest distance from the epoch that a date can have, in milliseconds. */
const DATE_LIMIT = 8.64e15;

export const UNKNOWN = 'unknown';
/** Where a reviewer asks and nobody wrote it down. */
export const NOT_RECORDED = 'not recorded';

function isDate(at: Millis | null | undefined): at is Millis {
  return typeof at === 'number' && Number.isFinite(at) && Math.abs(at) <= DATE_LIMIT;
}

/** `2026-11-01 03:12:05.123 UTC`. */
export function dateTime(at: Millis | null | undefined): string {
  if (!isDate(at)) return UNKNOWN;
  const [day, time] = new Date(at).toISOString().split('T');
  return `${day} ${time!.replace('Z', '')} UTC`;
}

/** `03:12:05.123`, for tables whose heading names the day. */
export function timeOfDay(at: Millis | null | undefined): string {
  return isDate(at) ? new Date(at).toISOString().split('T')[1]!.replace('Z', '') : UNKNOWN;
}

/** Three significant figures below a minute, whole units above: `231 ms`, `21.3 s`, `2 min 5 s`, `1 h 12 min`. */
export function duration(ms: number | null | undefined): string {
  if (typeof ms !== 'number' || !Number.isFinite(ms)) return UNKNOWN;
  const sign = ms < 0 ? '−' : '';
  const abs = Math.abs(ms);
  if (abs < 999.5) return `${sign}${Math.round(abs)} ms`;
  if (abs < 59_950) return `${sign}${Number((abs / 1000).toPrecision(3))} s`;
  const seconds = Math.round(abs / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([n]) => n > 0);
  const shown = parts.slice(first, first + 2).filter(([n]) => n > 0);
  return `${sign}${shown.map(([n, unit]) => `${n} ${unit}`).join(' ')}`;
}

/** `512 B`, `17.8 KiB`, `1.25 GiB`. */
export function size(bytes: number | null | undefined): string {
  if (typeof bytes !== 'number' || !Number.isFinite(bytes)) return UNKNOWN;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}

/** `12,345`. */
export function count(n: number | null | undefined): string {
  if (typeof n !== 'number' || !Number.isFinite(n)) return UNKNOWN;
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `1 step`, `4 steps`. */
export function plural(n: number, noun: string, after = ''): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}${after}`;
}

export function percent(n: number | null | undefined): string {
  return typeof n === 'number' && Number.isFinite(n) ? `${Math.round(n * 10) / 10} %` : UNKNOWN;
}

/** `eu-west 75 %, eu-central 25 %`. */
export function weightsText(weights: Weights | null | undefined): string {
  const entries = Object.entries(weights ?? {});
  return entries.length === 0 ? UNKNOWN : entries.map(([region, share]) => `${region} ${percent(share)}`).join(', ');
}

/** An ISO time of a loss statement, as {@link dateTime} writes it. */
export function isoTime(text: string | null | undefined): string {
  if (text === null || text === undefined) return UNKNOWN;
  const at = Date.parse(text);
  return Number.isNaN(at) ? text : dateTime(at);
}

/** A loss statement in one sentence. */
export function lossSentence(loss: LossStatement | null | undefined): string {
  if (loss === null || loss === undefined) return 'Not stated.';
  switch (loss.kind) {
    case 'none':
      return 'No acknowledged write is missing.';
    case 'unknown':
      return `Unknown: the window ${windowText(loss)} could not be measured.`;
    default:
      return `Acknowledged writes may be missing from ${windowText(loss)}${amountText(loss)}.`;
  }
}

function windowText(loss: LossStatement): string {
  const from = loss.fromTime === null ? 'an unknown time' : isoTime(loss.fromTime);
  const to = loss.toTime === null ? 'an end that is still open' : isoTime(loss.toTime);
  return `${from} to ${to}${typeof loss.seconds === 'number' ? ` (${duration(loss.seconds * 1000)})` : ''}`;
}

function amountText(loss: LossStatement): string {
  const least = typeof loss.atLeastBytes === 'number' ? `at least ${size(loss.atLeastBytes)}` : '';
  const most = typeof loss.atMostBytes === 'number' ? `at most ${size(loss.atMostBytes)}` : '';
  const both = [least, most].filter((t) => t !== '').join(', ');
  return both === '' ? '' : `, ${both} of changes`;
}

/** Words for the closed set of outcomes. */
const OUTCOMES: Record<string, string> = {
  completed: 'completed',
  nothingToDo: 'nothing to do',
  rolledBack: 'rolled back',
  refused: 'refused',
  needsHuman: 'needs a person',
  withdrawn: 'withdrawn',
  cancelled: 'cancelled',
};

export function outcomeText(outcome: string | null | undefined): string {
  return outcome === null || outcome === undefined ? 'running' : (OUTCOMES[outcome] ?? outcome);
}

/** `eu-west → eu-central`. */
export function direction(from: string | null | undefined, to: string | null | undefined): string {
  if (!from && !to) return UNKNOWN;
  return `${from || '?'} → ${to || '?'}`;
}

const ACTIONS: Record<string, string> = { trafficRamp: 'traffic ramp' };

export function actionText(action: string): string {
  return ACTIONS[action] ?? action;
}

export function capital(text: string): string {
  return text === '' ? '' : text[0]!.toUpperCase() + text.slice(1);
}
