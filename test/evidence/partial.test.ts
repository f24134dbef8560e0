import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RunRecord } from '../../evidence/record.ts';
import { FORMATS, renderReports } from '../../evidence/render.ts';
import { plannedFailover, plannedLoad, rolledBack, told, unplannedFailover, waiting } from './records.ts';
import { expectWellFormed, parsePage } from './xml.ts';

/** What may be `null`, by the name of the object that holds it; `''` is the record itself. */
const NULLABLE: Record<string, string[]> = {
  '': 'from to endedAt outcome loss dataReadyAt trafficCompleteAt impactStartAt detectedAt targets dwell failback context'.split(
    ' ',
  ),
  plans: ['from', 'resumeAt'],
  steps: ['component', 'region', 'endedAt', 'result', 'error'],
  undos: ['startedAt', 'endedAt'],
  freeze: ['startedAt', 'endedAt'],
  waits: ['endedAt'],
  ramp: ['observed'],
  pointOfNoReturn: ['stepId', 'crossedAt', 'revokedAt'],
  loss: ['fromTime', 'toTime', 'seconds', 'atLeastBytes', 'atMostBytes'],
  maxLoss: ['seconds', 'bytes'],
  decisions: ['messageId'],
  findings: ['component', 'region'],
  debt: ['component', 'region'],
  lag: ['orders-db'],
  assertions: ['met'],
  dwell: ['endedAt'],
  failback: ['endedAt', 'outcome'],
  lagSamples: ['seconds'],
  'orders-db': ['bytes', 'seconds', 'systemId', 'timeline'],
  classified: ['region'],
};
const whole = (): RunRecord => ({ ...plannedFailover(), ...told() });
const FREE_TEXT = new Set(
  'text summary note message remedy by comment reason name service owner tier type why what title'.split(' '),
);
const NUMBERS = [0, -1, 1e18, 1e300, 1_793_502_720_000];

/** A record with some leaves nulled, some texts and times replaced, some lists cut and some fields gone. */
const partial = fc
  .tuple(
    fc.constantFrom(plannedFailover, rolledBack, unplannedFailover, waiting, whole),
    fc.infiniteStream(fc.nat(99)),
    fc.infiniteStream(fc.string({ unit: 'binary' })),
  )
  .map(([make, dice, texts]) => {
    const roll = () => dice.next().value as number;
    const change = (value: unknown, key: string, parent: string): unknown => {
      const n = roll();
      if (n < 15 && NULLABLE[parent]?.includes(key)) return null;
      if (typeof value === 'string') return FREE_TEXT.has(key) && n < 30 ? texts.next().value : value;
      if (typeof value === 'number') return n < 10 ? NUMBERS[roll() % NUMBERS.length] : value;
      if (Array.isArray(value)) return value.filter(() => roll() >= 12).map((v) => change(v, key, parent));
      if (typeof value === 'object' && value !== null)
        return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, change(v, k, key)]));
      return value;
    };
    const changed = change(make(), '', '') as RunRecord;
    return Object.fromEntries(Object.entries(changed).filter(() => roll() >= 8)) as Partial<RunRecord>;
  });

it('renders any partial record in every format, and what is XML stays well-formed', { timeout: 60_000 }, () => {
  const documents: string[] = [];
  fc.assert(
    fc.property(partial, (record) => {
      for (const format of FORMATS) {
        const text = renderReports([{ record, load: plannedLoad }, record], format);
        if (format === 'html') {
          expect(/.{0,80}(?:NaN|undefined|\[object).{0,80}/.exec(text)?.[0]).toBeUndefined();
          documents.push(text.replace('<!doctype html>\n', ''));
        }
        if (format === 'junit') documents.push(text);
        if (format === 'json') JSON.parse(text);
      }
    }),
    { numRuns: 50 },
  );
  expectWellFormed(documents);
});

it('renders an empty record', () => {
  for (const format of FORMATS) expect(renderReports([{}], format)).not.toBe('');
  expect(parsePage(renderReports([{}], 'html')).text).toContain('Run of an unknown service');
  expect(renderReports([], 'html')).toContain('Rampart: 0 runs');
});
