/** The recipes of docs/webhooks.md: valid topologies, and messages as the vendors document them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import type { AlertSource } from '../../topology/alerts.ts';
import { mappingProblem } from '../../topology/mapping.ts';
import { parseTopology } from '../../topology/parse.ts';
import { BASE } from '../topology/bad-inputs.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';
import { bench } from './app.ts';

const page = readFileSync(join(repositoryRoot(), 'docs/webhooks.md'), 'utf8');

/** Sources of every YAML block of the page, as the topology reads them. */
const sources: Record<string, AlertSource> = {};
for (const [, block] of page.matchAll(/^```yaml\n(alertSources:.*?)^```/gms)) {
  const { topology, problems } = parseTopology(`${BASE}${block}`, { path: 'docs/webhooks.md', drivers: fakeDrivers });
  if (topology === undefined) throw new Error(JSON.stringify(problems));
  Object.assign(sources, topology.alertSources);
}

/** The JSON that a page tells to give to a sender, with the variables filled in. */
function template(section: string, values: Record<string, string>): string {
  const [, json] = new RegExp(`^### ${section}\n.*?^\`\`\`json\n(.*?)^\`\`\``, 'ms').exec(page) ?? [];
  return json!.replace(/\$[A-Z_]+|\*\w+\*/g, (name) => {
    if (values[name] === undefined) throw new Error(`${section} has a variable ${name}`);
    return values[name];
  });
}

async function take(name: string, body: string, path = `/hooks/${name}`, headers: Record<string, string> = {}) {
  const b = bench([sources[name]!], { now: () => 9 });
  const answered = await b.send(path, body, headers);
  return { status: answered.status, error: answered.json.error, alert: b.delivered[0]?.[0] };
}

it('has the sources that the page is about, each of which can be used', () => {
  expect(Object.keys(sources).sort()).toEqual(
    ['alertmanager', 'cloudflare', 'cloudwatch', 'datadog', 'grafana', 'pingdom', 'uptimerobot'].sort(),
  );
  for (const { map } of Object.values(sources)) {
    const { labels = {}, ...fields } = map ?? {};
    for (const expression of Object.values({ ...fields, ...labels }))
      expect(mappingProblem(expression), expression).toBeNull();
  }
});

describe('Datadog', () => {
  const message = (transition: string) =>
    template('Datadog', {
      ...{ $ID: '1234567', $ALERT_CYCLE_KEY: '9bd4ac313a4d1e8f', $ALERT_TRANSITION: transition, $ALERT_ID: '1234' },
      ...{ $EVENT_TITLE: '[Triggered] Region down', $ALERT_PRIORITY: 'P1', $ALERT_SCOPE: 'region:eu-west' },
      $LINK: 'https://app.datadoghq.com/event/jump_to?event_id=123456',
    });
  const headers = { 'X-Rampart-Token': 'the-secret-of-DATADOG_TOKEN' };

  it.each([
    ['Triggered', 'firing'],
    ['Re-Triggered', 'firing'],
    ['No Data', 'firing'],
    ['Recovered', 'resolved'],
    ['Warn', 'unknown'],
  ])('%s', async (transition, status) => {
    const { alert, ...answered } = await take('datadog', message(transition), undefined, headers);
    expect(answered).toEqual({ status: 202, error: undefined });
    expect(alert).toMatchObject({
      ...{ source: 'datadog', status, key: '9bd4ac313a4d1e8f', delivery: '1234567', severity: 'P1' },
      url: 'https://app.datadoghq.com/event/jump_to?event_id=123456',
      labels: { monitor: '1234', title: '[Triggered] Region down', scope: 'region:eu-west' },
    });
  });
});

describe('Pingdom', () => {
  const message = (previous: string, current: string) =>
    JSON.stringify({
      ...{ check_id: 12345, check_name: 'Shop', check_type: 'HTTP', previous_state: previous, current_state: current },
      check_params: {
        basic_auth: false,
        encryption: true,
        full_url: 'https://shop.example.com/',
        hostname: 'shop.example.com',
        port: 443,
      },
      ...{ tags: ['prod'], importance_level: 'HIGH', state_changed_timestamp: 1_795_225_257, version: 1 },
      ...{ state_changed_utc_time: '2026-11-21T01:40:57', long_description: 'Timeout (> 30s)', description: 'Timeout' },
      first_probe: { ip: '192.0.2.1', ipv6: '2001:db8::5', location: 'Stockholm, Sweden' },
    });
  const path = '/hooks/pingdom/the-secret-of-PINGDOM_TOKEN';

  it.each([
    ['UP', 'DOWN', 'firing'],
    ['DOWN', 'UP', 'resolved'],
    ['SUCCESS', 'FAILING', 'firing'],
    ['FAILING', 'SUCCESS', 'resolved'],
  ])('%s to %s', async (previous, current, status) => {
    expect((await take('pingdom', message(previous, current), path)).alert).toMatchObject({
      ...{
        status,
        key: '12345',
        delivery: `12345 1795225257 ${current}`,
        startsAt: 1_795_225_257_000,
        severity: 'HIGH',
      },
      labels: { check: 'Shop', type: 'HTTP', host: 'shop.example.com' },
    });
  });

  it('needs the secret in its path', async () => {
    expect((await take('pingdom', message('UP', 'DOWN'))).status).toBe(401);
  });
});

