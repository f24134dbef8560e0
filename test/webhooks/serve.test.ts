/** `rampart serve` without Temporal: it listens, says so, and loses nothing; and the topology as it follows its file. */
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serve } from '../../clients/webhooks/serve.ts';
import { TopologyFile } from '../../clients/webhooks/topology-file.ts';
import { freePorts } from '../../lab/ports.ts';
import { loadTopology } from '../../topology/load.ts';
import { BASE } from '../topology/bad-inputs.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';
import { FIRING } from './fixtures.ts';

const SOURCES = `alertSources:
  am: { type: alertmanager, auth: { bearer: "\${env:AM}" } }
  open: { type: alertmanager, auth: none }
  lost: { type: grafana, auth: { hmac: { secret: "\${env:NOT_SET}" } } }
triggers:
  down: { service: checkout, to: eu-central, when: [{ source: am, labels: { alertname: RegionDown } }] }
`;

let folder: string;
let path: string;
const load = (from: string) => loadTopology({ path: from }, fakeDrivers);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rampart-serve-'));
  path = join(folder, 'rampart.yaml');
});

afterEach(() => rm(folder, { recursive: true }));

/** Writes the file so that it is seen to have changed. */
async function write(text: string, seconds: number): Promise<void> {
  await writeFile(path, text);
  await utimes(path, seconds, seconds);
}

interface Line {
  message: string;
  [fact: string]: unknown;
}

