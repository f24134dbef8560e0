/** A watch on the terminal: what is wrong, by how many votes; what cannot be told; which vantage points are away. */
import type { WatchStatus } from '../../../workflows/contract.ts';
import type { Paint } from '../cli.ts';

/** One watch, as far as it can be asked. */
export interface WatchView {
  watch: string;
  service: string | null;
  status: WatchStatus | null;
  /** Why there is no status. */
  trouble: string | null;
}

const WORDS = { failing: 'fails', errorRate: 'fails too often', latency: 'answers too slowly' } as const;

export function watchLines({ watch, status, trouble }: WatchView, paint: Paint): string[] {
  if (status === null) return [`watch ${watch}: ${paint.yellow('not known')}: ${trouble}`];
  const { verdict, verdicts, blind, points, now } = status;
  const colour = verdict === 'wrong' ? paint.red : verdict === 'well' ? paint.green : paint.yellow;
  return [
    `watch ${watch}: ${colour(verdict ?? 'nothing is known yet')}`,
    ...verdicts
      .filter(({ on }) => on === true)
      .map(({ signal, probe, region, since, votes, text }) => {
        const what = signal === 'down' ? 'every probe fails' : `${probe} ${WORDS[signal]}`;
        const where = region === null ? '' : ` in ${region}`;
        const seen = text === '' ? '' : `: ${text}`;
        return `  ${paint.red('wrong')}  ${what}${where}, ${votes} vantage points, since ${iso(since ?? now)}${seen}`;
      }),
    ...blind.map(({ region, since, why }) => `  ${paint.yellow('blind')}  ${region} since ${iso(since)}: ${why}`),
    ...points
      .filter(({ report }) => report === null)
      .map(({ point, since, text }) => `  ${paint.yellow('unknown')}  ${point} since ${iso(since)}: ${text}`),
  ];
}

const iso = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');
