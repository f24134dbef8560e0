/** A guard on the terminal: one line for each of several, or one in full with the command for each finding. */
import type { GuardStatus } from '../../../workflows/contract.ts';
import type { Paint } from '../cli.ts';
import { plural, table } from './table.ts';

/** One service's guard, as far as it can be asked. */
export interface Guarded {
  service: string;
  status: GuardStatus | null;
  /** Why there is no status. */
  trouble: string | null;
  link: string | null;
}

/** What went wrong last, until its watch answers again: it could not look, or not everybody could be told. */
const trouble = ({ text }: GuardStatus): string | null => (text === 'watching' ? null : `last trouble: ${text}`);

export function guardsOverview(guards: readonly Guarded[], paint: Paint): string[] {
  return table(
    guards.map(({ service, status, trouble: why }) => {
      const health = status?.health ?? null;
      if (status === null || health === null) return [service, paint.yellow('not known'), '', why ?? unseen(status)];
      const sides = new Set(Object.values(health.active).map((side) => side?.region ?? '?'));
      const said = health.findings.filter(({ severity }) => severity !== 'info');
      const first = said[0]?.message ?? 'nothing to say';
      const more = said.length > 1 ? ` (and ${plural(said.length - 1, 'more finding')})` : '';
      const text = [`${first}${more}`, trouble(status)].filter((part) => part !== null).join('; ');
      return [service, verdict(health.verdict, paint), [...sides].join(', '), text];
    }),
  );
}

export function guardLines({ service, status, trouble: why, link }: Guarded, paint: Paint): string[] {
  const health = status?.health ?? null;
  if (status === null || health === null) return [`${service}: ${paint.yellow('not known')}: ${why ?? unseen(status)}`];
  const lines = [`${service}: ${verdict(health.verdict, paint)}  ${paint.dim(`as of ${iso(health.at)}`)}`];
  const said = trouble(status);
  if (said !== null) lines.push(`  ${paint.yellow(said)}`);
  for (const [store, side] of Object.entries(health.active))
    lines.push(`  ${store}: ${side === null ? 'no one writable side' : `writable in ${side.region} (${side.node})`}`);
  if (health.run !== null) lines.push(`  at work: ${health.run.type} since ${iso(health.run.startedAt)}`);
  if (status.refence.text !== '') lines.push(`  returned old primary: ${status.refence.text}`);
  const last = health.lastProof;
  lines.push(`  last proof: ${last === null ? 'none known' : `${last.type}, ${iso(last.at)}`}`);
  for (const one of health.findings)
    lines.push(
      `  ${verdict(one.severity, paint)}  ${one.message} (${one.code}, since ${iso(one.since)})`,
      `      ${one.remedy}`,
    );
  if (link !== null) lines.push(paint.dim(`  ${link}`));
  return lines;
}

/** Before its first look. */
const unseen = (status: GuardStatus | null): string =>
  ['it has not looked yet', status === null ? null : trouble(status)].filter((part) => part !== null).join('; ');

const iso = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

function verdict(text: string, paint: Paint): string {
  if (text === 'critical') return paint.red(text);
  return text === 'warning' ? paint.yellow(text) : paint.green(text);
}
