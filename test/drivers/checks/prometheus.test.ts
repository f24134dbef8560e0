import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prometheusCheck } from '../../../drivers/checks/prometheus.ts';
import { type CheckWorld, checkComponent, describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const REGION = 'eu-west';
const AUTH = '${env:PROMETHEUS_AUTH}';

const vector = (...values: string[]) => ({
  status: 'success',
  data: { resultType: 'vector', result: values.map((value, i) => ({ metric: { i: String(i) }, value: [1.5, value] })) },
});
/** Answers of a Prometheus, by query; the forms are those of https://prometheus.io/docs/prometheus/latest/querying/api/. */
const ANSWERS: Record<string, unknown> = {
  low: vector('0.25'),
  high: vector('7'),
  many: vector('0', '9', '1'),
  none: vector(),
  nan: vector('NaN'),
  infinite: vector('+Inf'),
  scalar: { status: 'success', data: { resultType: 'scalar', result: [1.5, '2'] } },
  range: { status: 'success', data: { resultType: 'matrix', result: [] } },
  'errors{region="eu-west"}': vector('1'),
  wrong: { status: 'error', errorType: 'bad_data', error: 'parse error: unexpected end of input' },
};

let server: Server;
let base: string;
let running: Promise<void> | undefined;

async function start(): Promise<void> {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const query = new URLSearchParams(body).get('query') ?? '';
    if (request.url?.startsWith('/silent')) return;
    if (request.headers.authorization !== 'Bearer right') return void response.writeHead(401).end('no');
    if (request.url !== '/prom/api/v1/query') return void response.writeHead(404).end('<html>');
    const answer = ANSWERS[query] as { status: string } | undefined;
    response.writeHead(answer?.status === 'success' ? 200 : 400).end(JSON.stringify(answer ?? ANSWERS.wrong));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ask = (query: string, config: object = {}, url = `${base}/prom/`) =>
  checkComponent(
    prometheusCheck,
    { query, expect: { max: 1 }, secretHeaders: { Authorization: AUTH }, timeout: '300ms', ...config },
    { [REGION]: [{ url }] },
  );
const secrets = { [AUTH]: 'Bearer right' };
const run = (...args: Parameters<typeof ask>) =>
  prometheusCheck.open(ask(...args), driverContext({ secrets })).run(REGION);

describeCheck('prometheus', async (): Promise<CheckWorld> => {
  running ??= start();
  await running;
  return {
    driver: prometheusCheck,
    region: REGION,
    secrets,
    good: ask('low'),
    bad: ask('high'),
    nobody: ask('low', {}, 'http://127.0.0.1:1/'),
    silent: ask('low', {}, `${base}/silent`),
    empty: ask('none'),
    refused: { component: ask('low'), secrets: { [AUTH]: 'Bearer wrong-but-secret' } },
    close: async () => undefined,
  };
});

describe('prometheus check', () => {
  beforeAll(async () => {
    running ??= start();
    await running;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test.each([
    ['many', {}, 'fail', 'value = 9'],
    ['scalar', { expect: { equals: 2 } }, 'pass', 'value = 2'],
    ['nan', {}, 'unknown', 'no value'],
    ['infinite', {}, 'unknown', 'no value'],
    ['range', {}, 'unknown', 'status 200'],
    ['wrong', {}, 'unknown', 'status 400'],
    ['errors{region="{{region}}"}', {}, 'pass', 'value = 1'],
  ])('%s: %j', async (query, config, outcome, observed) => {
    expect(await run(query, config)).toMatchObject({ outcome, observed: expect.stringContaining(observed) });
  });

  test('its own silence says nothing about what it watches', async () => {
    const result = await run('low', {}, 'http://127.0.0.1:1/');
    expect([result.outcome, result.unserved]).toEqual(['unknown', undefined]);
  });
});
