/** Every answer of the webhooks: without ports, with the real application. */
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../clients/webhooks/inbox.ts';
import { BODY_LIMIT } from '../../clients/webhooks/server.ts';
import type { AlertSource, SourceAuth } from '../../topology/alerts.ts';
import { type Answered, bench } from './app.ts';
import { FIRING, HMAC } from './fixtures.ts';

const BEARER: SourceAuth = { kind: 'bearer', secrets: ['${env:NEW}', '${env:OLD}'] };
const AM = { type: 'alertmanager', auth: BEARER } as const;
const withToken = (name = 'NEW') => ({ authorization: `Bearer the-secret-of-${name}` });
const hmac = (text: string | Uint8Array, secret = 'the-secret-of-KEY'): string =>
  createHmac('sha256', secret).update(text).digest('hex');

const seen = ({ status, json }: Answered) => ({ status, ...json });

describe('an authentic message', () => {
  it('is accepted, and handed over in the one form', async () => {
    const b = bench([AM], { now: () => 1_000 });
    expect(seen(await b.send('/hooks/alertmanager', FIRING, withToken()))).toEqual({
      status: 202,
      result: 'accepted',
      alerts: 1,
    });
    expect(b.delivered).toEqual([
      [
        {
          source: 'alertmanager',
          delivery: null,
          key: '7a775f6954805666',
          status: 'firing',
          startsAt: Date.parse('2026-11-21T01:40:57.221Z'),
          labels: { alertname: 'RegionDown', instance: 'a', region: 'eu-west-1', severity: 'critical' },
          annotations: { summary: 'probe failed' },
          severity: 'critical',
          url: 'http://prom/x',
          receivedAt: 1_000,
        },
      ],
    ]);
    expect(b.counts).toEqual([['alertmanager', 'accepted']]);
    expect(b.lines).toHaveLength(1);
    expect(JSON.parse(b.lines[0]!)).toMatchObject({
      source: 'alertmanager',
      status: 202,
      result: 'accepted',
      alerts: 1,
    });
  });

  it.each(['accepted', 'duplicate', 'ignored'] as const)('is answered 202 when the inbox says %s', async (result) => {
    const b = bench([AM], { answer: async () => result });
    expect(seen(await b.send('/hooks/alertmanager', FIRING, withToken()))).toEqual({ status: 202, result, alerts: 1 });
  });

  it('may come by PUT, as Grafana can send it', async () => {
    const { options } = bench([AM]);
    const { createWebhooks } = await import('../../clients/webhooks/server.ts');
    const init = { method: 'PUT', body: FIRING, headers: withToken() };
    expect((await createWebhooks(options).request('/hooks/alertmanager', init)).status).toBe(202);
  });

  it('without any alert in it is ignored, without asking the inbox', async () => {
    const b = bench([AM]);
    expect(seen(await b.send('/hooks/alertmanager', '{"alerts":[]}', withToken()))).toEqual({
      status: 202,
      result: 'ignored',
      alerts: 0,
    });
    expect(b.delivered).toEqual([]);
  });

  it('of which a part cannot be read is kept as far as it can, and not called taken', async () => {
    const b = bench([AM]);
    const { alerts, ...rest } = JSON.parse(FIRING);
    const body = JSON.stringify({ ...rest, alerts: [7, ...alerts] });
    expect(seen(await b.send('/hooks/alertmanager', body, withToken()))).toEqual({
      ...{ status: 400, result: 'invalid', alerts: 1, error: 'alerts[0] has no labels' },
    });
    expect(b.delivered[0]).toHaveLength(1);
  });
});