describe('UptimeRobot', () => {
  it.each([
    ['1', 'firing'],
    ['2', 'resolved'],
    ['3', 'unknown'],
  ])('alert type %s', async (type, status) => {
    const body = template('UptimeRobot', {
      ...{ '*monitorID*': '777', '*monitorFriendlyName*': 'Shop', '*monitorURL*': 'https://shop.example.com' },
      ...{ '*alertType*': type, '*alertDateTime*': '1795225257' },
    });
    expect((await take('uptimerobot', body, '/hooks/uptimerobot/the-secret-of-UPTIMEROBOT_TOKEN')).alert).toMatchObject(
      {
        ...{ status, key: '777', delivery: `777 ${type} 1795225257`, startsAt: 1_795_225_257_000 },
        labels: { monitor: 'Shop', target: 'https://shop.example.com' },
      },
    );
  });
});

describe('Cloudflare', () => {
  const headers = { 'cf-webhook-auth': 'the-secret-of-CLOUDFLARE_WEBHOOK_SECRET' };
  const message = (event: string) =>
    JSON.stringify({
      ...{
        name: 'Origin health',
        text: 'Health check shop is unhealthy',
        ts: 1_795_225_257,
        account_id: 'a',
        policy_id: 'p',
      },
      ...{
        policy_name: 'origin',
        alert_type: 'health_check_status_notification',
        alert_correlation_id: 'c-1',
        alert_event: event,
      },
      data: { health_check_name: 'shop' },
    });

  it.each([
    ['ALERT_STATE_EVENT_START', 'firing'],
    ['ALERT_STATE_EVENT_END', 'resolved'],
  ])('%s', async (event, status) => {
    expect((await take('cloudflare', message(event), undefined, headers)).alert).toMatchObject({
      ...{ status, key: 'c-1', delivery: `c-1 ${event}`, startsAt: 1_795_225_257_000 },
      labels: { alertType: 'health_check_status_notification', policy: 'origin', healthCheck: 'shop' },
    });
  });

  it('its test of the destination is taken, and means nothing', async () => {
    const { status, alert } = await take(
      'cloudflare',
      '{"text":"Hello World! This is a test message."}',
      undefined,
      headers,
    );
    expect([status, alert!.status, alert!.labels]).toEqual([202, 'unknown', {}]);
  });
});

describe('a mapping', () => {
  const generic = (map: AlertSource['map']): AlertSource => ({
    name: 'g',
    type: 'generic',
    auth: { kind: 'none' },
    map,
  });
  const send = async (map: AlertSource['map'], body: unknown) => {
    const b = bench([generic(map)]);
    const { status, json } = await b.send('/hooks/g', JSON.stringify(body), { 'x-kind': 'probe', cookie: 'c00kie' });
    return { status, json, alerts: b.delivered[0] ?? [] };
  };

  it('of a list gives an alert for each entry, with a delivery of its own', async () => {
    const map = {
      each: 'body.items',
      status: 'item.s',
      key: 'item.k',
      delivery: 'body.id',
      labels: { kind: 'headers["x-kind"]', n: 'item.?n' },
    };
    const { alerts } = await send(map, {
      id: 'd',
      items: [
        { s: 'firing', k: 'a', n: 1 },
        { s: 'resolved', k: 'b' },
      ],
    });
    expect(alerts.map(({ key, delivery, status, labels }) => ({ key, delivery, status, labels }))).toEqual([
      { key: 'a', delivery: 'd a', status: 'firing', labels: { kind: 'probe', n: '1' } },
      { key: 'b', delivery: 'd b', status: 'resolved', labels: { kind: 'probe' } },
    ]);
  });

  it.each<[string, Partial<NonNullable<AlertSource['map']>>, unknown, string]>([
    ['a field that is not there', { key: 'body.x.y' }, { x: {} }, 'map.key: No such key: y (at character 8)'],
    ['a key that is nothing', { key: 'body.?x' }, {}, 'map.key gives no text and no number'],
    ['a key that is a list', { key: 'body.x' }, { x: [] }, 'map.key gives no text and no number'],
    ['a label that cannot be had', { labels: { a: 'body.x' } }, {}, 'map.labels.a: No such key: x (at character 6)'],
    ['no list', { each: 'body.x', key: 'item.k' }, { x: 7 }, 'map.each gives no list'],
    [
      'an entry of the list',
      { each: 'body', key: 'item.k' },
      [{ k: 1 }, {}],
      'entry 2 of map.each: map.key: No such key: k (at character 6)',
    ],
    ['types that do not fit', { key: 'body.x + 1' }, { x: 'a' }, 'map.key: no such overload: dyn<string> + int'],
    ['a secret header', { key: 'headers["cookie"]' }, {}, 'map.key: No such key: cookie'],
  ])('says which field failed: %s', async (_name, given, body, error) => {
    const { status, json } = await send({ status: '"firing"', key: '"k"', labels: {}, ...given }, body);
    expect(status).toBe(400);
    expect(json.error).toContain(error);
  });

  it('of too many entries keeps a thousand and says so', async () => {
    const { status, json, alerts } = await send(
      { each: 'body', status: '"firing"', key: 'item', labels: {} },
      Array.from({ length: 1_001 }, (_, i) => i),
    );
    expect([status, json.error, alerts.length]).toEqual([400, 'map.each gives more than 1000 alerts', 1_000]);
  });

  it('may be given to Standard Webhooks and CloudEvents too', async () => {
    const b = bench([{ ...generic({ status: 'body.what', key: 'body.who', labels: {} }), type: 'cloudEvents' }]);
    expect((await b.send('/hooks/g', '{"what":"firing","who":"me"}')).status).toBe(202);
    expect(b.delivered[0]![0]).toMatchObject({ key: 'me', status: 'firing' });
  });
});
