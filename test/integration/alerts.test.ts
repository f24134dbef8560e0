/**
 * A real Prometheus finds the harm, a real Alertmanager tells `rampart serve`, Rampart's own probes see it from two
 * places; both together make a trigger propose, and a person decides.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { ALERT, type Alerting, startAlerting, TRIGGER } from '../../lab/alerting.ts';
import { METRICS } from '../../metrics/names.ts';
import type { RunStatus, TriggerStatus, WatchStatus } from '../../workflows/contract.ts';
import { openTestWorld, type TestWorld, until } from './world.ts';

let world: TestWorld;
let alerting: Alerting;
beforeAll(async () => {
  world = await openTestWorld('alerts', { load: 40 });
  alerting = await startAlerting({
    ...{ dir: world.lab.dir, world: world.report, service: 'checkout', to: 'eu-central' },
    log: () => {},
  });
  await watchDatabases(world);
}, 400_000);
afterAll(() => world?.close(), 60_000);

/** The trigger wants two voices. A control worker would start the watch within half a minute. */
async function watchDatabases({ report, client }: TestWorld): Promise<void> {
  const file = parseDocument(readFileSync(report.config, 'utf8'));
  const { components } = file.toJS() as { components: Record<string, Record<string, unknown>> };
  const { user, password, database, sides } = components['orders-db']!;
  const where = Object.entries(sides as Record<string, { host: string; port: number }>).map(
    ([region, { host, port }]) => [region, { host, port }] as const,
  );
  const probe = { type: 'sql', query: 'SELECT 1', expect: { equals: 1 }, user, password, database, timeout: '2s' };
  file.setIn(['components', 'database-answers'], file.createNode({ ...probe, sides: Object.fromEntries(where) }));
  const limits = { interval: '500ms', window: '5s', failures: 3, errorRate: 50 };
  const watch = { service: 'checkout', probes: ['database-answers'], ...limits };
  file.setIn(['watch', 'databases'], file.createNode(watch));
  file.addIn(['triggers', TRIGGER, 'when'], file.createNode({ source: 'watch', labels: { alertname: 'RegionDown', region: 'eu-west' } })); // biome-ignore format: one line
  file.setIn(['triggers', TRIGGER, 'quorum'], file.createNode({ atLeast: 2, within: '5m' }));
  writeFileSync(report.config, String(file));
  const start = { workflowId: 'watch/databases', taskQueue: 'rampart', args: [{ watch: 'databases' }] };
  const handle = await client.workflow.start('watch', start);
  await until('all vantage points see that all is well', async () => {
    const { verdict, points } = await handle.query<WatchStatus>('status');
    return verdict === 'well' && points.length === 3 && points.every((one) => one.report !== null) ? true : undefined;
  });
}

const trigger = async (): Promise<TriggerStatus> =>
  (await world.client.workflow.getHandle(`trigger/${TRIGGER}`).query('status')) as TriggerStatus;

async function api<T>(path: string): Promise<{ data: T }> {
  return (await (await fetch(`${alerting.prometheus}/api/v1/${path}`)).json()) as { data: T };
}

/** The one value that a query gives now. */
async function ask(query: string): Promise<number | undefined> {
  const { data } = await api<{ result: Array<{ value: [number, string] }> }>(
    `query?query=${encodeURIComponent(query)}`,
  );
  return data.result[0] === undefined ? undefined : Number(data.result[0].value[1]);
}

/** The run that the trigger has opened, waiting at its first gate. */
const proposal = (): Promise<RunStatus> =>
  until('a proposal at its gate', async () => {
    const { run } = await trigger();
    if (run === null) return undefined;
    const status = await world.run().status();
    return status.gate === null ? undefined : status;
  });

