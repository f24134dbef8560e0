/** Amazon SNS: signatures of both versions, certificates, subscriptions, and everything that only looks like it. */
import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  Certificates,
  certificateUrl,
  confirmationUrl,
  type FetchText,
  fetchText,
} from '../../clients/webhooks/sns.ts';
import { bench } from './app.ts';
import { makeCertificate, type TestCertificate } from './certificate.ts';

const NOW = Date.parse('2026-11-21T02:00:00Z');
const DAY = 86_400_000;
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:alarms';
const CERT_URL = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem';
const SUBSCRIBE_URL = `https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=t0ken`;
const ALARM = JSON.stringify({
  AlarmName: 'euw1',
  NewStateValue: 'ALARM',
  StateChangeTime: '2026-11-21T01:59:00.000+0000',
});

const good = makeCertificate(NOW - DAY, NOW + DAY);

type Fields = Record<string, string | undefined>;

/** As SNS signs: the names in the order of their bytes. */
function signed(
  fields: Fields,
  by: TestCertificate = good,
  algorithm: 'RSA-SHA1' | 'RSA-SHA256' = 'RSA-SHA256',
): string {
  const toSign = Object.keys(fields)
    .filter(
      (name) => fields[name] !== undefined && !['SignatureVersion', 'SigningCertURL', 'UnsubscribeURL'].includes(name),
    )
    .sort()
    .map((name) => `${name}\n${fields[name]}\n`)
    .join('');
  return JSON.stringify({ ...fields, Signature: by.sign(algorithm, toSign) });
}

const notification = (given: Fields = {}): Fields => ({
  ...{ Type: 'Notification', MessageId: 'm-1', TopicArn: TOPIC, Subject: 'ALARM', Message: ALARM },
  ...{ Timestamp: '2026-11-21T01:59:30.000Z', SignatureVersion: '2', SigningCertURL: CERT_URL },
  ...{ UnsubscribeURL: 'https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe' },
  ...given,
});

const confirmation = (given: Fields = {}): Fields => ({
  ...notification({ Type: 'SubscriptionConfirmation', Subject: undefined, UnsubscribeURL: undefined }),
  ...{ Token: 't0ken', SubscribeURL: SUBSCRIBE_URL, Message: 'You have chosen to subscribe …', ...given },
});

function sns(given: { pem?: string; fetch?: FetchText; now?: number } = {}) {
  const asked: string[] = [];
  const fetch: FetchText = async (url, signal) => {
    asked.push(url);
    if (given.fetch !== undefined) return given.fetch(url, signal);
    return url.endsWith('.pem') ? { status: 200, text: given.pem ?? good.pem } : { status: 200, text: '<xml/>' };
  };
  const source = { type: 'sns', auth: { kind: 'sns', topics: [TOPIC] } } as const;
  const b = bench([{ ...source, auth: { ...source.auth, topics: [TOPIC] } }], { fetch, now: () => given.now ?? NOW });
  const send = (body: string, headers?: Record<string, string>) => b.send('/hooks/sns', body, headers);
  return { ...b, asked, send };
}

describe('an alarm', () => {
  it.each([
    ['1', 'RSA-SHA1'],
    ['2', 'RSA-SHA256'],
  ] as const)('with signature version %s', async (version, algorithm) => {
    const s = sns();
    const answered = await s.send(signed(notification({ SignatureVersion: version }), good, algorithm), {
      'content-type': 'text/plain',
    });
    expect([answered.status, answered.json]).toEqual([202, { result: 'accepted', alerts: 1 }]);
    expect(s.delivered[0]![0]).toMatchObject({ delivery: 'm-1', key: 'euw1', status: 'firing' });
  });

  it('without a subject, which is then not signed', async () => {
    expect((await sns().send(signed(notification({ Subject: undefined })))).status).toBe(202);
    const nothing = JSON.stringify({ ...JSON.parse(signed(notification({ Subject: undefined }))), Subject: null });
    expect((await sns().send(nothing)).status).toBe(202);
  });

  it('costs one look at the certificate, however many there are', async () => {
    const s = sns();
    const all = Array.from({ length: 20 }, (_, i) => s.send(signed(notification({ MessageId: `m-${i}` }))));
    expect(new Set((await Promise.all(all)).map(({ status }) => status))).toEqual(new Set([202]));
    expect(s.asked).toEqual([CERT_URL]);
  });
});

