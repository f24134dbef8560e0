/** Whatever a message holds: parsers answer, and every alert they give is whole. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileMapping } from '../../clients/webhooks/generic.ts';
import { digestOf, type Parser, timeOf } from '../../clients/webhooks/message.ts';
import { parseAlertmanager } from '../../clients/webhooks/parsers/alertmanager.ts';
import { parseCloudEvents } from '../../clients/webhooks/parsers/cloud-events.ts';
import { parseGrafana } from '../../clients/webhooks/parsers/grafana.ts';
import { parsePagerDuty } from '../../clients/webhooks/parsers/pagerduty.ts';
import { parseSns } from '../../clients/webhooks/parsers/sns.ts';
import { parseStandardWebhooks } from '../../clients/webhooks/parsers/standard-webhooks.ts';
import type { Alert } from '../../topology/alerts.ts';
import { FIRING, TRUNCATED } from './fixtures.ts';

const CLOUDWATCH = {
  ...{ Type: 'Notification', MessageId: 'm', TopicArn: 't', Timestamp: 'now' },
  Message:
    '{"AlarmName":"a","NewStateValue":"ALARM","AlarmArn":"arn:a:b:c:d:e","Trigger":{"Dimensions":[{"name":"n","value":"v"}]}}',
};
const PAGERDUTY = {
  event: { id: 'e', event_type: 'incident.triggered', data: { id: 'i', status: 'triggered', service: { id: 's' } } },
};
const CLOUDEVENT = {
  specversion: '1.0',
  id: '1',
  source: 's',
  type: 'a.down',
  subject: 'x',
  data: { labels: { a: 'b' } },
};
const MAPPED = {
  status: 'body.state == "DOWN" ? "firing" : "resolved"',
  key: 'body.id',
  delivery: 'body.?n',
  startsAt: 'body.?at',
  labels: { a: 'item.?a' },
};

const mapped = compileMapping({ ...MAPPED, each: 'body.items' });
const PARSERS: Array<[string, Parser, unknown]> = [
  ['alertmanager', parseAlertmanager, JSON.parse(FIRING)],
  ['alertmanager, truncated', parseAlertmanager, JSON.parse(TRUNCATED)],
  ['grafana', parseGrafana, { ...JSON.parse(FIRING), orgId: 1 }],
  ['pagerduty', parsePagerDuty, PAGERDUTY],
  ['sns', parseSns, CLOUDWATCH],
  [
    'standardWebhooks',
    parseStandardWebhooks,
    { type: 'a.down', timestamp: '2026-01-01T00:00:00Z', data: { id: 1, labels: {} } },
  ],
  ['cloudEvents', parseCloudEvents, CLOUDEVENT],
  ['cloudEvents, batched', parseCloudEvents, [CLOUDEVENT, CLOUDEVENT]],
  [
    'generic',
    (message) => mapped(message, () => []),
    { state: 'DOWN', id: 5, n: 'x', at: 1_700_000_000, items: [{ a: 1 }] },
  ],
];

/** Raised by hand: `RAMPART_PROPERTY_RUNS=5000 npx vitest run test/webhooks/properties.test.ts`. */
const RUNS = Number(process.env.RAMPART_PROPERTY_RUNS ?? 300);

/** Any JSON, as `JSON.parse` makes it: with names that mean something to JavaScript. */
const name = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'alerts',
    'labels',
    'status',
    'event',
    'data',
    'id',
    'hasOwnProperty',
  ),
  fc.string(),
);
const json: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false, '', 0, -1, 1e308, '0001-01-01T00:00:00Z', 'firing', 'x'.repeat(5_000)),
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie('value')), { maxLength: 5 }).map(objectOf),
  ),
})).value;

function objectOf(entries: Array<[string, unknown]>): unknown {
  return JSON.parse(
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value) ?? 'null'}`).join(',')}}`,
  );
}

