/** What each native source says, brought to one form. */
import { describe, expect, it } from 'vitest';
import type { Message, Parsed, Parser } from '../../clients/webhooks/message.ts';
import { parseAlertmanager } from '../../clients/webhooks/parsers/alertmanager.ts';
import { parseCloudEvents } from '../../clients/webhooks/parsers/cloud-events.ts';
import { parseGrafana } from '../../clients/webhooks/parsers/grafana.ts';
import { parsePagerDuty } from '../../clients/webhooks/parsers/pagerduty.ts';
import { parseSns } from '../../clients/webhooks/parsers/sns.ts';
import { parseStandardWebhooks } from '../../clients/webhooks/parsers/standard-webhooks.ts';
import type { AlertSource, SourceAuth } from '../../topology/alerts.ts';
import { FIRING, RESOLVED, TRUNCATED } from './fixtures.ts';

const read = (
  parse: Parser,
  body: unknown,
  headers: Record<string, string> = {},
  source: Partial<AlertSource> = {},
): Parsed =>
  parse({
    source: { name: 's', type: 'generic', auth: { kind: 'none' }, ...source },
    body: typeof body === 'string' ? JSON.parse(body) : body,
    header: (name) => headers[name] ?? null,
    receivedAt: 5,
  } satisfies Message);

const brief = ({ alerts, problem }: Parsed) => ({
  problem,
  alerts: alerts.map(({ key, status, startsAt, labels }) => ({ key, status, startsAt, labels })),
});

describe('Alertmanager', () => {
  const labels = { alertname: 'RegionDown', instance: 'a', region: 'eu-west-1', severity: 'critical' };
  const startsAt = Date.parse('2026-11-21T01:40:57.221Z');
  const listed = { key: '7a775f6954805666', startsAt, labels };
  const group = { key: 'group {}:{alertname="RegionDown", region="eu-west-1"}', startsAt: null, labels };

  it('an alert keeps its key from firing to resolved', () => {
    expect(brief(read(parseAlertmanager, FIRING))).toEqual({
      problem: null,
      alerts: [{ ...listed, status: 'firing' }],
    });
    expect(brief(read(parseAlertmanager, RESOLVED))).toEqual({
      problem: null,
      alerts: [
        { ...listed, status: 'resolved' },
        { ...group, status: 'resolved' },
      ],
    });
  });

  it('when the list is cut, the group fires as well: what is not in it may be what fires', () => {
    const body = JSON.parse(TRUNCATED);
    expect(brief(read(parseAlertmanager, body)).alerts).toEqual([
      { ...listed, status: 'firing' },
      { ...group, status: 'firing' },
    ]);
    body.alerts[0].status = 'resolved';
    const { alerts } = read(parseAlertmanager, body);
    expect(alerts.map(({ status }) => status)).toEqual(['resolved', 'firing']);
    expect(alerts[1]!.annotations).toMatchObject({ truncatedAlerts: '1' });
  });

  it('when all of it is resolved the group is too, whether or not the list was cut this time', () => {
    const body = { ...JSON.parse(RESOLVED), truncatedAlerts: 0 };
    expect(brief(read(parseAlertmanager, body)).alerts).toEqual([
      { ...listed, status: 'resolved' },
      { ...group, status: 'resolved' },
    ]);
  });

  it('a list that is too long for us is cut like one that was cut by the sender', () => {
    const body = JSON.parse(FIRING);
    body.alerts = Array.from({ length: 1_200 }, (_, i) => ({ ...body.alerts[0], fingerprint: String(i) }));
    const { alerts, problem } = read(parseAlertmanager, body);
    expect(problem).toBeNull();
    expect(alerts).toHaveLength(1_001);
    expect(alerts[1_000]!.key).toBe(group.key);
  });

  it('has no delivery to be known by: what it says again may have come back', () => {
    expect(read(parseAlertmanager, FIRING).alerts[0]!.delivery).toBeNull();
  });

  it('without a fingerprint, labels in any order are the same alert', () => {
    const keyOf = (given: object) =>
      read(parseAlertmanager, { alerts: [{ status: 'firing', labels: given }] }).alerts[0]!.key;
    expect(keyOf({ a: '1', b: '2' })).toBe(keyOf({ b: '2', a: '1' }));
    expect(keyOf({ a: '1', b: '2' })).not.toBe(keyOf({ a: '1', b: '3' }));
    expect(keyOf({ a: '1b', c: '2' })).not.toBe(keyOf({ a: '1', bc: '2' }));
  });

  it('Go writes no time as year 1', () => {
    const body = JSON.parse(FIRING);
    body.alerts[0].startsAt = '0001-01-01T00:00:00Z';
    expect(read(parseAlertmanager, body).alerts[0]!.startsAt).toBeNull();
  });
});

