/** What a person decides on, as lines: measured facts with their age, the loss, what speaks against it. */
import type { Finding, Lag } from '../../../drivers/ports.ts';
import { duration, lossSentence, size, weightsText } from '../../../evidence/format.ts';
import type { Facts } from '../../../plan/model.ts';
import type { GateView } from '../../../workflows/contract.ts';
import type { Paint } from '../cli.ts';
import { table } from './table.ts';

/** `0 B, 0 s behind, measured 0.4 s ago`. A reading that is not fresh is none. */
export function lagText(lag: Lag | null | undefined, now: number): string {
  if (lag === null || lag === undefined) return 'no reading';
  const age = `measured ${ago(lag.measuredAt, now)}`;
  if (!lag.fresh) return `no fresh reading (the last was ${age})`;
  const parts = [lag.bytes === null ? null : size(lag.bytes), lag.seconds === null ? null : `${tenths(lag.seconds)} s`];
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? `not known, ${age}` : `${known.join(', ')} behind, ${age}`;
}

/** `4 s ago`; clocks of two machines may differ a little, so a moment ahead is now. */
export const ago = (at: number, now: number): string =>
  now - at < 1_000 ? 'just now' : `${duration(Math.round((now - at) / 1000) * 1000)} ago`;

const tenths = (seconds: number): string => String(Math.round(seconds * 10) / 10);

/** `03:12:05Z` */
export const clock = (at: number): string => `${new Date(at).toISOString().slice(11, 19)}Z`;

/** The facts of a gate, a line each. */
export function factLines(facts: Facts, loss: GateView['loss'], paint: Paint, now: number): string[] {
  const rows: string[][] = [['state', facts.classified.text]];
  for (const what of facts.classified.missing) rows.push(['missing', what]);
  for (const [store, lag] of Object.entries(facts.lag)) rows.push(['lag', `${store}: ${lagText(lag, now)}`]);
  rows.push(['loss', loss.kind === 'none' ? lossSentence(loss) : paint.yellow(lossSentence(loss))]);
  if (loss.note !== '') rows.push(['', loss.note]);
  for (const [store, text] of Object.entries(facts.fence)) rows.push(['fence', `${store}: ${text}`]);
  if (loss.kind !== 'none') {
    for (const [store, nodes] of Object.entries(facts.positions)) {
      for (const node of nodes) {
        const applied = node.applied?.text ?? 'not known';
        rows.push(['position', `${store}: ${node.node} in ${node.region}, ${node.state}, applied ${applied}`]);
      }
    }
  }
  for (const [router, weights] of Object.entries(facts.weights)) {
    rows.push(['traffic', `${router}: ${weights === null ? 'not readable' : weightsText(weights)}`]);
  }
  for (const text of facts.asks ?? []) rows.push([paint.yellow('asks'), text]);
  for (const one of facts.blockers) rows.push([paint.red('blocker'), findingText(one)]);
  for (const one of facts.warnings) {
    rows.push(one.severity === 'info' ? ['note', findingText(one)] : [paint.yellow('warning'), findingText(one)]);
  }
  return table(rows);
}

/** A finding with its code, what to do, and the override that accepts it. */
export function findingText({ code, severity, message, remedy, override }: Finding): string {
  // A warning is accepted already, or needs no word.
  const accept = override === undefined || severity !== 'blocker' ? '' : ` Accept it with --override ${override}.`;
  const sentence = remedy === '' || /[.!?]$/.test(message) ? message : `${message}.`;
  return `${sentence}${remedy === '' ? '' : ` ${remedy}`}${accept} [${code}]`;
}
