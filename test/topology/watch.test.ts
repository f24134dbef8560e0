/** Watches: normal form, and what is wrong with them said where it stands. */
import { describe, expect, test } from 'vitest';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';

const parse = (text: string) => parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });
const watch = (fields: string): string => `${BASE}watch:\n  w: {${fields}}\n`;

describe('normal form', () => {
  test('a service is enough', () => {
    expect(parse(watch('service: checkout')).topology!.watches.w).toEqual({
      ...{ name: 'w', service: 'checkout', regions: ['eu-west', 'eu-central'], probes: ['ready'] },
      from: ['control', 'eu-west', 'eu-central'],
      ...{ intervalMs: 2_000, windowMs: 60_000, failures: 3, errorRate: 5, latencyMs: 500, votes: 2 },
    });
  });

  test('regions without a service, from elsewhere, with other thresholds', () => {
    const fields =
      'regions: [eu-west, eu-central], probes: [ready], from: [control, us-east, eu-west], interval: 30s, window: 5m, failures: 2, errorRate: 50, latency: 2s, votes: 1';
    const { topology, problems } = parse(watch(fields));
    expect(topology!.watches.w).toEqual({
      ...{ name: 'w', regions: ['eu-west', 'eu-central'], probes: ['ready'], from: ['control', 'us-east', 'eu-west'] },
      ...{ intervalMs: 30_000, windowMs: 300_000, failures: 2, errorRate: 50, latencyMs: 2_000, votes: 1 },
    });
    expect(problems.map(({ code }) => code)).toEqual(['one_vote']);
  });

  test('no plan depends on it: it does not change the digest', () => {
    expect(parse(watch('service: checkout')).topology!.digest).toBe(parse(BASE).topology!.digest);
    expect(parse(BASE).topology!.watches).toEqual({});
  });

  test("triggers hear of it by Rampart's own name", () => {
    const trigger = 'triggers:\n  t: {service: checkout, to: eu-central, when: [{source: watch}, {source: guard}]}\n';
    const text = `${watch('service: checkout')}${trigger}`;
    expect(parse(text).topology!.triggers.t!.when.map(({ source }) => source)).toEqual(['watch', 'guard']);
  });
});

describe('a trigger that waits for what never comes', () => {
  const trigger = (labels: string) =>
    `triggers:\n  t: {service: checkout, to: eu-central, when: [{source: watch${labels}}]}\n`;
  const said = (text: string) => parse(text).problems.map(({ field, code }) => `${field} ${code}`);

  test('is an error', () => {
    expect(said(`${BASE}${trigger('')}`)).toEqual(['triggers.t.when.0.source unknown_source']);
    const of = (labels: string) => said(`${watch('service: checkout')}${trigger(labels)}`);
    expect(of(', labels: {watch: ww}')).toEqual(['triggers.t.when.0.labels.watch unknown_watch']);
    expect(of(', labels: {watch: w}')).toEqual([]);
    expect(of(', labels: {watch: /w.*/}')).toEqual([]);
  });
});

describe('each mistake is named at its place', () => {
  test.each<[name: string, fields: string, line: string]>([
    [
      'regions without a word of what to ask',
      'regions: [eu-west]',
      '37:3: error: watch.w.probes: is required where no service is named [required]',
    ],
    [
      'a service that is not there',
      'service: chekout',
      '37:16: error: watch.w.service: there is no service "chekout"; did you mean "checkout"? [unknown_service]',
    ],
    [
      'a region that is not there',
      'service: checkout, regions: [eu-west, eu-south], from: [control, us-east]',
      '37:45: error: watch.w.regions.1: there is no region "eu-south"; known: eu-west, eu-central, us-east [unknown_region]',
    ],
    [
      'a vantage point that is not there',
      'service: checkout, from: [control, eu-west, eu-central, moon]',
      '37:63: error: watch.w.from.3: there is no vantage point "moon"; known: control, eu-west, eu-central, us-east [unknown_region]',
    ],
    [
      'a check that is not there',
      'service: checkout, probes: [redy]',
      '37:35: error: watch.w.probes.0: there is no check "redy"; did you mean "ready"? [unknown_component]',
    ],
    [
      'a store is no question',
      'service: checkout, probes: [orders-db]',
      '37:35: error: watch.w.probes.0: orders-db is a store: only checks can be asked [wrong_role]',
    ],
    [
      'a place named twice',
      'service: checkout, from: [control, control]',
      '37:42: error: watch.w.from.1: "control" stands twice in this list [duplicate]',
    ],
    [
      'votes that cannot come',
      'service: checkout, votes: 3',
      '37:33: error: watch.w.votes: 3 must agree that eu-west is down, and only 2 are outside it [votes_unreachable]',
    ],
    [
      'nobody outside',
      'service: checkout, from: [eu-west]',
      '37:26: error: watch.w.from: 1 must agree that eu-west is down, and no vantage point is outside it [votes_unreachable]',
    ],
    [
      'a word of one alone',
      'service: checkout, from: [control]',
      '37:3: warning: watch.w: one vantage point alone may say that a region is down; with two, what one of them cannot see is told apart [one_vote]',
    ],
    [
      'a window that holds nothing',
      'service: checkout, interval: 45s',
      '37:36: error: watch.w.interval: the window holds 1 askings: make it longer, or the interval shorter [window_too_short]',
    ],
    [
      'a rate nobody can tell',
      'service: checkout, errorRate: 1, window: 2m, interval: 10s',
      '37:48: warning: watch.w.window: the window holds 12 askings: two failures are 17 %, so an error rate of 1 % cannot be told [coarse_window]',
    ],
    [
      'a slip',
      'service: checkout, intervall: 5s',
      '37:26: error: watch.w.intervall: unknown key "intervall"; did you mean "interval"? [unknown_key]',
    ],
  ])('%s', (_, fields, line) => {
    expect(formatProblems(parse(watch(fields)).problems).split('\n')).toEqual([`rampart.yaml:${line}`]);
  });

  test('one region, of which nobody could tell whether it is down or cannot be seen; and one where nothing is asked', () => {
    const sided = BASE.replace('type: fakecheck', 'type: fakecheck\n    sides: {eu-west: {}, eu-central: {}}');
    const codes = (fields: string) =>
      parse(`${sided}watch:\n  w: {${fields}}\n`).problems.map(({ field, code }) => `${field} ${code}`);
    expect(codes('regions: [eu-west], probes: [ready], from: [control, us-east]')).toEqual([
      'watch.w.regions one_region',
    ]);
    expect(codes('regions: [eu-west, eu-central, us-east], probes: [ready]')).toEqual(['watch.w.probes nothing_asked']);
    expect(codes('service: checkout')).toEqual([]);
  });

  test('a check that only one place can ask', () => {
    const local = BASE.replace('type: fakecheck', 'type: fakecheck\n    place: {region: eu-west}');
    expect(formatProblems(parse(`${local}watch:\n  w: {service: checkout, probes: [ready]}\n`).problems)).toContain(
      'watch.w.probes.0: ready is asked by the workers of rampart.eu-west alone: no other vantage point can [local_probe]',
    );
    expect(formatProblems(parse(`${local}watch:\n  w: {service: checkout}\n`).problems)).toContain(
      'watch.w: nothing is asked: checkout has no check that every worker can ask; name checks under probes [no_probes]',
    );
  });

  test('a name that Rampart has for itself', () => {
    for (const name of ['watch', 'guard'])
      expect(
        parse(`${BASE}alertSources:\n  ${name}: {type: grafana, auth: none}\n`).problems.map(({ code }) => code),
      ).toEqual(['reserved_name']);
  });
});