it('Grafana: organisations are told apart, and its own links are shown', () => {
  const body = JSON.parse(FIRING);
  Object.assign(body, { version: '1', orgId: 2, state: 'alerting' });
  Object.assign(body.alerts[0], { dashboardURL: 'https://grafana/d/x', panelURL: '', values: { A: 1 } });
  const { alerts } = read(parseGrafana, body);
  expect(alerts[0]).toMatchObject({ key: '2/7a775f6954805666', status: 'firing', url: 'https://grafana/d/x' });
});

describe('PagerDuty', () => {
  const event = (type: string, data: object = {}) => ({
    event: {
      ...{ id: '01EV', event_type: type, resource_type: 'incident', occurred_at: '2026-11-21T02:00:00.000Z' },
      data: {
        ...{ id: 'PINC', type: 'incident', html_url: 'https://acme.pagerduty.com/incidents/PINC', status: 'triggered' },
        ...{ incident_key: 'eu-west', created_at: '2026-11-21T01:59:00Z', title: 'Region down', urgency: 'high' },
        ...{ service: { id: 'PSVC', summary: 'Checkout' }, priority: { id: 'PP', summary: 'P1' }, ...data },
      },
    },
  });

  it('one incident, by its event', () => {
    expect(read(parsePagerDuty, event('incident.triggered')).alerts).toEqual([
      {
        ...{ source: 's', delivery: '01EV', key: 'PINC', status: 'firing', receivedAt: 5 },
        startsAt: Date.parse('2026-11-21T01:59:00Z'),
        labels: { service: 'Checkout', service_id: 'PSVC', incident_key: 'eu-west', urgency: 'high', priority: 'P1' },
        annotations: { title: 'Region down', event: 'incident.triggered' },
        ...{ severity: 'P1', url: 'https://acme.pagerduty.com/incidents/PINC' },
      },
    ]);
  });

  it.each([
    ['incident.acknowledged', 'firing'],
    ['incident.reopened', 'firing'],
    ['incident.resolved', 'resolved'],
    ['incident.priority_updated', 'firing'],
    ['incident.annotated', undefined],
    ['pagey.ping', undefined],
    ['service.updated', undefined],
  ])('%s', (type, status) => {
    const about = type === 'incident.annotated' ? { status: undefined } : {};
    const { alerts, problem } = read(parsePagerDuty, event(type, about));
    expect([alerts[0]?.status, problem]).toEqual([status, null]);
  });

  it('what happens to a resolved incident does not open it', () => {
    expect(read(parsePagerDuty, event('incident.priority_updated', { status: 'resolved' })).alerts[0]!.status).toBe(
      'resolved',
    );
  });
});

describe('CloudWatch by SNS', () => {
  const alarm = {
    ...{
      AlarmName: 'euw1-canary',
      AWSAccountId: '123456789012',
      Region: 'EU (Ireland)',
      NewStateReason: 'Threshold Crossed',
    },
    ...{ NewStateValue: 'ALARM', OldStateValue: 'OK', StateChangeTime: '2026-11-21T01:40:57.221+0000' },
    AlarmArn: 'arn:aws:cloudwatch:eu-west-1:123456789012:alarm:euw1-canary',
    Trigger: {
      MetricName: 'Failed',
      Namespace: 'CloudWatchSynthetics',
      Dimensions: [{ name: 'CanaryName', value: 'shop' }],
    },
  };
  const envelope = (message: unknown) => ({
    ...{
      Type: 'Notification',
      MessageId: 'm-1',
      TopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms',
      Subject: 'ALARM',
    },
    Message: typeof message === 'string' ? message : JSON.stringify(message),
  });

  it('an alarm', () => {
    expect(read(parseSns, envelope(alarm)).alerts[0]).toMatchObject({
      ...{ delivery: 'm-1', key: alarm.AlarmArn, status: 'firing', startsAt: Date.parse('2026-11-21T01:40:57.221Z') },
      labels: {
        ...{ alarmName: 'euw1-canary', region: 'eu-west-1', accountId: '123456789012' },
        ...{ namespace: 'CloudWatchSynthetics', metricName: 'Failed', CanaryName: 'shop' },
      },
    });
  });

  it.each([
    ['ALARM', undefined, 'firing'],
    ['OK', 'firing', 'resolved'],
    ['INSUFFICIENT_DATA', undefined, 'unknown'],
    ['INSUFFICIENT_DATA', 'firing', 'firing'],
    ['INSUFFICIENT_DATA', 'resolved', 'resolved'],
    ['SOMETHING_NEW', 'firing', 'unknown'],
  ] as const)('%s, when no data mean %s', (state, insufficientData, status) => {
    const { alerts } = read(
      parseSns,
      envelope({ ...alarm, NewStateValue: state }),
      {},
      { type: 'sns', insufficientData },
    );
    expect(alerts[0]!.status).toBe(status);
  });

  it('the same as EventBridge tells it has the same key', () => {
    const event = {
      ...{ 'detail-type': 'CloudWatch Alarm State Change', source: 'aws.cloudwatch', resources: [alarm.AlarmArn] },
      detail: {
        alarmName: 'euw1-canary',
        state: { value: 'OK', reason: 'fine', timestamp: '2026-11-21T01:50:00.000+0000' },
      },
    };
    expect(read(parseSns, envelope(event)).alerts[0]).toMatchObject({
      ...{ key: alarm.AlarmArn, status: 'resolved', startsAt: null },
      labels: { alarmName: 'euw1-canary', region: 'eu-west-1', accountId: '123456789012' },
    });
  });

  it.each([['hello'], ['{}'], ['[]'], ['"text"'], ['']])('%j is no alarm', (text) => {
    const { alerts, problem } = read(parseSns, envelope(text));
    expect(alerts).toEqual([]);
    expect(problem).toMatch(/no CloudWatch alarm/);
  });
});