describe('who may send', () => {
  const ways: Array<[string, SourceAuth, string, Record<string, string>]> = [
    ['the new token', BEARER, '/hooks/s', withToken('NEW')],
    ['the old token', BEARER, '/hooks/s', withToken('OLD')],
    [
      'a header',
      { kind: 'header', header: 'cf-webhook-auth', secrets: ['${env:CF}'] },
      '/hooks/s',
      { 'CF-Webhook-Auth': 'the-secret-of-CF' },
    ],
    [
      'user and password',
      { kind: 'basic', user: 'am', secrets: ['${env:PW}'] },
      '/hooks/s',
      { authorization: `Basic ${btoa('am:the-secret-of-PW')}` },
    ],
    ['the path', { kind: 'path', secrets: ['${env:TOKEN}'] }, '/hooks/s/the-secret-of-TOKEN', {}],
    [
      'a signature',
      { kind: 'hmac', header: 'X-Sign', timestampHeader: null, secrets: ['${env:KEY}'] },
      '/hooks/s',
      { 'X-Sign': `sha256=${hmac(FIRING)}` },
    ],
    ['nothing, on loopback', { kind: 'none' }, '/hooks/s', {}],
  ];

  it.each(ways)('%s', async (_name, auth, path, headers) => {
    const b = bench([{ name: 's', type: 'alertmanager', auth }]);
    expect((await b.send(path, FIRING, headers)).status).toBe(202);
  });

  it.each<[string, SourceAuth, string, Record<string, string>, string]>([
    ['no token', BEARER, '/hooks/s', {}, 'there is no bearer token'],
    ['a wrong token', BEARER, '/hooks/s', { authorization: 'Bearer wrong' }, 'the bearer token is wrong'],
    ['another scheme', BEARER, '/hooks/s', { authorization: 'Digest the-secret-of-NEW' }, 'there is no bearer token'],
    ['no header', ways[2]![1], '/hooks/s', {}, 'there is no header cf-webhook-auth'],
    [
      'a wrong header',
      ways[2]![1],
      '/hooks/s',
      { 'cf-webhook-auth': 'the-secret-of-C' },
      'the header cf-webhook-auth is wrong',
    ],
    [
      'a wrong user',
      ways[3]![1],
      '/hooks/s',
      { authorization: `Basic ${btoa('me:the-secret-of-PW')}` },
      'the user and password is wrong',
    ],
    [
      'a wrong password',
      ways[3]![1],
      '/hooks/s',
      { authorization: `Basic ${btoa('am:am')}` },
      'the user and password is wrong',
    ],
    ['no token in the path', ways[4]![1], '/hooks/s', {}, "there is no token at the end of the URL's path"],
    [
      'a wrong token in the path',
      ways[4]![1],
      '/hooks/s/the-secret-of-TOKE',
      {},
      "the token at the end of the URL's path is wrong",
    ],
    ['no signature', ways[5]![1], '/hooks/s', {}, 'there is no signature'],
    [
      'a signature of another body',
      ways[5]![1],
      '/hooks/s',
      { 'x-sign': hmac(`${FIRING} `) },
      'the signature is right for none of 1 secrets',
    ],
    [
      'a browser on this machine',
      { kind: 'none' },
      '/hooks/s',
      { origin: 'https://example.com' },
      'a browser sent this',
    ],
  ])('refuses %s', async (_name, auth, path, headers, reason) => {
    const b = bench([{ name: 's', type: 'alertmanager', auth }]);
    const answered = await b.send(path, FIRING, headers);
    expect(seen(answered)).toEqual({
      status: 401,
      result: 'unauthorized',
      error: 'not authenticated; the log of rampart serve says why',
    });
    expect(b.lines.join()).toContain(reason);
    expect(b.delivered).toEqual([]);
    expect(b.counts).toEqual([['s', 'unauthorized']]);
  });

  it('refuses a source without authentication when others reach the listener', async () => {
    const b = bench([{ name: 's', type: 'alertmanager', auth: { kind: 'none' } }], { loopback: false });
    expect((await b.send('/hooks/s', FIRING)).status).toBe(401);
    expect(b.lines.join()).toContain('the listener is not on loopback');
  });

  it('judges the sender before it looks at what was sent', async () => {
    for (const body of ['', 'no json', '['.repeat(BODY_LIMIT), 'x'.repeat(BODY_LIMIT + 1)]) {
      expect((await bench([AM]).send('/hooks/alertmanager', body)).status).toBe(401);
    }
    const signed = { name: 's', type: 'generic', auth: ways[5]![1] } as const;
    expect((await bench([signed]).send('/hooks/s', 'no json')).status).toBe(401);
  });

  it.each<[AlertSource['type'], string, string, Record<string, string>]>([
    ['grafana', HMAC.vectors.grafana_no_timestamp.value, 'X-Grafana-Alerting-Signature', {}],
    ['pagerduty', HMAC.vectors.pagerduty.value, 'X-PagerDuty-Signature', {}],
    [
      'cloudEvents',
      HMAC.vectors.standard_webhooks.value,
      'webhook-signature',
      { 'webhook-id': 'msg_1', 'webhook-timestamp': '1700000000' },
    ],
  ])('%s has its own header', async (type, value, header, more) => {
    const secret = type === 'cloudEvents' ? HMAC.vectors.standard_webhooks.secret : 's3cret';
    const auth: SourceAuth = { kind: 'hmac', header: null, timestampHeader: null, secrets: ['${env:X}'] };
    const b = bench([{ type, auth }], { secret: async () => secret, now: () => HMAC.timestamp * 1000 });
    // The vectors' body is no alert: what is signed right and cannot be read is 400.
    expect((await b.send(`/hooks/${type}`, HMAC.body, { [header]: value, ...more })).status).toBe(400);
    expect((await b.send(`/hooks/${type}`, `${HMAC.body} `, { [header]: value, ...more })).status).toBe(401);
  });

  it('Grafana signs its time, where a header for it is named', async () => {
    const auth: SourceAuth = {
      kind: 'hmac',
      header: null,
      timestampHeader: 'X-Grafana-Alerting-Timestamp',
      secrets: ['${env:X}'],
    };
    const at = (ms: number) => bench([{ type: 'grafana', auth }], { secret: async () => 's3cret', now: () => ms });
    const headers = { 'X-Grafana-Alerting-Signature': HMAC.vectors.grafana_with_timestamp.value };
    const timed = { ...headers, 'X-Grafana-Alerting-Timestamp': String(HMAC.timestamp) };
    expect((await at(HMAC.timestamp * 1000).send('/hooks/grafana', HMAC.body, timed)).status).toBe(400);
    expect((await at(HMAC.timestamp * 1000).send('/hooks/grafana', HMAC.body, headers)).status).toBe(401);
    const replay = at(HMAC.timestamp * 1000 + 3_600_000);
    expect((await replay.send('/hooks/grafana', HMAC.body, timed)).status).toBe(401);
    expect(replay.lines.join()).toContain('a replay, or a wrong clock');
  });
});

