/** Each channel against a server that does what its makers document, and against one that does anything else. */

import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { verifyStandardWebhooks } from '../../clients/webhooks/verify.ts';
import type { PagerDutyChannel, SlackChannel, WebhookChannel } from '../../topology/channels.ts';
import { CARD, failureOf, RUN, type Teller, teller, WAITING } from './call.ts';
import { type Peer, startPagerDuty, startPeer, startSlack } from './peers.ts';

const SECRETS = {
  SLACK_TOKEN: 'xoxb-very-secret-token',
  PD_KEY: 'R0UT1NGKEY0000000000000000000000',
  HOOK_SECRET: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
};
const common = { events: [], severity: 'info' as const, services: [], drills: false };

beforeAll(() => Object.assign(process.env, SECRETS));
afterAll(() => {
  for (const name of Object.keys(SECRETS)) delete process.env[name];
});

let peer: Peer;
let ops: Teller;
afterEach(() => peer.close());

const bodies = () => peer.received.map(({ path, body }) => [path, JSON.parse(body)] as const);

describe('Slack', () => {
  const channel = (more: Partial<SlackChannel> = {}): SlackChannel => ({
    ...{ name: 'ops', type: 'slack', token: '${env:SLACK_TOKEN}', channel: 'C0123456789', url: `${peer.url}/api` },
    ...{ signingSecrets: ['${env:SIGN}'], approvers: { U024BE7LH: 'ana' }, ...common, ...more },
  });
  beforeEach(async () => {
    peer = await startSlack(SECRETS.SLACK_TOKEN, 'C0123456789');
    ops = teller(channel());
  });

  test('one message is posted and then brought up to date; lines stand in its thread, the loud ones seen by all', async () => {
    const { kept } = await ops.tell('run-started', { part: 'card' });
    expect(kept).toEqual({ channel: 'C0123456789', ts: '1700000000.000001' });
    expect(await ops.tell('approval-required', { part: 'card', card: WAITING, kept })).toEqual({ kept });
    expect(await ops.tell('approval-required', { part: 'thread', card: WAITING, kept })).toEqual({ kept });
    await ops.tell('weight-changed', { part: 'thread', kept });
    expect(
      bodies().map(([path, { ts, thread_ts, reply_broadcast }]) => [path, ts, thread_ts, reply_broadcast]),
    ).toEqual([
      ['/api/chat.postMessage', undefined, undefined, undefined],
      ['/api/chat.update', kept!.ts, undefined, undefined],
      ['/api/chat.postMessage', undefined, kept!.ts, true],
      ['/api/chat.postMessage', undefined, kept!.ts, undefined],
    ]);
    expect(ops.counted).toEqual(Array(4).fill('ops sent'));
  });

  test('a gate has buttons that carry run, gate and proof; when it is closed they are gone', async () => {
    const { kept } = await ops.tell('approval-required', { part: 'card', card: WAITING });
    await ops.tell('approval-granted', { part: 'card', kept });
    const [[, asked], [, after]] = bodies() as [ReturnType<typeof bodies>[0], ReturnType<typeof bodies>[0]];
    const buttons = asked.blocks.find(({ type }: { type: string }) => type === 'actions').elements;
    expect(buttons.map(({ action_id }: { action_id: string }) => action_id)).toEqual([
      'rampart-approve',
      'rampart-reject',
    ]);
    expect(JSON.parse(buttons[0].value)).toEqual({
      ...{ channel: 'ops', workflowId: RUN.workflowId, runId: RUN.runId, gate: 'cutover.1' },
      nonce: expect.stringMatching(/^[\w-]{32}$/),
    });
    expect(JSON.stringify(after.blocks)).not.toContain('actions');
  });

  test('accepting a risk by name takes more than a click; without approvers there are no buttons', async () => {
    const risky = { ...WAITING, gate: { ...WAITING.gate!, needsOverride: ['weakFence'] } };
    await ops.tell('approval-required', { part: 'card', card: risky });
    await teller(channel({ approvers: {} })).tell('approval-required', { part: 'card', card: WAITING });
    const [[, first], [, second]] = bodies() as [ReturnType<typeof bodies>[0], ReturnType<typeof bodies>[0]];
    expect(JSON.stringify(first)).not.toContain('rampart-approve');
    expect(JSON.stringify(first)).toContain('rampart-reject');
    expect(JSON.stringify(first)).toContain('rampart approve checkout --gate cutover.1 --override weakFence');
    expect(JSON.stringify(second)).not.toContain('"actions"');
  });

  test('what people typed names nobody and links nowhere; whatever is long still is a message', async () => {
    const text = '<!channel> <https://evil|click> & '.repeat(400);
    await ops.tell('run-held', { part: 'card', card: { ...WAITING, reason: text, text, service: 'x'.repeat(300) } });
    await ops.tell('run-held', {
      part: 'thread',
      event: { number: 1, name: 'run-held', severity: 'error', at: 0, text },
    });
    expect(peer.received).toHaveLength(2);
    for (const { body } of peer.received) expect(body).not.toContain('<!channel>');
  });

  test('a message that somebody deleted is written anew with the next event', async () => {
    const gone = { channel: 'C0123456789', ts: '1.1' };
    expect(await ops.tell('weight-changed', { part: 'card', kept: gone })).toEqual({ kept: null });
  });

  test.each([
    [
      'a wrong token',
      { status: 200, body: '{"ok":false,"error":"invalid_auth"}' },
      true,
      'Slack: invalid_auth; the bot token is wrong',
    ],
    [
      'a bot that is not in the channel',
      { status: 200, body: '{"ok":false,"error":"not_in_channel"}' },
      true,
      'invite the bot',
    ],
    [
      'trouble of its own',
      { status: 200, body: '{"ok":false,"error":"internal_error"}' },
      false,
      'Slack: internal_error',
    ],
    ['no JSON', { status: 200, body: '<html>' }, false, 'no JSON'],
    ['a server error', { status: 502 }, false, 'Slack answers 502'],
  ])('%s', async (_, reply, final, text) => {
    peer.next.push(reply);
    const failure = await failureOf(ops.tell('run-started', { part: 'card' }));
    expect([failure.nonRetryable, failure.message]).toEqual([final, expect.stringContaining(text)]);
    expect(ops.counted).toEqual(['ops failed']);
  });

  test('whatever a service says back, the token is not in it', async () => {
    peer.next.push({ status: 200, body: JSON.stringify({ ok: false, error: `bad ${SECRETS.SLACK_TOKEN}` }) });
    const failure = await failureOf(ops.tell('run-started', { part: 'card' }));
    expect(failure.message).toBe('Slack: bad •••');
    expect(JSON.stringify([failure, failure.stack, ops.logged])).not.toContain(SECRETS.SLACK_TOKEN);
  });

  test.each([
    ['7', 7_000],
    ['3600', 30_000],
    ['soon', undefined],
    [new Date(0).toUTCString(), 0],
  ])('too many messages, Retry-After %s', async (after, ms) => {
    peer.next.push({ status: 429, headers: { 'retry-after': after } });
    const failure = await failureOf(ops.tell('run-started', { part: 'card' }));
    expect(failure).toMatchObject({ nonRetryable: false, message: 'Slack answers 429' });
    expect(failure.nextRetryDelay ?? undefined).toBe(ms);
  });
});