describe('events', () => {
  const event = {
    specversion: '1.0',
    id: '7',
    source: '//probe/eu-west',
    type: 'region.probe.down',
    time: '2026-11-21T02:00:00Z',
  };

  it('a CloudEvent', () => {
    expect(
      read(parseCloudEvents, { ...event, subject: 'eu-west', data: { severity: 'critical', url: 'https://x/y' } })
        .alerts,
    ).toEqual([
      {
        ...{
          source: 's',
          delivery: '//probe/eu-west 7',
          key: '//probe/eu-west eu-west',
          status: 'firing',
          receivedAt: 5,
        },
        ...{ startsAt: Date.parse(event.time), severity: 'critical', url: 'https://x/y', annotations: {} },
        labels: { type: 'region.probe.down', source: '//probe/eu-west', subject: 'eu-west' },
      },
    ]);
  });

  it('its beginning and its end have one key', () => {
    const down = read(parseCloudEvents, event).alerts[0]!;
    const up = read(parseCloudEvents, { ...event, id: '8', type: 'region.probe.up' }).alerts[0]!;
    expect([down.status, up.status, up.startsAt]).toEqual(['firing', 'resolved', null]);
    expect(up.key).toBe(down.key);
    expect(up.delivery).not.toBe(down.delivery);
  });

  it('a batch: each by itself, and what is wrong with one does not lose the others', () => {
    const { alerts, problem } = read(parseCloudEvents, [event, { ...event, id: undefined }, { ...event, id: '9' }]);
    expect(alerts.map(({ delivery }) => delivery)).toEqual(['//probe/eu-west 7', '//probe/eu-west 9']);
    expect(problem).toBe('event 2: the event lacks one of specversion, id, source and type');
  });

  it('binary mode, unless only its body is signed', () => {
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': '7',
      'ce-source': '%2F%2Fprobe',
      'ce-type': 'probe',
      'ce-subject': 'eu',
    };
    const { alerts } = read(parseCloudEvents, { status: 'resolved', labels: { region: 'eu' } }, headers);
    expect(alerts[0]).toMatchObject({
      key: '//probe eu',
      delivery: '//probe 7',
      status: 'resolved',
      labels: { region: 'eu', type: 'probe' },
    });
    const auth: SourceAuth = { kind: 'hmac', secrets: [], header: null, timestampHeader: null };
    expect(read(parseCloudEvents, {}, headers, { auth }).problem).toMatch(/send it in structured mode/);
  });

  it.each([
    ['x.down', {}, 'firing'],
    ['x.OK', {}, 'resolved'],
    ['x/resolved', {}, 'resolved'],
    ['x.changed', {}, 'unknown'],
    ['down', {}, 'unknown'],
    ['x.changed', { status: 'firing' }, 'firing'],
    ['x.changed', { state: 'Recovered' }, 'resolved'],
    ['x.down', { status: 'resolved' }, 'resolved'],
    ['x.down', { status: 'who knows' }, 'unknown'],
  ])('%s with %o is %s', (type, data, status) => {
    expect(read(parseCloudEvents, { ...event, type, data }).alerts[0]!.status).toBe(status);
    expect(read(parseStandardWebhooks, { type, data }).alerts[0]!.status).toBe(status);
  });

  it('a Standard Webhook', () => {
    const body = {
      type: 'probe.failed',
      timestamp: '2026-11-21T02:00:00.5Z',
      data: { id: 'p1', labels: { region: 'eu', type: 'no' } },
    };
    expect(read(parseStandardWebhooks, body, { 'webhook-id': 'msg_1' }).alerts[0]).toMatchObject({
      ...{ delivery: 'msg_1', key: 'p1', status: 'firing', startsAt: Date.parse(body.timestamp) },
      labels: { region: 'eu', type: 'probe.failed' },
    });
    expect(read(parseStandardWebhooks, { data: {} }).problem).toBe('the body has no `type`');
  });
});
