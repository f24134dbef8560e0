import { expect, test } from 'vitest';
import type { Paint } from '../../clients/cli/cli.ts';
import { watchLines } from '../../clients/cli/render/watch.ts';
import type { WatchStatus } from '../../workflows/contract.ts';

const paint = new Proxy({}, { get: () => (text: string) => text }) as unknown as Paint;
const at = Date.UTC(2026, 0, 1, 3);
const STATUS: WatchStatus = {
  ...{ workflowId: 'watch/shop', watch: 'shop', service: 'shop', now: at, verdict: 'well', points: [], verdicts: [] },
  ...{ blind: [], text: 'watching', log: [] },
};
const lines = (over: Partial<WatchStatus>) =>
  watchLines({ watch: 'shop', service: 'shop', status: { ...STATUS, ...over }, trouble: null }, paint);

test('a watch on the terminal', () => {
  expect(lines({})).toEqual(['watch shop: well']);
  expect(lines({ verdict: null })).toEqual(['watch shop: nothing is known yet']);
  const verdict = {
    signal: 'failing',
    probe: 'app',
    region: 'a',
    on: true,
    since: at,
    until: null,
    at,
    votes: '2/2',
  } as const;
  const off = { ...verdict, probe: 'db', on: false, text: '' };
  const down = { ...verdict, signal: 'down', probe: null, text: '' } as const;
  const rate = { ...verdict, signal: 'errorRate', region: null, text: '' } as const;
  expect(
    lines({
      verdict: 'wrong',
      verdicts: [down, { ...verdict, text: 'status 503' }, off, rate],
      blind: [{ region: 'b', since: at, why: '1 of the 2 votes that are needed about b: control does not answer' }],
      points: [
        { point: 'control', report: null, since: at, text: 'its worker has gone silent' },
        { point: 'a', report: { at, targets: [] }, since: at, text: '' },
      ],
    }),
  ).toEqual([
    'watch shop: wrong',
    '  wrong  every probe fails in a, 2/2 vantage points, since 2026-01-01 03:00:00',
    '  wrong  app fails in a, 2/2 vantage points, since 2026-01-01 03:00:00: status 503',
    '  wrong  app fails too often, 2/2 vantage points, since 2026-01-01 03:00:00',
    '  blind  b since 2026-01-01 03:00:00: 1 of the 2 votes that are needed about b: control does not answer',
    '  unknown  control since 2026-01-01 03:00:00: its worker has gone silent',
  ]);
  expect(watchLines({ watch: 'shop', service: null, status: null, trouble: 'it does not run' }, paint)).toEqual([
    'watch shop: not known: it does not run',
  ]);
});