describe('PagerDuty', () => {
  const channel = (): PagerDutyChannel => ({
    ...{ name: 'duty', type: 'pagerduty', routingKey: '${env:PD_KEY}', url: peer.url, ...common },
  });
  const KEY = `${RUN.workflowId}/${RUN.runId}`;
  let open: Set<string>;
  beforeEach(async () => {
    const duty = await startPagerDuty(SECRETS.PD_KEY);
    ({ open } = duty);
    peer = duty;
    ops = teller(channel());
  });

  test('pages while people are needed, resolves when they have answered, and pages again for the next gate', async () => {
    let { kept } = await ops.tell('run-started');
    expect(open.size).toBe(0);
    ({ kept } = await ops.tell('approval-required', { card: WAITING, kept }));
    expect([...open]).toEqual([KEY]);
    // One of two approvals: still needed.
    ({ kept } = await ops.tell('approval-granted', { card: WAITING, kept }));
    expect([...open]).toEqual([KEY]);
    ({ kept } = await ops.tell('approval-granted', { card: CARD, kept }));
    expect(open.size).toBe(0);
    ({ kept } = await ops.tell('run-held', { card: { ...CARD, holding: { reason: 'x', choices: ['retry'] } }, kept }));
    expect([...open]).toEqual([KEY]);
    ({ kept } = await ops.tell('run-completed', { card: { ...CARD, outcome: 'completed' }, kept }));
    expect(open.size).toBe(0);
    expect(bodies().map(([path, { event_action }]) => event_action ?? path)).toEqual([
      '/v2/change/enqueue', 'trigger', '/v2/change/enqueue', 'resolve', 'trigger', 'resolve',
    ]); // biome-ignore format: a list
  });

  test('a run that needs a person at its end leaves the alert open; one that is back as it was does not', async () => {
    await ops.tell('run-failed', { card: { ...CARD, outcome: 'needsHuman' }, kept: { open: 'false' } });
    expect(open.size).toBe(1);
    await ops.tell('run-failed', { card: { ...CARD, outcome: 'rolledBack' }, kept: { open: 'true' } });
    expect(open.size).toBe(0);
  });

  test('a gate that was answered meanwhile wakes nobody', async () => {
    await ops.tell('approval-required', { card: CARD });
    expect(bodies()[0]![0]).toBe('/v2/change/enqueue');
  });

  test('a wrong key is final, and is not told', async () => {
    process.env.PD_KEY = 'a-wrong-key';
    const failure = await failureOf(ops.tell('run-started'));
    process.env.PD_KEY = SECRETS.PD_KEY;
    expect(failure).toMatchObject({ nonRetryable: true, message: 'PagerDuty answers 400' });
    expect(JSON.stringify([failure, ops.logged])).not.toContain('a-wrong-key');
  });
});

