/** Signatures: vectors of other implementations, and everything that is nearly right. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import {
  basicCredentials,
  bearerToken,
  genericScheme,
  type HmacCheck,
  isOneOf,
  PAGERDUTY,
  PLAIN,
  standardWebhooksKey,
  verifyHmac,
  verifyStandardWebhooks,
} from '../../clients/webhooks/verify.ts';
import { HMAC } from './fixtures.ts';

const { body, timestamp, vectors } = HMAC;
const now = timestamp * 1000;

const check = (given: Partial<HmacCheck>): string | null =>
  verifyHmac({
    ...{ header: vectors.grafana_no_timestamp.value, scheme: PLAIN, encoding: 'hex', signed: [body] },
    ...{ secrets: ['s3cret'], timestamp: null, toleranceS: 300, now, ...given },
  });

describe('vectors of other implementations', () => {
  it.each<[string, Partial<HmacCheck>]>([
    ['PagerDuty', { header: vectors.pagerduty.value, scheme: PAGERDUTY }],
    ['Grafana', {}],
    [
      'Grafana with its timestamp header',
      {
        header: vectors.grafana_with_timestamp.value,
        signed: [`${timestamp}:`, Buffer.from(body)],
        timestamp: String(timestamp),
      },
    ],
    ['GitHub', { header: vectors.github.value, scheme: genericScheme(vectors.github.value), encoding: 'either' }],
  ])('%s', (_name, given) => {
    expect(check(given)).toBeNull();
    expect(check({ ...given, secrets: ['old', 's3cret'] })).toBeNull();
    expect(check({ ...given, secrets: ['other'] })).toBe('the signature is right for none of 1 secrets');
    expect(check({ ...given, secrets: [] })).toBe('the signature is right for none of 0 secrets');
    expect(check({ ...given, signed: [`${body} `] })).toContain('right for none');
  });
});

describe('what is nearly right', () => {
  const right = vectors.pagerduty.value;

  it.each<[string, Partial<HmacCheck>, string]>([
    ['no header', { header: null }, 'there is no signature'],
    ['an empty header', { header: '' }, 'there is no signature'],
    ['another version', { header: right.replace('v1=', 'v2=') }, 'the signature has another form'],
    ['one digit less', { header: right.slice(0, -1) }, 'the signature has another form'],
    ['one digit more', { header: `${right}0` }, 'the signature has another form'],
    ['another alphabet', { header: `v1=${'z'.repeat(64)}` }, 'the signature has another form'],
    ['base64 instead of hex', { header: `v1=${'A'.repeat(43)}=` }, 'the signature has another form'],
    ['a wrong digit', { header: `${right.slice(0, -1)}0` }, 'right for none of 1 secrets'],
    [
      'right only after ten others',
      { header: [...Array(10).fill(`v1=${'0'.repeat(64)}`), right].join(',') },
      'right for none',
    ],
  ])('%s', (_name, given, reason) => {
    expect(check({ scheme: PAGERDUTY, header: right, ...given })).toContain(reason);
  });

  it('one of several signatures is enough, as while the sender rotates its secret', () => {
    expect(check({ scheme: PAGERDUTY, header: `v1=${'0'.repeat(64)},${right}` })).toBeNull();
    expect(check({ scheme: PAGERDUTY, header: `v0=${'0'.repeat(64)}, ${right}` })).toBeNull();
  });

  it.each([
    [timestamp * 1000 + 300_000, null],
    [timestamp * 1000 - 300_000, null],
    [timestamp * 1000 + 301_000, 'the signed time is 301 s ago, more than 300 s: a replay, or a wrong clock'],
    [timestamp * 1000 - 301_000, 'the signed time is 301 s ahead, more than 300 s: a replay, or a wrong clock'],
  ])('a signed time at %s', (at, problem) => {
    const signed = [`${timestamp}:`, body];
    expect(check({ header: vectors.grafana_with_timestamp.value, signed, timestamp: String(timestamp), now: at })).toBe(
      problem,
    );
  });

  it.each(['', 'soon', '-1', '1e9', '1700000000.5', '9'.repeat(20)])('the signed time %j is none', (text) => {
    expect(check({ timestamp: text })).toBe('the signed time is no number of seconds');
  });
});

describe('Standard Webhooks', () => {
  const { secret, value } = vectors.standard_webhooks;
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(timestamp), 'webhook-signature': value };
  const verify = (given: Record<string, string | undefined>, text = body, secrets = [secret]): string | null =>
    verifyStandardWebhooks(
      (name) => ({ ...headers, ...given })[name as 'webhook-id'] ?? null,
      Buffer.from(text),
      secrets,
      now,
    );

  it('takes the vector, bare secrets, and one signature of several', () => {
    expect(verify({})).toBeNull();
    expect(verify({}, body, [secret.slice('whsec_'.length)])).toBeNull();
    expect(verify({ 'webhook-signature': `v1a,${'A'.repeat(86)}== v1,${'A'.repeat(43)}= ${value}` })).toBeNull();
  });

  it.each<[Record<string, string | undefined>, string]>([
    [{ 'webhook-id': 'msg_2' }, 'right for none'],
    [{ 'webhook-timestamp': String(timestamp + 1) }, 'right for none'],
    [{ 'webhook-timestamp': String(timestamp - 400) }, 'a replay'],
    [{ 'webhook-signature': `v1a,${value.slice(3)}` }, 'another form'],
    [{ 'webhook-signature': undefined }, 'there is no signature'],
    [{ 'webhook-id': undefined }, 'is missing'],
    [{ 'webhook-timestamp': undefined }, 'is missing'],
    [{ 'webhook-id': 'msg.1' }, 'has a dot in it'],
  ])('%o', (given, reason) => {
    expect(verify(given)).toContain(reason);
  });

  it('says what is wrong with a secret without showing it', () => {
    expect(() => standardWebhooksKey('whsec_not base64!')).toThrow(
      /^a secret of Standard Webhooks is whsec_ and base64/,
    );
    expect(() => standardWebhooksKey('')).toThrow(/^a secret of/);
  });

  it('agrees with the reference implementation', () => {
    const key = fc
      .uint8Array({ minLength: 24, maxLength: 64 })
      .map((bytes) => `whsec_${Buffer.from(bytes).toString('base64')}`);
    fc.assert(
      fc.property(
        key,
        key,
        fc.string(),
        fc.stringMatching(/^[a-z0-9_]{1,30}$/),
        fc.boolean(),
        (one, two, text, id, same) => {
          const at = new Date();
          const signature = new Webhook(one).sign(id, at, text);
          const mine = verifyStandardWebhooks(
            (name) =>
              ({
                'webhook-id': id,
                'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
                'webhook-signature': signature,
              })[name] ?? null,
            Buffer.from(text),
            [same ? one : two],
            at.getTime(),
          );
          expect(mine === null).toBe(same || one === two);
        },
      ),
    );
  });
});

describe('shared secrets', () => {
  it('compares whole texts', () => {
    expect(isOneOf('abc', ['x', 'abc'])).toBe(true);
    for (const wrong of ['ab', 'abcd', 'ABC', '', 'abc ', null])
      expect(isOneOf(wrong, ['x', 'abc']), String(wrong)).toBe(false);
    expect(isOneOf('', [])).toBe(false);
  });

  it('reads the header Authorization', () => {
    expect(bearerToken('Bearer t0ken')).toBe('t0ken');
    expect(bearerToken('bearer  t0ken')).toBe('t0ken');
    for (const wrong of [null, '', 'Bearer', 'Bearer ', 'Basic t0ken', 'Bearer a b'])
      expect(bearerToken(wrong)).toBeNull();
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    expect(basicCredentials(basic('am:p:w'))).toEqual({ user: 'am', password: 'p:w' });
    for (const wrong of [null, 'Basic', 'Basic ???', basic('no colon'), 'Bearer x'])
      expect(basicCredentials(wrong)).toBeNull();
  });
});

it('an HMAC in base64 is told from one in hex by its length', () => {
  const mac = createHmac('sha256', 's3cret').update(body);
  expect(check({ header: mac.digest('base64'), encoding: 'either' })).toBeNull();
});