test('nobody can place an order: a rescue is proposed, and carried out when somebody has approved it', async () => {
  const since = Date.now();
  await world.lab.kill({ what: 'database', where: 'eu-west' });
  const asked = await proposal();
  expect(asked).toMatchObject({
    action: 'failover',
    mode: 'unplanned',
    to: 'eu-central',
    weights: { writer: { 'eu-west': 100 } },
  });
  expect(asked.gate).toMatchObject({ name: 'cutover', required: 1, approvedBy: [] });
  const seen = await world.client.workflow.getHandle('watch/databases').query<WatchStatus>('status');
  expect(seen.verdicts.find(({ signal, region }) => signal === 'down' && region === 'eu-west')).toMatchObject({
    ...{ on: true, votes: '2/2', text: expect.stringContaining('database-answers: no answer') },
  });
  expect(seen.verdicts.filter(({ region, on }) => region === 'eu-central' && on)).toEqual([]);
  const run = world.run();
  await run.approveAll();
  const { status, record } = await run.ended();
  expect([status, record.outcome]).toEqual(['completed', 'completed']);
  expect(record.request).toMatchObject({ by: `trigger/${TRIGGER}`, proposed: true });
  expect(record.request.reason).toContain(ALERT);
  expect(record.request.reason).toContain('RegionDown (watch)');
  // The clocks of the report: since when it fires, when Rampart heard of it, when somebody decided.
  expect(record.impactStartAt).toBeGreaterThan(since - 5_000);
  expect(record.detectedAt).toBeGreaterThanOrEqual(record.impactStartAt!);
  expect(record.decisions[0]!.at).toBeGreaterThan(record.detectedAt!);
  expect(await world.sides()).toMatchObject({ active: 'eu-central' });
  // It resolves, the trigger hears of it, and nothing more follows.
  await until('the alert has resolved', async () =>
    (await trigger()).alerts.every(({ source, firing }) => source === 'watch' || !firing) ? true : undefined,
  );
  // The old side is still down, and one voice alone is none.
  expect(await trigger()).toMatchObject({ verdict: 'calm' });
  expect((await trigger()).log.filter(({ text }) => /^(proposed|started)/.test(text))).toHaveLength(1);
}, 240_000);

test('Prometheus knows what has happened: the run, whose time it was, and where the writable side is', async () => {
  const record = (await world.run().ended()).record;
  const of = '{service="checkout",action="failover",mode="unplanned",result="completed"}';
  const seen = (query: string, fits: (value: number) => boolean) =>
    until(query, async () => {
      const value = await ask(query);
      return value !== undefined && fits(value) ? value : undefined;
    });
  await seen(`sum(rampart_runs_total${of})`, (n) => n === 1);
  const [total, worked, waited] = [
    await seen(`sum(rampart_run_duration_seconds_sum${of})`, (s) => s > 0),
    await seen(`sum(rampart_run_progression_duration_seconds_sum${of})`, (s) => s > 0),
    await seen(`sum(rampart_run_manual_wait_duration_seconds_sum${of})`, (s) => s > 0),
  ];
  expect(total).toBeCloseTo((record.endedAt! - record.startedAt) / 1000, 2);
  expect(waited).toBeCloseTo(record.waitedForPeopleMs / 1000, 2);
  expect(worked + waited).toBeCloseTo(total, 2);
  await seen('sum(rampart_detection_delay_seconds_count{service="checkout"})', (n) => n === 1);
  const active = (region: string): string => `max(rampart_active_region{service="checkout",region="${region}"})`;
  await seen(active('eu-central'), (n) => n === 1);
  expect(await ask(`${active('eu-west')} or vector(0)`)).toBe(0);
  // Before the database died its replica was measured; now nothing is, and nothing is said.
  expect(
    await ask('max(max_over_time(rampart_replication_lag_bytes{region="eu-central"}[10m]))'),
  ).toBeGreaterThanOrEqual(0);
  await seen('sum(rampart_alert_deliveries_total{source="alertmanager",result="accepted"})', (n) => n >= 1);
  // What control workers read from Temporal, and so would say after a restart as well.
  await seen(
    `max(rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="completed"})`,
    (at) => Math.abs(at - record.endedAt! / 1000) < 5,
  );
  await seen('max(rampart_recovery_time_seconds{service="checkout",mode="unplanned"})', (s) => s > 0);
  await seen('count(rampart_run_active) or vector(0)', (n) => n === 0);
  // Nothing is published that the list does not have, and the rules meet no series that they cannot use.
  const { data: names } = await api<string[]>('label/__name__/values');
  const known = Object.keys(METRICS).flatMap((name) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]);
  expect(names.filter((name) => name.startsWith('rampart_') && !known.includes(name))).toEqual([]);
  expect(names.filter((name) => name.startsWith('temporal_')).length).toBeGreaterThan(5);
  const { data } = await api<{ groups: Array<{ rules: Array<{ name: string; health: string }> }> }>('rules');
  const rules = data.groups.flatMap((group) => group.rules);
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  expect(rules.map(({ name }) => name)).toContain('RampartSplitBrain');
}, 60_000);

test('whoever sends without the secret is told nothing, and changes nothing', async () => {
  const alerts = [
    {
      status: 'firing',
      labels: { alertname: ALERT },
      annotations: {},
      startsAt: new Date().toISOString(),
      fingerprint: 'f',
    },
  ];
  const body = JSON.stringify({
    version: '4',
    groupKey: 'g',
    status: 'firing',
    alerts,
    groupLabels: {},
    commonLabels: { alertname: ALERT },
  });
  const answer = await fetch(`${alerting.hooks}/hooks/alertmanager`, { method: 'POST', body });
  expect(answer.status).toBe(401);
  expect((await trigger()).alerts.filter(({ source, firing }) => source !== 'watch' && firing)).toEqual([]);
});
