/** What four kinds of senders send of one incident, signed as each of them signs, and how they send it again. */
import { createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Secrets of the benchmark's own server, by the variable that its topology names. */
export const SECRETS = {
  STORM_AM: 'storm-alertmanager',
  STORM_GRAFANA: 'storm-grafana',
  STORM_PAGERDUTY: 'storm-pagerduty',
  STORM_GENERIC: 'storm-generic',
} as const;

/** The topology's part about them. */
export const SOURCES = `alertSources:
  am:
    type: alertmanager
    auth: { bearer: "\${env:STORM_AM}" }
  grafana:
    type: grafana
    auth: { hmac: { secret: "\${env:STORM_GRAFANA}", timestampHeader: X-Grafana-Alerting-Timestamp } }
  pagerduty:
    type: pagerduty
    auth: { hmac: { secret: "\${env:STORM_PAGERDUTY}" } }
  probe:
    type: generic
    auth: { hmac: { secret: "\${env:STORM_GENERIC}", header: X-Signature } }
    map: { key: body.check, status: 'body.up ? "resolved" : "firing"', startsAt: body.since, labels: { region: body.region } }
`;

export interface Delivery {
  path: string;
  headers: Record<string, string>;
  body: string;
}

const sign = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('hex');

/** The n-th message about the incident; each of four senders says the same again and again, as a storm does. */
export function delivery(n: number, since: number): Delivery {
  const at = new Date(since).toISOString();
  const labels = { alertname: 'RegionDown', region: 'eu-west', severity: 'critical' };
  const group = (extra: object): string =>
    JSON.stringify({
      ...{ version: '4', groupKey: '{}:{alertname="RegionDown"}', truncatedAlerts: 0, status: 'firing' },
      ...{ receiver: 'rampart', groupLabels: labels, commonLabels: labels, commonAnnotations: {} },
      externalURL: 'http://alertmanager.example:9093',
      alerts: [
        {
          ...{ status: 'firing', labels, annotations: { summary: `probe failed, message ${n}` }, startsAt: at },
          ...{ endsAt: '0001-01-01T00:00:00Z', generatorURL: '', fingerprint: 'c84b8fd8e30e7a7c' },
        },
      ],
      ...extra,
    });
  const json = { 'content-type': 'application/json' };
  switch (n % 4) {
    case 0:
      return {
        ...{ path: '/hooks/am', body: group({}) },
        headers: { ...json, authorization: `Bearer ${SECRETS.STORM_AM}` },
      };
    case 1: {
      const body = group({ version: '1', orgId: 1, title: 'RegionDown', state: 'alerting', message: `message ${n}` });
      const now = String(Math.floor(Date.now() / 1_000));
      const signature = sign(SECRETS.STORM_GRAFANA, `${now}:${body}`);
      const headers = { 'x-grafana-alerting-timestamp': now, 'x-grafana-alerting-signature': signature };
      return { path: '/hooks/grafana', body, headers: { ...json, ...headers } };
    }
    case 2: {
      const incident = { id: 'PGR0VU2', type: 'incident', status: 'triggered', created_at: at, title: 'RegionDown' };
      const service = { id: 'PF9KMXH', summary: 'eu-west', type: 'service_reference' };
      const event = { id: `01STORM${n}`, event_type: 'incident.triggered', data: { ...incident, service } };
      const body = JSON.stringify({ event });
      const signature = `v1=${sign(SECRETS.STORM_PAGERDUTY, body)}`;
      return {
        ...{ path: '/hooks/pagerduty', body },
        headers: { ...json, 'x-pagerduty-signature': signature, 'x-webhook-id': `w${n}` },
      };
    }
    default: {
      const body = JSON.stringify({ check: 'eu-west-http', up: false, since: at, region: 'eu-west', message: n });
      return {
        ...{ path: '/hooks/probe', body },
        headers: { ...json, 'x-signature': sign(SECRETS.STORM_GENERIC, body) },
      };
    }
  }
}

export interface Answered {
  /** From the request to the end of the answer, milliseconds. */
  ms: number;
  status: number;
  result: string;
}

/** Connections that are kept open, so many at most. */
export function sender(port: number, connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const once = ({ path, headers, body }: Delivery): Promise<Answered & { retryAfterS: number }> =>
    new Promise((resolve, reject) => {
      const began = performance.now();
      const length = { 'content-length': String(Buffer.byteLength(body)) };
      const sent = request({
        agent,
        port,
        path,
        host: '127.0.0.1',
        method: 'POST',
        headers: { ...headers, ...length },
      });
      sent.on('error', reject);
      sent.on('response', (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += String(chunk);
        });
        response.on('end', () => {
          const { result = '' } = text === '' ? {} : (JSON.parse(text) as { result?: string });
          const retryAfterS = Number(response.headers['retry-after'] ?? 0);
          resolve({ ms: performance.now() - began, status: response.statusCode ?? 0, result, retryAfterS });
        });
      });
      sent.end(body);
    });
  return {
    once,
    /** Sends until it is taken, as the senders do that are told 503. @returns every answer, the last one 202 */
    untilTaken: async (make: () => Delivery): Promise<Answered[]> => {
      const answers: Answered[] = [];
      for (;;) {
        const answer = await once(make());
        answers.push(answer);
        if (answer.status === 202) return answers;
        if (answer.status !== 503) throw new Error(`the server answered ${answer.status} ${answer.result}`);
        await sleep(Math.max(1, answer.retryAfterS) * 1_000);
      }
    },
    close: () => agent.destroy(),
  };
}

/** Runs `work` for each number below `count`, so many at the same time. */
export async function atOnce(count: number, width: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next;
      next += 1;
      await work(n);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}
