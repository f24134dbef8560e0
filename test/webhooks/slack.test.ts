/** Buttons pressed in Slack: who may decide, what counts, and what anybody else can send. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWebhooks } from '../../clients/webhooks/server.ts';
import { type Outcome, type Pressed, SLACK_PATH } from '../../clients/webhooks/slack.ts';
import type { SlackChannel } from '../../topology/channels.ts';
import { SLACK_ACTIONS, type SlackButton, slackButton } from '../../topology/slack-button.ts';
import { secretOf } from './app.ts';

const NOW = 1_700_000_000_000;
const SIGNING = secretOf('${env:SIGN}');
const TOKEN = secretOf('${env:TOKEN}');
const URL_OF = 'https://hooks.slack.com/actions/T1/2/3';

const CHANNEL: SlackChannel = {
  ...{ name: 'ops', type: 'slack', token: '${env:TOKEN}', channel: 'C0123456789', url: 'https://slack.com/api' },
  ...{ signingSecrets: ['${env:OLD}', '${env:SIGN}'], approvers: { U024BE7LH: 'ana@example.com' } },
  ...{ events: [], severity: 'info', services: [], drills: false },
};
const OTHER: SlackChannel = { ...CHANNEL, name: 'other', channel: 'C9999999999', signingSecrets: ['${env:OTHER}'] };

let decided: Pressed[];
let replies: Array<[string, string]>;
let lines: string[];
let outcome: Outcome;
let channels: SlackChannel[];
let late: Promise<void>;

beforeEach(() => {
  [decided, replies, lines] = [[], [], []];
  outcome = { kind: 'applied', text: 'gate cutover.1: approve by ana@example.com' };
  channels = [OTHER, CHANNEL];
  late = Promise.resolve();
});

afterEach(() => {
  for (const secret of [SIGNING, TOKEN]) expect(lines.join('\n')).not.toContain(secret);
});

function app(deadlineMs = 2_500) {
  const write = (message: string, facts?: object): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
  return createWebhooks({
    inbox: { sources: async () => ({}), deliver: async () => 'ignored' },
    secret: async (reference) => secretOf(reference),
    ...{ loopback: true, now: () => NOW, deadlineMs },
    log: { debug: write, info: write, warn: write, error: write },
    slack: {
      channels: async () => channels,
      decide: async (pressed) => {
        decided.push(pressed);
        await late;
        return outcome;
      },
      reply: (url, text) => replies.push([url, text]),
    },
  });
}

const BUTTON = { channel: 'ops', workflowId: 'failover/checkout', runId: 'run-1', gate: 'cutover.1' };
const own = (): SlackButton => slackButton(BUTTON, TOKEN);

interface Click {
  user?: unknown;
  place?: unknown;
  action?: string;
  value?: unknown;
  type?: string;
  url?: unknown;
}

function payload(click: Click = {}): object {
  const value = click.value ?? own();
  return {
    ...{ type: click.type ?? 'block_actions', trigger_id: 't.1', response_url: click.url ?? URL_OF },
    user: { id: click.user ?? 'U024BE7LH', username: 'ana' },
    channel: { id: click.place ?? 'C0123456789' },
    actions: [
      {
        ...{ action_id: click.action ?? SLACK_ACTIONS.approve, action_ts: '1700000000.1', type: 'button' },
        value: typeof value === 'string' ? value : JSON.stringify(value),
      },
    ],
  };
}

const form = (content: unknown): string => new URLSearchParams({ payload: JSON.stringify(content) }).toString();
const sign = (body: string | Uint8Array, secret: string, at: string | number): string =>
  `v0=${createHmac('sha256', secret).update(`v0:${at}:`).update(body).digest('hex')}`;

async function send(body: string | Uint8Array, headers: Record<string, string>, deadlineMs?: number): Promise<number> {
  const response = await app(deadlineMs).request(SLACK_PATH, { method: 'POST', body: body as string, headers });
  const text = await response.text();
  // Slack would show what a body says.
  if (response.status === 200) expect(text).toBe('');
  return response.status;
}

function signed(body: string | Uint8Array, secret = SIGNING, at = NOW / 1000): Promise<number> {
  return send(body, { 'x-slack-request-timestamp': String(at), 'x-slack-signature': sign(body, secret, at) });
}
const press = (click: Click = {}): Promise<number> => signed(form(payload(click)));

describe('a button', () => {
  test.each([
    ['approve', SLACK_ACTIONS.approve],
    ['reject', SLACK_ACTIONS.reject],
  ])('%s is said to the run by the name that approvals know', async (decision, action) => {
    expect(await press({ action })).toBe(200);
    expect(decided).toEqual([
      {
        ...{ workflowId: 'failover/checkout', runId: 'run-1', gate: 'cutover.1', decision, by: 'ana@example.com' },
        updateId: expect.stringMatching(/^slack-[0-9a-f]{32}$/),
      },
    ]);
    expect(replies).toEqual([[URL_OF, outcome.text]]);
  });

  test('pressed twice is one decision; another gate, another person or the other button is another', async () => {
    channels = [{ ...CHANNEL, approvers: { ...CHANNEL.approvers, U0BOB: 'bob' } }];
    const next = slackButton({ ...BUTTON, gate: 'cutover.2' }, TOKEN);
    for (const click of [{}, {}, { value: next }, { user: 'U0BOB' }, { action: SLACK_ACTIONS.reject }])
      await press(click);
    expect(decided).toHaveLength(5);
    expect(new Set(decided.map(({ updateId }) => updateId)).size).toBe(4);
    expect(decided[0]!.updateId).toBe(decided[1]!.updateId);
  });

  test('that the run refuses decides nothing, and the person is told why', async () => {
    outcome = {
      kind: 'refused',
      text: 'ana@example.com asked for this run; with four eyes somebody else must approve it',
    };
    expect(await press()).toBe(200);
    expect(replies).toEqual([[URL_OF, `Not counted: ${outcome.text}`]]);
  });

  test('that no worker takes in time is a failure that people see', async () => {
    outcome = { kind: 'lost', text: 'no worker took it in time' };
    expect(await press()).toBe(503);
    expect(replies[0]![1]).toContain('Press again');
  });

  test('is answered before Slack gives up, whatever hangs', async () => {
    let go = (): void => undefined;
    late = new Promise((resolve) => {
      go = resolve;
    });
    const body = form(payload());
    const headers = {
      'x-slack-request-timestamp': String(NOW / 1000),
      'x-slack-signature': sign(body, SIGNING, NOW / 1000),
    };
    expect(await send(body, headers, 20)).toBe(503);
    go();
  });
});

describe('nothing is decided by', () => {
  const nothing = async (status: Promise<number>, expected: number): Promise<void> => {
    expect(await status).toBe(expected);
    expect(decided).toEqual([]);
  };

  test('somebody who is no approver', async () => {
    await nothing(press({ user: 'UEVE' }), 200);
    expect(replies[0]![1]).toContain('not among the approvers');
    await nothing(press({ user: 'constructor' }), 200);
  });

  test.each([
    ['one that Rampart did not make', { ...BUTTON, nonce: 'x'.repeat(32) }],
    ['one made with another token', slackButton(BUTTON, 'another token')],
    ['a gate that was changed', { ...slackButton(BUTTON, TOKEN), gate: 'promote.1' }],
    ['a run that was changed', { ...slackButton(BUTTON, TOKEN), runId: 'run-2' }],
    ['a channel that was changed', { ...slackButton(BUTTON, TOKEN), channel: 'gone' }],
  ])('%s', async (_, value) => {
    await nothing(press({ value }), 200);
    expect(replies).toHaveLength(1);
  });

  test('a message that was carried into another channel', () => nothing(press({ place: 'C0000000000' }), 200));

  test.each([
    ['no JSON', 'nonsense'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a field missing', JSON.stringify({ ...BUTTON })],
    ['numbers', JSON.stringify({ ...BUTTON, gate: 1, nonce: 'x' })],
    ['too long', JSON.stringify({ ...BUTTON, nonce: 'x'.repeat(3_000) })],
  ])('a value that is %s', (_, value) => nothing(press({ value }), 200));

  test('another button, or another kind of interaction', async () => {
    await nothing(press({ action: 'deploy' }), 200);
    await nothing(press({ type: 'view_submission' }), 200);
    expect(replies).toEqual([]);
  });

  test("a secret of another channel's app", () => nothing(signed(form(payload()), secretOf('${env:OTHER}')), 401));

  test.each([-301, 301, -100_000])('a signature of %d s ago', (apart) =>
    nothing(signed(form(payload()), SIGNING, NOW / 1000 - apart), 401),
  );

  test('a body that was changed after it was signed, or no signature', async () => {
    const at = String(NOW / 1000);
    const good = form(payload());
    await nothing(
      send(good.replace('cutover', 'promote'), {
        'x-slack-request-timestamp': at,
        'x-slack-signature': sign(good, SIGNING, at),
      }),
      401,
    );
    await nothing(send(good, { 'x-slack-request-timestamp': at }), 401);
    await nothing(send(good, { 'x-slack-signature': sign(good, SIGNING, at) }), 401);
    await nothing(
      send(good, {
        'x-slack-request-timestamp': at,
        'x-slack-signature': sign(good, SIGNING, at).replace('v0=', 'v1='),
      }),
      401,
    );
  });

  test('anybody, when no channel has buttons', async () => {
    channels = [{ ...CHANNEL, signingSecrets: [], approvers: {} }];
    await nothing(press(), 404);
  });

  test('a body that is too large', () => nothing(signed(form({ ...payload(), more: 'x'.repeat(600_000) })), 413));
});

test('an answer goes nowhere but to Slack', async () => {
  for (const url of [
    'http://hooks.slack.com/x',
    'https://hooks.slack.com.evil.example/',
    'https://169.254.169.254/',
    'file:///etc/passwd',
    7,
  ])
    await press({ url, user: 'UEVE' });
  expect(replies).toEqual([]);
});

test('both secrets are right while they are rotated', async () => {
  expect(await signed(form(payload()), secretOf('${env:OLD}'))).toBe(200);
  expect(decided).toHaveLength(1);
});

test("Slack's signature is the documented one", async () => {
  const { vectors, body, timestamp } = JSON.parse(
    readFileSync(new URL('./fixtures/hmac-vectors.json', import.meta.url), 'utf8'),
  );
  expect(sign(body, vectors.slack.secret, timestamp)).toBe(vectors.slack.value);
  // It is signed by nobody we know.
  const headers = { 'x-slack-request-timestamp': String(timestamp), 'x-slack-signature': vectors.slack.value };
  expect(await send(body, headers)).toBe(401);
});

describe('whatever is sent', () => {
  test('unsigned is refused before anything of it is read', async () => {
    const header = fc.option(
      fc.string({ unit: 'binary-ascii', maxLength: 80 }).filter((text) => !/[\r\n\0]/.test(text)),
      { nil: undefined },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), header, header, async (body, signature, timestamp) => {
        const headers = {
          ...(signature === undefined ? {} : { 'x-slack-signature': signature }),
          ...(timestamp === undefined ? {} : { 'x-slack-request-timestamp': timestamp }),
        };
        expect(await send(body, headers)).toBe(401);
      }),
      { numRuns: 200 },
    );
    expect([decided, replies]).toEqual([[], []]);
  });

  test('signed, but not by the making of a button, decides nothing and breaks nothing', async () => {
    const json = fc.json({ maxDepth: 4 }).map((text) => new URLSearchParams({ payload: text }).toString());
    const near = fc
      .record({
        user: fc.anything(),
        place: fc.anything(),
        value: fc.oneof(fc.string(), fc.object()),
        url: fc.anything(),
      })
      .map((click) => form(payload(click as Click)));
    const bytes = fc.uint8Array({ maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(fc.oneof(json, near, bytes, fc.string()), async (body) => {
        expect([200, 400]).toContain(await signed(body as string));
      }),
      { numRuns: 300 },
    );
    expect(decided).toEqual([]);
  });
});
