/** A real Prometheus finds the harm, a real Alertmanager tells `rampart serve`, a trigger proposes, a person decides. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALERT, type Alerting, startAlerting, TRIGGER } from '../../lab/alerting.ts';
import { METRICS } from '../../metrics/names.ts';
import type { RunStatus, TriggerStatus } from '../../workflows/contract.ts';
import { openTestWorld, type TestWorld, until } from './world.ts';

let world: TestWorld;
let alerting: Alerting;
beforeAll(async () => {
  world = await openTestWorld('alerts', { load: 40 });
  alerting = await startAlerting({
    ...{ dir: world.lab.dir, world: world.report, service: 'checkout', to: 'eu-central' },
    log: () => {},
  });
}, 400_000);
afterAll(() => world?.close(), 60_000);

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
  const run = world.run();
  await run.approveAll();
  const { status, record } = await run.ended();
  expect([status, record.outcome]).toEqual(['completed', 'completed']);
  expect(record.request).toMatchObject({ by: `trigger/${TRIGGER}`, proposed: true });
  expect(record.request.reason).toContain(ALERT);
  // The clocks of the report: since when it fires, when Rampart heard of it, when somebody decided.
  expect(record.impactStartAt).toBeGreaterThan(since - 5_000);
  expect(record.detectedAt).toBeGreaterThanOrEqual(record.impactStartAt!);
  expect(record.decisions[0]!.at).toBeGreaterThan(record.detectedAt!);
  expect(await world.sides()).toMatchObject({ active: 'eu-central' });
  // It resolves, the trigger hears of it, and nothing more follows.
  await until('the alert has resolved', async () =>
    (await trigger()).alerts.every(({ firing }) => !firing) ? true : undefined,
  );
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
  expect((await trigger()).alerts.filter(({ firing }) => firing)).toEqual([]);
});
