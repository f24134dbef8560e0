/** A real Prometheus finds the harm, a real Alertmanager tells `rampart serve`, a trigger proposes, a person decides. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALERT, type Alerting, startAlerting, TRIGGER } from '../../lab/alerting.ts';
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