describe('secrets', () => {
  it('that cannot be read are our fault: the sender tries again', async () => {
    const b = bench([{ ...AM, auth: { kind: 'bearer', secrets: ['${env:MISSING_NEW}', '${env:OLD}'] } }]);
    expect((await b.send('/hooks/alertmanager', FIRING, withToken('OLD'))).status).toBe(202);
    const answered = await b.send('/hooks/alertmanager', FIRING, { authorization: 'Bearer new' });
    expect(answered.status).toBe(503);
    expect(answered.headers.get('retry-after')).toBe('2');
    expect(b.lines[1]).toContain('${env:MISSING_NEW} is not set on this machine');
  });

  it('that could not be read are asked for again by the next message', async () => {
    let there = false;
    const secret = async () => (there ? 'one' : Promise.reject(new Error('${file:/t} cannot be read')));
    const b = bench([{ ...AM, auth: { kind: 'bearer', secrets: ['${file:/t}'] } }], { secret, now: () => 0 });
    const send = () => b.send('/hooks/alertmanager', FIRING, { authorization: 'Bearer one' });
    expect((await send()).status).toBe(503);
    there = true;
    expect((await send()).status).toBe(202);
  });

  it('that are empty let nobody in', async () => {
    const b = bench([{ ...AM, auth: { kind: 'header', header: 'x-token', secrets: ['${env:EMPTY}'] } }], {
      secret: async () => '',
    });
    expect((await b.send('/hooks/alertmanager', FIRING, { 'x-token': '' })).status).toBe(503);
  });

  it('are read once, and again when some time has passed', async () => {
    let now = 0;
    let reads = 0;
    let current = 'one';
    const secret = async () => {
      reads += 1;
      return current;
    };
    const b = bench([{ ...AM, auth: { kind: 'bearer', secrets: ['${file:/t}'] } }], { secret, now: () => now });
    const send = async (token: string) =>
      (await b.send('/hooks/alertmanager', FIRING, { authorization: `Bearer ${token}` })).status;
    expect([await send('one'), await send('one'), reads]).toEqual([202, 202, 1]);
    current = 'two';
    now = 10_000;
    expect([await send('one'), await send('two'), reads]).toEqual([401, 202, 2]);
  });

  it('are in no answer and no line of the log, whatever goes wrong', async () => {
    const mapped: AlertSource = {
      name: 'g',
      type: 'generic',
      auth: { kind: 'header', header: 'X-Token', secrets: ['${env:HDR}'] },
      map: { status: '"firing"', key: 'headers["x-token"]', labels: {} },
    };
    const b = bench([
      AM,
      { ...mapped, name: 'g' },
      { name: 'p', type: 'pagerduty', auth: { kind: 'path', secrets: ['${env:TOKEN}'] } },
    ]);
    const all = [
      await b.send('/hooks/alertmanager', 'no json', withToken()),
      await b.send('/hooks/alertmanager', FIRING, { authorization: 'Bearer the-secret-of-NEWS' }),
      await b.send('/hooks/g', '{}', { 'X-Token': 'the-secret-of-HDR' }),
      await b.send('/hooks/p/the-secret-of-TOKEN', '{}'),
      await b.send('/hooks/p/the-secret-of-TOKENS', '{}'),
      await b.send('/hooks/the-secret-of-TOKEN', '{}'),
      await b.send('/hooks/pp/the-secret-of-TOKEN', '{}'),
    ];
    expect(all.map(({ status }) => status)).toEqual([400, 401, 400, 400, 401, 404, 404]);
    expect([...b.lines, ...all.map(({ text }) => text), JSON.stringify(b.counts)].join()).not.toContain(
      'the-secret-of',
    );
    expect(b.delivered).toEqual([]);
  });
});