describe('refused', () => {
  it.each<[string, string, string]>([
    ['another text', signed(notification()).replace('euw1', 'euw2'), 'its signature is wrong'],
    ['another key', signed(notification(), makeCertificate(NOW - DAY, NOW + DAY)), 'its signature is wrong'],
    ['no signature in it', JSON.stringify({ ...notification(), Signature: 'xyz' }), 'its signature is wrong'],
    ['SHA-1 called SHA-256', signed(notification(), good, 'RSA-SHA1'), 'its signature is wrong'],
    ['another version', signed(notification({ SignatureVersion: '3' })), 'its SignatureVersion is neither 1 nor 2'],
    ['another topic', signed(notification({ TopicArn: `${TOPIC}2` })), 'its topic is not in the list of the source'],
    ['an old message', signed(notification({ Timestamp: '2026-11-21T00:50:00.000Z' })), 'a replay, or a wrong clock'],
    [
      'a message of tomorrow',
      signed(notification({ Timestamp: '2026-11-22T00:50:00.000Z' })),
      'a replay, or a wrong clock',
    ],
    ['a message of no time', signed(notification({ Timestamp: 'now' })), 'a replay, or a wrong clock'],
    [
      'a certificate of another host',
      signed(notification({ SigningCertURL: 'https://sns.evil.example/x.pem' })),
      'its SigningCertURL is not of AWS',
    ],
    ['raw delivery', ALARM, 'with raw message delivery nothing is signed'],
    ['no JSON', 'hello', 'with raw message delivery nothing is signed'],
    ['a missing field', signed(notification({ MessageId: undefined })), 'the SNS message has no MessageId'],
    [
      'a mistyped field',
      JSON.stringify({ ...JSON.parse(signed(notification())), MessageId: 7 }),
      'the SNS message has no MessageId',
    ],
    ['no certificate', signed(notification({ SigningCertURL: undefined })), 'lacks one of Signature'],
    ['another type', signed(notification({ Type: 'Other' })), 'it is no signed SNS message'],
  ])('%s', async (_name, body, reason) => {
    const s = sns();
    expect((await s.send(body)).status).toBe(401);
    expect(s.lines.join()).toContain(reason);
    expect(s.delivered).toEqual([]);
  });

  it('before anything is fetched for a stranger', async () => {
    const s = sns();
    await s.send(signed(notification({ TopicArn: `${TOPIC}2` })));
    await s.send(signed(confirmation({ TopicArn: `${TOPIC}2` })));
    expect(s.asked).toEqual([]);
  });

  it('a certificate that is not valid now', async () => {
    const old = makeCertificate(NOW - 2 * DAY, NOW - DAY);
    const s = sns({ pem: old.pem });
    expect((await s.send(signed(notification(), old))).status).toBe(401);
    expect(s.lines.join()).toContain('its certificate is not valid now');
  });

  it('what is no certificate, and is asked for again', async () => {
    const s = sns({ pem: 'hello' });
    expect([(await s.send(signed(notification()))).status, (await s.send(signed(notification()))).status]).toEqual([
      401, 401,
    ]);
    expect(s.asked).toHaveLength(2);
    expect((await sns({ fetch: async () => ({ status: 403, text: '' }) }).send(signed(notification()))).status).toBe(
      401,
    );
  });
});

describe('when AWS does not answer', () => {
  it.each<[string, FetchText]>([
    ['nothing', async () => Promise.reject(new Error('ECONNREFUSED'))],
    ['an error of its own', async () => ({ status: 500, text: '' })],
  ])('%s: 503, and the next message asks again', async (_name, fetch) => {
    let away = true;
    const s = sns({ fetch: async (url, signal) => (away ? fetch(url, signal) : { status: 200, text: good.pem }) });
    expect((await s.send(signed(notification()))).status).toBe(503);
    away = false;
    expect((await s.send(signed(notification()))).status).toBe(202);
  });
});