describe('a webhook', () => {
  const channel = (more: Partial<WebhookChannel> = {}): WebhookChannel => ({
    ...{
      name: 'hook',
      type: 'webhook',
      url: `${peer.url}/in?x=1`,
      secret: '${env:HOOK_SECRET}',
      allow: ['127.0.0.0/8'],
    },
    ...{ ...common, ...more },
  });
  beforeEach(async () => {
    peer = await startPeer(() => ({ status: 204 }));
    ops = teller(channel());
  });

  test('is a CloudEvent, signed as Standard Webhooks says', async () => {
    await ops.tell('run-held', { card: WAITING });
    const [{ path, headers, body }] = peer.received as [Peer['received'][0]];
    expect(path).toBe('/in?x=1');
    expect(headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
    expect(JSON.parse(body)).toMatchObject({
      ...{
        specversion: '1.0',
        id: '0192f0c0-run-1',
        type: 'dev.rampart.run-held',
        source: '/rampart/failover/checkout',
      },
      ...{ subject: 'checkout', time: '2026-03-29T03:12:00.000Z', datacontenttype: 'application/json' },
      data: { severity: 'error', text: 'what happened: run-held', run: { gate: { id: 'cutover.1' } } },
    });
    const header = (name: string) => (headers[name] as string | undefined) ?? null;
    // By its makers' own library, and by our own ear.
    expect(() => new Webhook(SECRETS.HOOK_SECRET).verify(body, headers as Record<string, string>)).not.toThrow();
    expect(verifyStandardWebhooks(header, Buffer.from(body), [SECRETS.HOOK_SECRET], Date.now())).toBeNull();
  });

  test('every attempt of one event has one id', async () => {
    peer.next.push({ status: 500 });
    expect((await failureOf(ops.tell('run-held'))).nonRetryable).toBe(false);
    await ops.tell('run-held');
    expect(new Set(peer.received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set(['0192f0c0-run-1']));
  });

  test('a redirect is not followed, not even to where it may send', async () => {
    peer.next.push({ status: 302, headers: { location: `${peer.url}/elsewhere` } });
    expect(await failureOf(ops.tell('run-held'))).toMatchObject({
      nonRetryable: true,
      message: expect.stringContaining('redirects are not followed'),
    });
    expect(peer.received).toHaveLength(1);
  });

  test('without being allowed, an address that is not public is refused before anything is sent', async () => {
    const port = new URL(peer.url).port;
    for (const url of [
      peer.url,
      `http://localhost:${port}/`,
      `http://[::1]:${port}/`,
      `http://2130706433:${port}/`,
      `http://0x7f.1:${port}/`,
      'http://169.254.169.254/latest/meta-data/',
    ]) {
      const failure = await failureOf(teller(channel({ url, allow: [] })).tell('run-held'));
      expect([failure.nonRetryable, failure.message], url).toEqual([
        true,
        expect.stringContaining('is not a public address'),
      ]);
    }
    expect(peer.received).toEqual([]);
  });

  test('an answer that never ends is cut; a server that is gone is tried again', async () => {
    peer.next.push({ status: 200, body: 'x'.repeat(100_000) });
    expect((await failureOf(ops.tell('run-held'))).message).toContain('the answer is too long');
    const gone = peer.url;
    await peer.close();
    const failure = await failureOf(teller(channel({ url: gone })).tell('run-held'));
    expect(failure).toMatchObject({ nonRetryable: false, message: expect.stringContaining('ECONNREFUSED') });
  });

  test('a secret that is none, or is missing, is said without its value', async () => {
    vi.stubEnv('HOOK_SECRET', 'not base64 at all!');
    const failure = await failureOf(ops.tell('run-held'));
    vi.unstubAllEnvs();
    expect(failure.message).toContain('none of Standard Webhooks');
    expect(failure.message).not.toContain('not base64');
    const missing = await failureOf(teller(channel({ secret: '${env:NOT_THERE}' })).tell('run-held'));
    expect(missing.message).toContain('NOT_THERE is not set in this worker');
  });

  test('a channel that was taken out of the topology is not an error that is tried again', async () => {
    expect(await failureOf(ops.tell('run-held', { channel: 'old' }))).toMatchObject({
      nonRetryable: true,
      message: 'the topology has no channel old any more',
    });
  });
});
