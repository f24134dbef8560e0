/** What is found beside the runs reaches the channels: over HTTP to peers that refuse what the real ones refuse. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Channel } from '../../topology/channels.ts';
import type { Topology } from '../../topology/model.ts';
import { ChannelTeller } from '../../workers/channel-teller.ts';
import { Announcer, type GuardNotice } from '../../workers/watchdog.ts';
import { type Peer, startPagerDuty, startPeer, startSlack } from '../notify/peers.ts';

const AT = Date.UTC(2026, 2, 29, 3, 12);
const NOTICE: GuardNotice = {
  ...{ source: 'guard', kind: 'twoWritable', severity: 'critical', state: 'opened', service: 'checkout' },
  ...{ component: 'orders-db', region: null, message: '2 writable <sides>', remedy: 'rampart escape checkout' },
};
const SECRETS: Record<string, string> = { slack: 'xoxb-1', duty: 'pd-1', hook: `whsec_${'a'.repeat(32)}` };

let slack: Awaited<ReturnType<typeof startSlack>>;
let duty: Awaited<ReturnType<typeof startPagerDuty>>;
let hook: Peer;
let counted: string[];
let logged: string[];
let channels: Record<string, Channel>;
let announcer: Announcer;
let teller: ChannelTeller;
const say = (message: string): void => void logged.push(message);
const log = { debug: say, info: say, warn: say, error: say };

const shared = { events: [], severity: 'info' as const, drills: false, services: [] };

beforeEach(async () => {
  slack = await startSlack(SECRETS.slack!, 'C1');
  duty = await startPagerDuty(SECRETS.duty!);
  hook = await startPeer(() => ({ status: 204 }));
  counted = [];
  logged = [];
  channels = {
    talk: {
      ...{ name: 'talk', type: 'slack', token: 'slack', channel: 'C1', url: `${slack.url}/api`, ...shared },
      ...{ signingSecrets: [], approvers: {} },
    },
    duty: { name: 'duty', type: 'pagerduty', routingKey: 'duty', url: duty.url, ...shared, severity: 'error' },
    hook: { name: 'hook', type: 'webhook', url: `${hook.url}/in`, secret: 'hook', allow: ['127.0.0.0/8'], ...shared },
  };
  teller = new ChannelTeller({
    topology: async () => ({ notifications: { channels } }) as unknown as Topology,
    secret: async (reference) => SECRETS[reference]!,
    count: (channel, result) => void counted.push(`${channel} ${result}`),
  });
  announcer = new Announcer(log, null, teller);
});

afterEach(() => Promise.all([slack, duty, hook].map((peer) => peer.close())));

const bodies = (peer: Peer): Array<Record<string, unknown>> => peer.received.map(({ body }) => JSON.parse(body));

describe('a finding of a guard', () => {
  it('is told on every channel, pages, and its end resolves the alert', async () => {
    await announcer.tell(NOTICE, AT);
    expect([...duty.open]).toEqual(['rampart/checkout/twoWritable/orders-db']);
    expect([...slack.messages.values()]).toEqual([
      expect.objectContaining({ text: expect.stringContaining('2 writable &lt;sides&gt;\nfirst: rampart escape') }),
    ]);
    expect(bodies(hook)).toEqual([
      expect.objectContaining({ type: 'dev.rampart.finding-opened', source: '/rampart/guard', subject: 'checkout' }),
    ]);
    await announcer.tell({ ...NOTICE, state: 'cleared' }, AT + 5_000);
    expect(duty.open.size).toBe(0);
    expect(bodies(hook)[1]).toMatchObject({ type: 'dev.rampart.finding-cleared' });
    // Opened again at once, it is another one.
    await announcer.tell(NOTICE, AT + 6_000);
    expect(duty.open.size).toBe(1);
    expect(slack.messages.size).toBe(3);
  });

  it('is tried again where it was not taken, and nowhere else', async () => {
    slack.next.push({ status: 503 });
    await expect(announcer.tell(NOTICE, AT)).rejects.toThrow('talk was not told of twoWritable: Slack answers 503');
    await announcer.tell(NOTICE, AT);
    expect([slack.messages.size, duty.received.length, hook.received.length]).toEqual([1, 1, 1]);
    expect(counted.sort()).toEqual(['duty sent', 'hook sent', 'talk failed', 'talk sent']);
  });

  it('is tried again there however late, and is another one when it comes again', async () => {
    slack.next.push({ status: 503 });
    await expect(announcer.tell(NOTICE, AT)).rejects.toThrow('talk was not told');
    await announcer.tell({ ...NOTICE, kind: 'noWeights' }, AT + 7_200_000);
    await announcer.tell(NOTICE, AT);
    expect([slack.messages.size, duty.received.length, hook.received.length]).toEqual([2, 2, 2]);
    // Its end went by way of another control worker.
    await announcer.tell(NOTICE, AT + 20_000);
    expect([slack.messages.size, duty.received.length, hook.received.length]).toEqual([3, 3, 3]);
  });

  it('has one webhook-id for every attempt, and another one for another node of the region', async () => {
    const behind: GuardNotice = { ...NOTICE, kind: 'lagAboveObjective', severity: 'warning', region: 'eu-west' };
    hook.next.push({ status: 503 });
    await expect(announcer.tell(behind, AT)).rejects.toThrow('hook was not told');
    await announcer.tell(behind, AT);
    await announcer.tell({ ...behind, message: 'another node' }, AT);
    const [failed, again, other] = hook.received.map(({ headers }) => headers['webhook-id']);
    expect(failed).toMatch(/./);
    expect(again).toBe(failed);
    expect(other).not.toBe(failed);
  });

  it('goes to the channels of its service, and to those that want its severity', async () => {
    channels.talk!.services = ['other'];
    await announcer.tell({ ...NOTICE, severity: 'warning' }, AT);
    expect([slack.received.length, duty.received.length, hook.received.length]).toEqual([0, 0, 1]);
  });

  it('keeps secrets out of what it says went wrong', async () => {
    duty.next.push({ status: 400, body: `no such key ${SECRETS.duty}` });
    const failure = await announcer.tell(NOTICE, AT).catch((error: Error) => error);
    expect(String(failure)).toContain('duty was not told');
    expect(`${failure} ${(failure as Error).stack} ${logged.join()}`).not.toContain(SECRETS.duty);
  });
});

it('pages anew each time a trigger pages: nobody takes it back', async () => {
  const page: GuardNotice = { ...NOTICE, source: 'trigger', kind: 'trigger/errors', component: null };
  await announcer.tell(page, AT);
  await announcer.tell(page, AT + 3_600_000);
  expect(duty.open.size).toBe(2);
});

it('a page that one channel did not take is tried again there, and is no second alert elsewhere', async () => {
  const page: GuardNotice = { ...NOTICE, source: 'trigger', kind: 'trigger/errors', component: null };
  slack.next.push({ status: 503 });
  await expect(announcer.tell(page, AT)).rejects.toThrow('talk was not told');
  await announcer.tell(page, AT + 2_000);
  expect([duty.open.size, slack.messages.size, hook.received.length]).toEqual([1, 1, 1]);
});

it('the notify command is not run again because a channel failed', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'rampart-notify-'));
  try {
    const file = join(dir, 'said');
    const script = `require('fs').appendFileSync(${JSON.stringify(file)}, 'said ')`;
    announcer = new Announcer(log, [process.execPath, '-e', script], teller);
    slack.next.push({ status: 503 });
    await expect(announcer.tell(NOTICE, AT)).rejects.toThrow('talk was not told');
    await announcer.tell(NOTICE, AT);
    expect([readFileSync(file, 'utf8'), slack.messages.size]).toEqual(['said ', 1]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it('a watchdog pages by the key of the guard, posts nothing, and once an hour', async () => {
  const { kind: _, ...alarm } = { ...NOTICE, component: 'orders-db' };
  const told = async (at: number): Promise<void> => {
    announcer.announce({ ...alarm, kind: 'twoWritable' }, at);
    await announcer.tell({ ...NOTICE, kind: 'another', severity: 'info' }, at);
  };
  await told(AT);
  await vi.waitFor(() => expect(counted).toContain('duty sent'), 10_000);
  await told(AT + 120_000);
  const alerts = bodies(duty).map(({ dedup_key }) => dedup_key);
  expect(alerts).toEqual(['rampart/checkout/twoWritable/orders-db']);
  expect(bodies(hook).every(({ type, data }) => type && !JSON.stringify(data).includes('twoWritable'))).toBe(true);
});