/** Every place in a JSON value. */
function places(value: unknown, path: Array<string | number> = []): Array<Array<string | number>> {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

/** A copy with something else at one place; `undefined` leaves the place out. */
function changed(value: unknown, [first, ...rest]: Array<string | number>, to: unknown): unknown {
  if (first === undefined) return to;
  const copy = structuredClone(value) as Record<string | number, unknown>;
  const inner = changed(copy[first], rest, to);
  if (inner === undefined) delete copy[first];
  else copy[first] = inner;
  return copy;
}

const parsed = (parse: Parser, body: unknown) =>
  parse({
    source: { name: 's', type: 'sns', auth: { kind: 'none' }, insufficientData: 'firing' },
    ...{ body, header: () => null, receivedAt: 1 },
  });

function expectWhole(alert: Alert): void {
  expect(alert.source).toBe('s');
  expect(alert.key.length).toBeGreaterThan(0);
  expect(alert.key.length).toBeLessThanOrEqual(256);
  expect(alert.delivery === null || (alert.delivery.length > 0 && alert.delivery.length <= 256)).toBe(true);
  expect(['firing', 'resolved', 'unknown']).toContain(alert.status);
  expect(alert.startsAt === null || (Number.isInteger(alert.startsAt) && alert.startsAt > 0)).toBe(true);
  expect(alert.url === null || /^https?:/i.test(alert.url)).toBe(true);
  for (const texts of [alert.labels, alert.annotations]) {
    expect(Object.getPrototypeOf(texts)).toBe(Object.prototype);
    expect(Object.hasOwn(texts, '__proto__')).toBe(false);
    for (const text of Object.values(texts)) expect(typeof text === 'string' && text.length <= 2_048).toBe(true);
  }
  // What goes into a history comes out the same.
  expect(JSON.parse(JSON.stringify(alert))).toEqual(alert);
}

describe.each(PARSERS)('%s', (_name, parse, good) => {
  it('reads what it should', () => {
    const { alerts, problem } = parsed(parse, good);
    expect(problem).toBeNull();
    expect(alerts.length).toBeGreaterThan(0);
    alerts.forEach(expectWhole);
  });

  it('never throws, and gives no half of an alert, for any JSON', () => {
    fc.assert(
      fc.property(json, (body) => {
        const { alerts, problem } = parsed(parse, body);
        alerts.forEach(expectWhole);
        expect(problem === null || problem.length > 0).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });

  it('nor for what is right but for one place', () => {
    const where = fc.constantFrom(...places(good));
    fc.assert(
      fc.property(where, fc.oneof(json, fc.constant(undefined)), (path, to) => {
        parsed(parse, changed(good, path, to)).alerts.forEach(expectWhole);
      }),
      { numRuns: RUNS },
    );
  });
});

it('a number that is no number and cannot be made one hides nothing', () => {
  const body = { ...JSON.parse(TRUNCATED), truncatedAlerts: { toString: null } };
  expect(parsed(parseAlertmanager, body).alerts).toHaveLength(1);
});

it('no message changes what all objects have', () => {
  const polluted = '{"__proto__":{"polluted":"x"},"constructor":{"prototype":{"polluted":"x"}}}';
  const body = `{"alerts":[{"status":"firing","labels":${polluted},"annotations":${polluted},"__proto__":{"fingerprint":"x"}}],"commonLabels":${polluted},"truncatedAlerts":1}`;
  const { alerts } = parsed(parseAlertmanager, JSON.parse(body));
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(alerts.map(({ labels }) => labels)).toEqual([{}, {}]);
  expect(alerts[0]!.key).toBe(digestOf());
});

it('a label that is called as what objects inherit from is none', () => {
  const { alerts } = parsed(parseAlertmanager, JSON.parse('{"alerts":[{"labels":{"__proto__":"x","a":"1","":"2"}}]}'));
  expectWhole(alerts[0]!);
  expect(Object.keys(alerts[0]!.labels)).toEqual(['a']);
});

it.each<[unknown, number | null]>([
  ['2026-11-21T01:40:57.221023025Z', 1_795_225_257_221],
  ['2026-11-21T01:40:57.221+0000', 1_795_225_257_221],
  ['2026-11-21T02:40:57+01:00', 1_795_225_257_000],
  ['2026-11-21 01:40:57Z', 1_795_225_257_000],
  [1_795_225_257, 1_795_225_257_000],
  [1_795_225_257_221, 1_795_225_257_221],
  [1_795_225_257.5, 1_795_225_257_500],
  ['1795225257', 1_795_225_257_000],
  [1_795_225_257n, 1_795_225_257_000],
  [new Date(1_795_225_257_221), 1_795_225_257_221],
  ['0001-01-01T00:00:00Z', null],
  ['2026-13-41T01:40:57Z', null],
  ['2026-11-21', null],
  ['yesterday', null],
  ['', null],
  [0, null],
  [5e-324, null],
  [-5, null],
  [Number.NaN, null],
  [1e300, null],
  [new Date(Number.NaN), null],
  [{}, null],
])('%s is the time %s', (given, ms) => {
  expect(timeOf(given)).toBe(ms);
});