describe('what can never be taken', () => {
  it.each(['', ' ', '{', 'null and more', '{"alerts":[', '{"alerts":"x"}', '[]', '7', 'null', '"text"', '[[[[]]]]'])(
    '%j',
    async (body) => {
      const answered = await bench([AM]).send('/hooks/alertmanager', body, withToken());
      expect(answered.status).toBe(400);
      expect(answered.json.error).toMatch(/^the body /);
    },
  );

  it('bytes that are no UTF-8', async () => {
    const body = Buffer.from(FIRING.replace('RegionDown', 'Region\u00ff'), 'latin1');
    expect((await bench([AM]).send('/hooks/alertmanager', body, withToken())).status).toBe(400);
  });

  it('a body over the limit, with and without its length said before', async () => {
    const b = bench([AM]);
    const fits = `{"alerts":[]${' '.repeat(BODY_LIMIT - 13)}}`;
    expect(fits).toHaveLength(BODY_LIMIT);
    expect((await b.send('/hooks/alertmanager', fits, withToken())).status).toBe(202);
    const answers = [
      await b.send('/hooks/alertmanager', `${fits} `, withToken()),
      await b.send('/hooks/alertmanager', '{}', { ...withToken(), 'content-length': String(BODY_LIMIT + 1) }),
    ];
    for (const one of answers)
      expect(seen(one)).toEqual({ status: 413, result: 'tooLarge', error: 'a body has at most 524288 bytes' });
    expect(b.delivered).toEqual([]);
  });

  it('a body that has no end is not read to its end', async () => {
    let pulled = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        pulled += 1;
        controller.enqueue(new Uint8Array(64 * 1024).fill(32));
      },
    });
    expect((await bench([AM]).send('/hooks/alertmanager', endless, withToken())).status).toBe(413);
    expect(pulled).toBeLessThan(12);
  });

  it.each([
    ['/hooks/nobody', 404],
    ['/hooks/alertmanager/extra', 404],
    ['/hooks/__proto__', 404],
    ['/hooks/constructor', 404],
    ['/hooks/%E0%A4%A', 404],
    ['/hooks', 404],
    ['/', 404],
  ])('%s', async (path, status) => {
    const b = bench([AM]);
    const answered = await b.send(path, FIRING, withToken());
    expect(answered.status).toBe(status);
    expect(answered.text).not.toMatch(/alertmanager|nobody/);
    for (const [source] of b.counts) expect(source).toBe('');
  });

  it('nesting as deep as a body can be', async () => {
    const deep = (inner: string): string => `${'['.repeat(200_000)}${inner}${']'.repeat(200_000)}`;
    const map = { status: 'body == body ? "firing" : "resolved"', key: '"k"', labels: {} };
    const b = bench([AM, { type: 'generic', auth: BEARER, map }]);
    expect((await b.send('/hooks/generic', deep(''), withToken())).status).toBe(400);
    expect((await b.send('/hooks/alertmanager', deep(''), withToken())).status).toBe(400);
    expect(
      (await b.send('/hooks/alertmanager', `{"alerts":[{"labels":{"a":${deep('1')}}}]}`, withToken())).status,
    ).toBe(202);
  });
});

