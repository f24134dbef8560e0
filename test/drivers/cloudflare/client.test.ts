/** Budget and start-up of the client that both drivers share. */
import { expect, test } from 'vitest';
import { type Clock, useClock } from '../../../drivers/clock.ts';
import { DNS_CALLS } from '../../../drivers/cloudflare/calls.ts';
import { cloudflareApi } from '../../../drivers/cloudflare/client.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import { FakeCloudflare, TOKEN, ZONE } from '../../fakes/cloudflare/server.ts';

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