function logTo(lines: Line[]) {
  const write = (message: string, facts: object = {}): void => {
    lines.push({ ...facts, message });
  };
  return { debug: write, info: write, warn: write, error: write };
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('without Temporal', () => {
  it('answers everything, and tells senders of good alerts to send them again', async () => {
    await write(`${BASE}${SOURCES}`, 1);
    const [port, nobody, scraped] = (await freePorts(3)) as [number, number, number];
    const stop = new AbortController();
    const lines: Line[] = [];
    const ended = serve({
      ...{ address: `127.0.0.1:${port}`, path, load, log: logTo(lines), signal: stop.signal },
      env: { AM: 't0ken', TEMPORAL_ADDRESS: `127.0.0.1:${nobody}` },
      ...{ metricsAddress: `127.0.0.1:${scraped}`, version: '1.2.3' },
    });
    try {
      await Promise.race([until(() => lines.some(({ message }) => message === 'webhooks are taken')), ended]);
      const post = (where: string, authorization = 'Bearer t0ken') =>
        fetch(`http://127.0.0.1:${port}${where}`, { method: 'POST', body: FIRING, headers: { authorization } });
      const answer = await post('/hooks/am');
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
      // The client's own retries may take longer than senders wait.
      const { reason } = lines.find(({ status }) => status === 503)!;
      expect(reason).toMatch(
        /^Temporal does not take the alert: .*(UNAVAILABLE|DEADLINE_EXCEEDED)|^it was not done within/,
      );
      expect((await post('/hooks/am', 'Bearer wrong')).status).toBe(401);
      expect((await post('/hooks/nobody')).status).toBe(404);
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
      // No trigger names it: nothing is lost by saying so.
      expect(await (await post('/hooks/open')).json()).toEqual({ result: 'ignored', alerts: 1 });
      const metrics = await (await fetch(`http://127.0.0.1:${scraped}/metrics`)).text();
      const counted = [...metrics.matchAll(/^rampart_alert_deliveries_total\{(.*)\} 1$/gm)].map(([, of]) => of);
      const of = (source: string, result: string): string => `source="${source}",result="${result}"`;
      expect(counted.sort()).toEqual(
        [of('am', 'unavailable'), of('am', 'unauthorized'), of('', 'unknownSource'), of('open', 'ignored')].sort(),
      );
      expect(metrics).toContain(`rampart_alert_deliveries_total{${of('lost', 'accepted')}} 0\n`);
      expect(metrics).toContain('rampart_alert_delivery_duration_seconds_count{source="am"} 2\n');
      expect(metrics).toMatch(/^rampart_alert_last_delivery_timestamp_seconds\{source="open"\} \d/m);
      expect(metrics).not.toMatch(/timestamp_seconds\{source="am"|t0ken|RegionDown/);
      // Whoever reads them gets nothing else, and who sends alerts does not get them.
      expect((await fetch(`http://127.0.0.1:${scraped}/hooks/open`, { method: 'POST' })).status).toBe(404);
      expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(404);
      await until(() => lines.some(({ message }) => message.startsWith('Temporal does not answer')));
      expect(lines).toContainEqual({
        message: 'a source may take nothing',
        source: 'lost',
        problem: 'the environment variable NOT_SET is not set on this machine',
      });
      expect(JSON.stringify(lines)).not.toContain('t0ken');
      // It ends while the client is still trying for this one, which must not bring the process down.
      await post('/hooks/am');
    } finally {
      stop.abort();
      await ended;
    }
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
  });

  it('does not begin with a topology that is not valid, or at an address that is taken', async () => {
    await write('version: 1\nregions: []\n', 1);
    const [port] = await freePorts(1);
    const options = {
      address: `127.0.0.1:${port}`,
      version: '0',
      path,
      load,
      log: logTo([]),
      env: {},
      signal: AbortSignal.abort(),
    };
    await expect(serve(options)).rejects.toThrow('rampart.yaml:');
    await write(`${BASE}${SOURCES}`, 2);
    await expect(serve({ ...options, address: '127.0.0.1:99999' })).rejects.toThrow('write host:port');
    await expect(
      serve({ ...options, env: { TEMPORAL_CONFIG_FILE: join(folder, 'none.toml'), TEMPORAL_PROFILE: 'x' } }),
    ).rejects.toThrow();
  });
});

describe('the topology follows its file', () => {
  const follow = (lines: Line[] = []) => {
    let now = 0;
    let loads = 0;
    const file = new TopologyFile({
      ...{ path, log: logTo(lines), now: () => now },
      load: async (from) => {
        loads += 1;
        return load(from);
      },
    });
    return {
      lines,
      loads: () => loads,
      at: async (ms: number) => {
        now = ms;
        return Object.keys((await file.current()).alertSources);
      },
    };
  };
  const one = `${BASE}alertSources: { am: { type: alertmanager, auth: none } }\n`;
  const two = one.replace('am:', 'am2:');

  it('and is read again only when that has changed', async () => {
    await write(one, 1);
    const file = follow();
    expect(await file.at(0)).toEqual(['am']);
    expect(await file.at(5_000)).toEqual(['am']);
    expect(file.loads()).toBe(1);
    await write(two, 2);
    expect(await file.at(6_000)).toEqual(['am']);
    expect(await file.at(7_000)).toEqual(['am2']);
    expect(file.loads()).toBe(2);
  });

  it('while it is wrong or away, what it said before counts, and that is said once', async () => {
    await write(one, 1);
    const file = follow();
    await file.at(0);
    await write(`${one}nonsense: 1\n`, 2);
    expect(await file.at(2_000)).toEqual(['am']);
    expect(await file.at(4_000)).toEqual(['am']);
    await rm(path);
    expect(await file.at(6_000)).toEqual(['am']);
    expect(await file.at(8_000)).toEqual(['am']);
    expect(file.lines.map(({ message, problems }) => [message, String(problems).includes('nonsense')])).toEqual([
      ['the topology is not valid: what it said before counts', true],
      ['the topology is not valid: what it said before counts', false],
    ]);
    await write(two, 3);
    expect(await file.at(10_000)).toEqual(['am2']);
  });

  it('and those who come at once read it once', async () => {
    await write(one, 1);
    const file = follow();
    expect(await Promise.all([file.at(0), file.at(0), file.at(0)])).toEqual([['am'], ['am'], ['am']]);
    expect(file.loads()).toBe(1);
  });
});