describe('when it cannot be kept', () => {
  it('Temporal is away: 503, and when to come again', async () => {
    const b = bench([AM], { answer: async () => Promise.reject(new Unavailable('Temporal does not answer', 7)) });
    const answered = await b.send('/hooks/alertmanager', FIRING, withToken());
    expect(seen(answered)).toEqual({ status: 503, result: 'unavailable', error: 'not taken: send it again' });
    expect(answered.headers.get('retry-after')).toBe('7');
    expect(b.lines.join()).toContain('Temporal does not answer');
    expect(b.counts).toEqual([['alertmanager', 'unavailable']]);
  });

  it('any other failure is 503 too: a message that was not kept is never called taken', async () => {
    const b = bench([AM], { answer: async () => Promise.reject(new TypeError('a bug')) });
    expect((await b.send('/hooks/alertmanager', FIRING, withToken())).status).toBe(503);
    b.inbox.sources = async () => Promise.reject(new Error('no topology'));
    expect((await b.send('/hooks/alertmanager', FIRING, withToken())).status).toBe(503);
    expect(b.lines[1]).toContain('no topology');
  });

  it('the inbox does not answer: 503 in time, and what it says later harms nothing', async () => {
    let fail: (error: Error) => void = () => undefined;
    const b = bench([AM], { answer: () => new Promise((_, reject) => (fail = reject)), deadlineMs: 20 });
    const answered = await b.send('/hooks/alertmanager', FIRING, withToken());
    expect(answered.status).toBe(503);
    expect(answered.headers.get('retry-after')).toBe('2');
    fail(new Error('much later'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(b.lines).toHaveLength(1);
  });

  it('a body that does not come: 503, and it is not handed over when it comes after all', async () => {
    let end: () => void = () => undefined;
    const slow = new ReadableStream({
      start: (controller) => {
        controller.enqueue(Buffer.from(FIRING));
        end = () => controller.close();
      },
    });
    const b = bench([AM], { deadlineMs: 20 });
    expect((await b.send('/hooks/alertmanager', slow, withToken())).status).toBe(503);
    end();
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(b.delivered).toEqual([]);
  });

  it('more bodies at once than there is room for: 503 for those that come later, until there is room again', async () => {
    const b = bench([AM], { deadlineMs: 60_000 });
    const ends: Array<() => void> = [];
    let received = 0;
    const open = Array.from({ length: 128 }, () => {
      const body = new ReadableStream(
        {
          start: (controller) => {
            controller.enqueue(Buffer.alloc(BODY_LIMIT, 32));
            ends.push(() => controller.close());
          },
          // Asked for more: what there was has been taken.
          pull: () => {
            received += 1;
          },
        },
        { highWaterMark: 0 },
      );
      return b.send('/hooks/alertmanager', body, withToken());
    });
    while (received < 128) await new Promise((resolve) => setImmediate(resolve));
    const stream = () => new Response(FIRING).body!;
    const refused = await b.send('/hooks/alertmanager', stream(), withToken());
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(b.lines.join()).toContain('too many bodies are being received');
    for (const end of ends) end();
    expect(new Set((await Promise.all(open)).map(({ status }) => status))).toEqual(new Set([400]));
    expect((await b.send('/hooks/alertmanager', stream(), withToken())).status).toBe(202);
  });

  it('a body that breaks off: 503', async () => {
    const broken = new ReadableStream({
      pull: (controller) => controller.error(new Error('gone')),
    });
    expect((await bench([AM]).send('/hooks/alertmanager', broken, withToken())).status).toBe(503);
  });

  it.each<[string, Omit<AlertSource, 'name'>]>([
    ['a mapping that is wrong', { type: 'generic', auth: BEARER, map: { status: 'nope', key: '"k"', labels: {} } }],
    ['a generic source without one', { type: 'generic', auth: BEARER }],
    ['SNS with another proof', { type: 'sns', auth: BEARER }],
  ])('the topology has %s: 503 until it is mended', async (_name, source) => {
    const b = bench([{ ...source, name: 's' }]);
    expect((await b.send('/hooks/s', '{}', withToken())).status).toBe(503);
  });
});

it('tells whoever watches it that it is alive', async () => {
  const { createWebhooks } = await import('../../clients/webhooks/server.ts');
  const response = await createWebhooks(bench([]).options).request('/healthz');
  expect([response.status, await response.json()]).toEqual([200, { ok: true }]);
});
