import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { httpCheck } from '../../../drivers/checks/http.ts';
import { type CheckWorld, checkComponent, describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const REGION = 'eu-west';
const AUTH = '${env:CHECK_AUTH}';

/** Answers by path; `/silent` takes the request and never answers. */
async function startServer(): Promise<{ server: Server; base: string }> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown) => response.writeHead(status).end(JSON.stringify(body));
    switch (request.url) {
      case '/ok':
        return answer(200, { status: 'ok', lag: { seconds: 3 }, checks: [{ state: 'up' }], none: null });
      case '/degraded':
        return answer(200, { status: 'degraded', lag: { seconds: 90 } });
      case '/down':
        return answer(503, { status: 'ok' });
      case '/guarded':
        return request.headers.authorization === 'Bearer right' ? answer(200, { status: 'ok' }) : answer(401, {});
      case '/text':
        return response.end('all is well');
      case '/broken':
        response.writeHead(200, { 'content-length': 100 }).write('{"status":"o');
        return setImmediate(() => response.destroy());
      case '/silent':
        return undefined;
      default:
        return answer(404, {});
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

async function makeWorld(): Promise<CheckWorld> {
  const { server, base } = await startServer();
  const json = { field: 'status', equals: 'ok' };
  const ask = (path: string, config: object = {}) =>
    checkComponent(httpCheck, { json, timeout: '300ms', ...config }, { [REGION]: [{ url: `${base}${path}` }] });
  return {
    driver: httpCheck,
    region: REGION,
    secrets: { [AUTH]: 'Bearer right' },
    good: ask('/guarded', { secretHeaders: { Authorization: AUTH } }),
    bad: ask('/degraded'),
    nobody: checkComponent(httpCheck, { json }, { [REGION]: [{ url: 'http://127.0.0.1:1/' }] }),
    silent: ask('/silent', { secretHeaders: { Authorization: AUTH } }),
    empty: ask('/ok', { json: { field: 'missing', equals: 'ok' } }),
    refused: {
      component: ask('/guarded', { secretHeaders: { Authorization: AUTH } }),
      secrets: { [AUTH]: 'Bearer wrong-but-secret' },
    },
    close: () => stop(server),
  };
}

describeCheck('http', makeWorld);

test('that nobody answers is told apart from an answer that says nothing', async () => {
  const at = (url: string) => httpCheck.open(checkComponent(httpCheck, { url }, {}), driverContext()).run(REGION);
  expect(await at('http://127.0.0.1:1/')).toMatchObject({ outcome: 'unknown', unserved: 'silent' });
  const component = checkComponent(httpCheck, {}, { [REGION]: [{}] });
  expect(await httpCheck.open(component, driverContext()).run(REGION)).not.toHaveProperty('unserved');
});

describe('http check', () => {
  let server: Server;
  let base: string;
  beforeAll(async () => {
    ({ server, base } = await startServer());
  });
  afterAll(() => stop(server));
  const ask = (path: string, config: object = {}) =>
    httpCheck
      .open(checkComponent(httpCheck, config, { [REGION]: [{ url: `${base}${path}` }] }), driverContext())
      .run(REGION);

  test.each([
    ['/ok', {}, 'pass', 'status 200', 'status 2xx'],
    ['/down', {}, 'fail', 'status 503', 'status 2xx'],
    ['/down', { status: [200, 503] }, 'pass', 'status 503', 'status 200 or 503'],
    ['/ok', { status: 204 }, 'fail', 'status 200', 'status 204'],
    ['/ok', { json: { field: 'lag.seconds', max: 60 } }, 'pass', 'lag.seconds = 3', 'lag.seconds ≤ 60'],
    ['/degraded', { json: { field: 'lag.seconds', max: 60 } }, 'fail', 'lag.seconds = 90', 'lag.seconds ≤ 60'],
    ['/ok', { json: { field: 'checks.0.state', equals: 'up' } }, 'pass', 'checks.0.state = "up"', '= "up"'],
    ['/ok', { json: { field: 'none', equals: 'up' } }, 'unknown', 'no none', 'none = "up"'],
    ['/ok', { json: { field: 'status', min: 1 } }, 'unknown', 'status = "ok"', 'status ≥ 1'],
    ['/ok', { json: { field: 'status.length', equals: 2 } }, 'unknown', 'no status.length', '= 2'],
    ['/text', { json: { field: 'status', equals: 'ok' } }, 'unknown', 'no JSON', 'status = "ok"'],
    ['/down', { json: { field: 'status', equals: 'ok' } }, 'fail', 'status 503', 'status 2xx'],
    ['/broken', {}, 'unknown', 'no answer', 'status 2xx'],
  ])('%s asked for %j: %s', async (path, config, outcome, observed, threshold) => {
    const result = await ask(path, config);
    expect(result.outcome).toBe(outcome);
    expect(result.observed).toContain(observed);
    expect(result.threshold).toContain(threshold);
  });

  test('the latency bound is judged on the whole exchange', async () => {
    expect(await ask('/ok', { latency: '10s' })).toMatchObject({ outcome: 'pass' });
    const slow = createServer((_request, response) => {
      response.write('first');
      setTimeout(() => response.end('last'), 30);
    });
    await new Promise<void>((resolve) => {
      slow.listen(0, '127.0.0.1', resolve);
    });
    const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
    const component = checkComponent(httpCheck, { url, latency: '20ms' }, {});
    const result = await httpCheck.open(component, driverContext()).run(REGION);
    await stop(slow);
    expect(result).toMatchObject({ outcome: 'fail', threshold: expect.stringContaining('≤ 20 ms') });
  });

  test('its schema refuses secrets in the open and gives editors examples', () => {
    const headers = { Authorization: 'Bearer abc' };
    expect(httpCheck.config.safeParse({ headers }).success).toBe(false);
    expect(httpCheck.config.safeParse({ secretHeaders: headers }).success).toBe(false);
    expect(httpCheck.config.safeParse({ url: 'http://user:pw@host/' }).success).toBe(false);
    expect(JSON.stringify(z.toJSONSchema(httpCheck.config, { io: 'input' }))).toContain(
      'Longest time from the request',
    );
    expect(httpCheck.validate!(checkComponent(httpCheck, {}, { [REGION]: [{}] }))).toHaveLength(1);
  });
});
