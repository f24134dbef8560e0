/** The router's suite, and what only a DNS record has: a TTL, name servers, other records, a comment with little room. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Clock, useClock } from '../../../drivers/clock.ts';
import { DNS_CALLS } from '../../../drivers/cloudflare/calls.ts';
import { cloudflareApi } from '../../../drivers/cloudflare/client.ts';
import type { Router } from '../../../drivers/ports.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { describeRouter } from '../../conformance/router/router-suite.ts';
import { FakeCloudflare, TOKEN, ZONE } from '../../fakes/cloudflare/server.ts';
import { describeFaults } from './behaviour.ts';
import { CONTENT, type DnsWorld, makeDnsWorld, NAME, REGIONS } from './cloudflare-dns.world.ts';

describeRouter('cloudflare-dns', () => makeDnsWorld());
describeFaults(
  'cloudflare-dns',
  () => makeDnsWorld(),
  { method: 'POST', path: '/dns_records/batch' },
  {
    get: (world) => (world as DnsWorld).record().comment ?? '',
    set: (world, text) => {
      (world as DnsWorld).record().comment = text;
    },
  },
);

const whole = (region: string) => Object.fromEntries(REGIONS.map((one) => [one, one === region ? 100 : 0]));

describe('a record', { timeout: 30_000 }, () => {
  let world: DnsWorld;
  let epoch = 0;
  let fresh: () => void;

  beforeAll(async () => {
    world = await makeDnsWorld({ ttl: 3600 });
    const saved = structuredClone(world.fake.dns.records);
    fresh = () => {
      world.fake.dns.records = structuredClone(saved);
      world.fake.faults.clear();
      world.fake.calls.length = 0;
      for (const server of [0, 1] as const) world.serve(server, undefined);
    };
  }, 60_000);
  beforeEach(() => fresh());
  afterEach(() => useClock(null));
  afterAll(() => world?.close());

  const open = (options: ContextOptions = {}, component = world.component): Router =>
    world.driver.open(component, driverContext({ secrets: world.secrets, ...options }));
  const newRun = () => token(++epoch, `run-${epoch}`, 1);
  const slow = () => world.with({ ttl: '1h' });
  const codes = async (component = slow(), mode: 'planned' | 'unplanned' = 'planned') =>
    (await open({}, component).preflight!(mode, 'eu-west', 'eu-central')).map(
      ({ code, severity }) => `${severity} ${code}`,
    );

  test('a switch is one patch of content and comment: type, TTL and proxy stay', async () => {
    await open({ token: newRun() }).setWeights(whole('eu-central'));
    const [batch, ...more] = world.fake.sent('POST');
    expect(more).toEqual([]);
    expect(Object.keys(batch!.body)).toEqual(['patches']);
    const [patch] = batch!.body.patches as Array<Record<string, unknown>>;
    expect(Object.keys(patch!).sort()).toEqual(['comment', 'content', 'id']);
    expect(world.record()).toMatchObject({ content: CONTENT['eu-central'], ttl: 3600, proxied: false });
  });

  test('counts only when every name server answers with it', async () => {
    const old = structuredClone(world.fake.dns.records);
    world.serve(1, () => old);
    const short = world.with({ deadline: '200ms' });
    await expect(open({ token: newRun() }, short).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining(`${world.servers[1]!.address} answers ${CONTENT['eu-west']}`),
    });
    expect(await open().observe()).toMatchObject({ weights: whole('eu-central'), applied: false });
    await expect(open().verifyWeights(whole('eu-central'))).rejects.toMatchObject({ type: 'NotApplied' });
    world.serve(1, undefined);
    expect((await open().verifyWeights(whole('eu-central'))).summary).toContain('2 name servers');
    expect(world.servers.every(({ asked }) => asked.includes(`${NAME} A`))).toBe(true);
  });

  test('a name server that does not answer, or knows no such name, is not fine', async () => {
    world.serve(0, () => null);
    world.serve(1, () => []);
    const { applied, detail } = await open().observe();
    expect(applied).toBe(false);
    expect(detail).toContain(`${world.servers[0]!.address} did not answer`);
    expect(detail).toContain(`${world.servers[1]!.address} answers with no such record`);
  });

  /** Time that passes only while somebody waits. */
  function waiting(): { clock: Clock; slept: () => number } {
    let now = Date.now();
    const start = now;
    const clock: Clock = {
      now: () => now,
      // The budget of requests goes on counting in real time.
      monotonic: () => performance.now(),
      sleep: async (ms) => {
        now += ms;
      },
      every: () => () => undefined,
    };
    return { clock, slept: () => now - start };
  }

  test('prepare lowers the TTL and waits until the old one ran out; restore puts it back', async () => {
    const { clock, slept } = waiting();
    useClock(clock);
    const run = newRun();
    const heartbeats: unknown[] = [];
    const router = open({ token: run, now: clock.now, heartbeats }, slow());
    const saved = await router.save();
    expect(saved.facts).toMatchObject({ ttl: 3600 });
    expect(await router.prepare()).toMatchObject({ already: false, facts: { ttl: 60, before: 3600 } });
    expect(world.record()).toMatchObject({ ttl: 60, content: CONTENT['eu-west'] });
    expect(slept()).toBeGreaterThanOrEqual(3_600_000);
    expect(heartbeats.length).toBeGreaterThan(700);
    expect(await router.prepare()).toMatchObject({ already: true });
    expect(await router.restore(saved.facts)).toMatchObject({ already: false });
    expect(world.record().ttl).toBe(3600);
    expect(await router.restore(saved.facts)).toMatchObject({ already: true });
  });

  test('prepare again after a crash in its wait waits for the rest only; another run does not wait', async () => {
    const { clock, slept } = waiting();
    useClock(clock);
    const run = newRun();
    await open({ token: run, now: clock.now }, slow()).prepare({ wait: false });
    expect(slept()).toBeLessThan(60_000);
    const before = slept();
    world.record().modified_on = new Date(clock.now() - 3_000_000).toISOString();
    await open({ token: run, now: clock.now }, slow()).prepare();
    expect(slept() - before).toBeGreaterThanOrEqual(600_000);
    expect(slept() - before).toBeLessThan(620_000);
    const after = slept();
    await open({ token: newRun(), now: clock.now }, slow()).prepare();
    expect(slept() - after).toBeLessThan(60_000);
  });

  test('prepare waits for old answers also when a run before this one has lowered the TTL', async () => {
    const { clock, slept } = waiting();
    useClock(clock);
    await open({ token: newRun(), now: clock.now }, slow()).prepare({ wait: false });
    world.record().modified_on = new Date(clock.now() - 600_000).toISOString();
    const next = await open({ token: newRun(), now: clock.now }, slow()).prepare({ wait: false });
    expect(next.summary).toContain('old answers live until');
    const before = slept();
    await open({ token: newRun(), now: clock.now }, slow()).prepare();
    expect(slept() - before).toBeGreaterThanOrEqual(2_940_000);
  });

  test('prepare ends with the abort of its run', async () => {
    const stop = new AbortController();
    const heartbeat = () => stop.abort(new Error('cancelled by a person'));
    await expect(open({ token: newRun(), signal: stop.signal, heartbeat }, slow()).prepare()).rejects.toThrow(
      'cancelled by a person',
    );
  });

  test('restore leaves a TTL alone that somebody else has set meanwhile', async () => {
    const run = newRun();
    const router = open({ token: run }, slow());
    const saved = await router.save();
    await router.prepare({ wait: false });
    world.record().ttl = 120;
    expect((await router.restore(saved.facts)).summary).toContain('left alone');
    expect(world.record().ttl).toBe(120);
  });

  test('a proxied record has no TTL to wait for, and no answers to compare', async () => {
    const other = await makeDnsWorld({ proxied: true });
    try {
      const at = (options: ContextOptions = {}) =>
        other.driver.open(other.component, driverContext({ secrets: other.secrets, ...options }));
      expect(other.component.capabilities).toMatchObject({ ttlMs: 0 });
      expect(other.component.capabilities.prepareMs).toBeUndefined();
      expect(await at({ token: newRun() }).prepare()).toMatchObject({ already: true });
      await at({ token: newRun() }).setWeights(whole('eu-central'));
      expect(other.record()).toMatchObject({ content: CONTENT['eu-central'], proxied: true, ttl: 1 });
      expect(other.servers.flatMap(({ asked }) => asked)).toEqual([]);
      expect(await at().preflight!('planned', 'eu-west', 'eu-central')).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test('no record, or several of its type: nothing is created, nothing is guessed', async () => {
    const twin = { ...world.record(), id: 'f'.repeat(32), content: '203.0.113.9' };
    world.fake.dns.records.push(twin);
    expect(await open().observe()).toMatchObject({ weights: null, applied: false });
    expect(await codes()).toEqual(['blocker cloudflare.records']);
    expect(await codes(slow(), 'unplanned')).toEqual(['warning cloudflare.records']);
    await expect(open({ token: newRun() }).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('2 records of type A'),
    });
    world.fake.dns.records = [];
    await expect(open({ token: newRun() }).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'PreconditionFailed',
    });
    expect(world.fake.sent('POST')).toEqual([]);
  });

  test('every page of the records is read', async () => {
    const { records } = world.fake.dns;
    const many = Array.from({ length: 120 }, (_, i) => ({
      ...records[0]!,
      id: String(i).padStart(32, '0'),
      type: 'TXT',
    }));
    world.fake.dns.records = [...many, ...records];
    expect((await open().observe()).weights).toEqual(whole('eu-west'));
    expect(world.fake.sent('GET')).toHaveLength(2);
  });

  test('preflight: what keeps clients at the region that is left', async () => {
    expect(await codes()).toEqual([]);
    const six = { ...world.record(), id: 'e'.repeat(32), type: 'AAAA', content: '2001:db8::10' };
    world.fake.dns.records.push(six, { ...six, id: 'd'.repeat(32), type: 'TXT', content: 'v=spf1 -all' });
    expect(await codes()).toEqual(['blocker cloudflare.otherRecords']);
    expect(await codes(slow(), 'unplanned')).toEqual(['warning cloudflare.otherRecords']);
    fresh();
    expect(await codes(world.component)).toEqual(['blocker cloudflare.ttl']);
    expect(await codes(world.component, 'unplanned')).toEqual(['warning cloudflare.ttl']);
    Object.assign(world.record(), { proxied: true, ttl: 1 });
    expect(await codes(world.with({ nameServers: [] }))).toEqual(['blocker cloudflare.proxied']);
    expect(await codes(world.with({ nameServers: [] }), 'unplanned')).toEqual(['warning cloudflare.proxied']);
  });

  test('a comment without room for the claim: said before, refused then, and 500 where the plan has them', async () => {
    world.record().comment = 'x'.repeat(60);
    expect(await codes()).toEqual(['blocker cloudflare.comment']);
    const run = token(++epoch, '0f8fad5b-d9cb-469f-a165-70867728950e', 1);
    await expect(open({ token: run }).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'PreconditionFailed',
    });
    expect(world.fake.sent('POST')).toEqual([]);
    expect(await codes(world.with({ ttl: '1h', commentLength: 500 }))).toEqual([]);
  });

  test('preflight: regions swapped in the topology, by who answers', async () => {
    const edge = createServer((_request, response) => response.setHeader('x-region', 'eu-west').end());
    await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
    try {
      const sample = { url: `http://127.0.0.1:${(edge.address() as AddressInfo).port}/` };
      expect(await codes(world.with({ ttl: '1h', sample }))).toEqual([]);
      const swapped = { 'eu-west': CONTENT['eu-central']!, 'eu-central': CONTENT['eu-west']! };
      for (const mode of ['planned', 'unplanned'] as const)
        expect(await codes(world.with({ ttl: '1h', sample }, swapped), mode)).toEqual([
          'blocker cloudflare.regionsSwapped',
        ]);
    } finally {
      await new Promise((resolve) => edge.close(resolve));
    }
  });

  test('the escape commands name the record, and do without an API that says nothing', async () => {
    const lines = await open().escape('eu-central');
    const patch = { patches: [{ id: world.record().id, content: CONTENT['eu-central'] }] };
    expect(lines.find((line) => line.includes('-X POST'))).toContain(JSON.stringify(patch));
    const blind = await open({}, world.unreachable()).escape('eu-central');
    expect(blind.find((line) => line.includes('RECORD_ID') && line.includes('POST'))).toMatch(/^# curl/);
  });

  test('what the topology must not say', () => {
    const problems = (config: Record<string, unknown>, contents = CONTENT) =>
      world.driver.validate!(world.with(config, contents)).map(({ code }) => code);
    expect(problems({})).toEqual([]);
    expect(problems({ recordType: 'CNAME' }, { 'eu-west': 'a.example.com', 'eu-central': 'b.example.com' })).toEqual(
      [],
    );
    expect(problems({ recordType: 'AAAA' })).toEqual(Array(2).fill('cloudflare_dns_content'));
    const same = { 'eu-west': '2001:db8::1', 'eu-central': '2001:0db8:0::1' };
    expect(problems({ recordType: 'AAAA' }, same)).toEqual(['cloudflare_dns_same']);
    expect(problems({ switchTtl: '2m' })).toEqual(['cloudflare_dns_ttl']);
    expect(problems({ proxied: true })).toEqual(['cloudflare_dns_proxied']);
  });
});

test('takes at most seven eighths of the published limit in any five minutes', async () => {
  const fake = await FakeCloudflare.start();
  let now = 1_000_000;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      now += ms;
    },
    every: () => () => undefined,
  };
  useClock(clock);
  try {
    const config = { apiToken: TOKEN, baseURL: fake.baseURL, timeout: 5_000, deadline: 5_000, requestsPer5Minutes: 80 };
    const api = await cloudflareApi(DNS_CALLS, config, driverContext({ now: clock.now }), 'shop-writer');
    const start = now;
    const sentAt: number[] = [];
    for (let i = 0; i < 100; i++) {
      await api.list('dns.records.list', (client, page, options) =>
        client.dns.records.list({ zone_id: ZONE, ...page }, options),
      );
      sentAt.push(now - start);
    }
    // A burst of half the limit goes at once.
    expect(sentAt[39]).toBe(0);
    expect(sentAt[40]).toBeGreaterThan(0);
    for (const from of sentAt) {
      expect(sentAt.filter((at) => at >= from && at < from + 300_000).length).toBeLessThanOrEqual(70);
    }
  } finally {
    useClock(null);
    await fake.stop();
  }
}, 60_000);