describe('a subscription', () => {
  it('of a topic in the list is confirmed', async () => {
    const s = sns();
    const answered = await s.send(signed(confirmation()));
    expect([answered.status, answered.json]).toEqual([202, { result: 'accepted', alerts: 0 }]);
    expect(s.asked).toEqual([CERT_URL, SUBSCRIBE_URL]);
    expect(s.lines.join()).not.toContain('t0ken');
  });

  it.each([
    ['of another host', 'https://evil.example/?Action=ConfirmSubscription'],
    ['of another topic', SUBSCRIBE_URL.replace(':alarms', ':others')],
    ['for something else', SUBSCRIBE_URL.replace('ConfirmSubscription', 'Publish')],
    ['without one', ''],
  ])('%s is not', async (_name, url) => {
    const s = sns();
    expect((await s.send(signed(confirmation({ SubscribeURL: url })))).status).toBe(401);
    expect(s.asked).toEqual([CERT_URL]);
  });

  it('that nobody signed is not', async () => {
    const s = sns();
    expect((await s.send(signed(confirmation()).replace('You have', 'I have'))).status).toBe(401);
    expect(s.asked).toEqual([CERT_URL]);
  });

  it('that AWS does not take now is sent again', async () => {
    for (const outcome of [async () => ({ status: 500, text: '' }), async () => Promise.reject(new Error('away'))]) {
      const fetch: FetchText = async (url) => (url === CERT_URL ? { status: 200, text: good.pem } : outcome());
      expect((await sns({ fetch }).send(signed(confirmation()))).status).toBe(503);
    }
  });

  it('that ends is said in the log, and not begun anew', async () => {
    const s = sns();
    const answered = await s.send(signed(confirmation({ Type: 'UnsubscribeConfirmation' })));
    expect([answered.status, answered.json.result]).toEqual([202, 'ignored']);
    expect(s.asked).toEqual([CERT_URL]);
    expect(s.lines.join()).toContain('no more alarms of it will come');
  });
});

describe('addresses of AWS', () => {
  it.each([
    CERT_URL,
    'https://sns.us-gov-west-1.amazonaws.com/x.pem',
    'https://sns.cn-north-1.amazonaws.com.cn/x.pem',
    'https://SNS.eu-west-1.amazonaws.com:443/x.pem',
  ])('%s', (url) => {
    expect(certificateUrl(url)).not.toBeNull();
  });

  it.each([
    'http://sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com/x.pem?',
    'https://sns.eu-west-1.amazonaws.com/x?y=.pem',
    'https://sns.eu-west-1.amazonaws.com/x.pem#y',
    'https://sns.eu-west-1.amazonaws.com/bucket/x.pem',
    'https://sns.eu-west-1.amazonaws.com:8443/x.pem',
    'https://me@sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com@evil.example/x.pem',
    'https://evil.example\\@sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com.evil.example/x.pem',
    'https://evil.sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com.cn.example/x.pem',
    'https://s3.eu-west-1.amazonaws.com/x.pem',
    'https://sns-eu-west-1.amazonaws.com/x.pem',
    'https://sns..amazonaws.com/x.pem',
    'https://169.254.169.254/x.pem',
    'file:///etc/passwd.pem',
    '',
  ])('not %s', (url) => {
    expect(certificateUrl(url)).toBeNull();
  });

  it('a confirmation has one path and one topic', () => {
    expect(confirmationUrl(SUBSCRIBE_URL, TOPIC)).not.toBeNull();
    expect(confirmationUrl(SUBSCRIBE_URL.replace('/?', '/x?'), TOPIC)).toBeNull();
    expect(confirmationUrl(null, TOPIC)).toBeNull();
  });
});

it('keeps a few certificates and no more', async () => {
  let asked = 0;
  const kept = new Certificates(async () => {
    asked += 1;
    return { status: 200, text: good.pem };
  });
  const url = (i: number) => certificateUrl(`https://sns.eu-west-1.amazonaws.com/c${i}.pem`)!;
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++) expect(await kept.get(url(i), signal)).toBeInstanceOf(X509Certificate);
  await kept.get(url(19), signal);
  await kept.get(url(0), signal);
  expect(asked).toBe(21);
});

it('follows no redirect and reads no more than a certificate is long', async () => {
  const { createServer } = await import('node:http');
  const { freePort } = await import('../../lab/ports.ts');
  const port = await freePort();
  const server = createServer((request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/ok' }).end();
    else response.end(request.url === '/big' ? 'x'.repeat(100_000) : 'certificate');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    const { signal } = new AbortController();
    const get = (path: string) => fetchText(`http://127.0.0.1:${port}${path}`, signal);
    expect(await get('/ok')).toEqual({ status: 200, text: 'certificate' });
    await expect(get('/moved')).rejects.toThrow();
    await expect(get('/big')).rejects.toThrow('127.0.0.1 sends too much');
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
