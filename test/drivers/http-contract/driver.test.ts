import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configSchema, contractUrl, nodeSchema } from '../../../drivers/http-contract/config.ts';
import { httpContract } from '../../../drivers/http-contract/driver.ts';
import { repositoryRoot } from '../../../lab/paths.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { contractComponent, REGION } from './world.ts';

const root = repositoryRoot();

/** Services that answer exactly as told. `/a` and `/b` keep a state of their own. */
let server: Server;
let base: string;
let answers: Record<string, { status?: number; body: string }>;
let received: Array<{ url: string; body: unknown }>;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const url = request.url ?? '';
    const body = Buffer.concat(await request.toArray()).toString();
    const answer = answers[url] ?? { status: 404, body: '' };
    if (request.method === 'PUT') {
      received.push({ url, body: JSON.parse(body) });
      const { desired } = JSON.parse(body);
      if (answer.body.startsWith('{"state"'))
        answer.body = JSON.stringify({ ...JSON.parse(answer.body), state: desired });
    }
    response.writeHead(answer.status ?? 200).end(answer.body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  answers = {};
  received = [];
});
afterAll(async () => {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
});

const open = (component: Component, options = {}) => httpContract.open(component, driverContext(options));
const one = (path: string, config: object = {}, node: object = {}) =>
  open(contractComponent([`${base}${path}`], { deadline: '100ms', drainDeadline: '100ms', ...config }, node));

describe('answers', () => {
  test.each([
    ['not JSON', 'it works', 'not JSON'],
    ['not an object', '[]', 'not a JSON object'],
    ['null', 'null', 'not a JSON object'],
    ['no state', '{"ready":true}', 'no `state`'],
    ['a state of its own', '{"state":"ACTIVE"}', 'no `state`'],
    ['too long', `{"state":"active","x":"${'x'.repeat(70_000)}"}`, 'longer than 64 KiB'],
  ])('%s: reachable, state unknown, and no change is believed', async (_name, body, why) => {
    answers['/x'] = { body };
    const observed = await one('/x').observe(REGION);
    expect(observed).toMatchObject({ reachable: true, state: 'unknown', detail: expect.stringContaining(why) });
    await expect(one('/x').save(REGION)).rejects.toMatchObject({ type: 'PreconditionFailed' });
    if (body.startsWith('{"state"')) return;
    await expect(one('/x').drain(REGION)).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringContaining(why),
    });
  });

  test('unknown fields are welcome, fields of a wrong type count as missing', async () => {
    answers['/x'] = { body: '{"state":"standby","inflight":"many","ready":"yes","capacity":{"present":1},"more":[1]}' };
    expect(await one('/x').observe(REGION)).toMatchObject({
      state: 'standby',
      inflight: null,
      ready: null,
      capacity: null,
    });
  });

  test.each([
    [400, 'PreconditionFailed'],
    [404, 'PreconditionFailed'],
    [301, 'PreconditionFailed'],
    [401, 'AccessDenied'],
    [403, 'AccessDenied'],
    [409, 'Conflict'],
    [429, 'ProviderUnavailable'],
    [500, 'ProviderUnavailable'],
    [503, 'ProviderUnavailable'],
  ])('status %i is %s, with what the service said', async (status, type) => {
    answers['/x'] = { status, body: 'because\nof this' };
    await expect(one('/x').save(REGION)).rejects.toMatchObject({
      type,
      message: expect.stringContaining(': because of this'),
    });
    expect((await one('/x').observe(REGION)).state).toBe('unknown');
  });

  test('a secret that the service repeats does not reach the error', async () => {
    answers['/x'] = { status: 401, body: 'not this one: let me in' };
    const workload = open(contractComponent([`${base}/x`], { token: '${env:T}' }), {
      secrets: { '${env:T}': 'let me in' },
    });
    await expect(workload.save(REGION)).rejects.toThrow('not this one: ***');
  });
});

describe('scale', () => {
  test('asks for the capacity of the topology and waits until it is present', async () => {
    answers['/x'] = { body: '{"state":"standby","capacity":{"present":2,"wanted":3}}' };
    await expect(one('/x', {}, { capacity: 3 }).scale(REGION)).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringContaining('has 2 of 3 units'),
    });
    expect(received).toEqual([{ url: '/x', body: { desired: 'active', capacity: 3 } }]);
    answers['/x'] = { body: '{"state":"active","capacity":{"present":3,"wanted":3}}' };
    expect(await one('/x', {}, { capacity: 3 }).scale(REGION)).toMatchObject({ already: true });
  });

  test('active and not ready, or silent about a capacity that is asked for, is not enough', async () => {
    answers['/x'] = { body: '{"state":"active","ready":false}' };
    await expect(one('/x').scale(REGION)).rejects.toThrow('is active and not ready');
    answers['/x'] = { body: '{"state":"active"}' };
    await expect(one('/x', {}, { capacity: 1 }).scale(REGION)).rejects.toThrow('does not say its capacity');
    expect(await one('/x').scale(REGION)).toMatchObject({ already: true });
  });
});

describe('several instances', () => {
  const both = () => contractComponent([`${base}/a`, `${base}/b`], { deadline: '100ms', drainDeadline: '100ms' });

  test('a region has a state only when all of them show it; numbers add up', async () => {
    answers['/a'] = { body: '{"state":"active","ready":true,"inflight":2,"capacity":{"present":1,"wanted":1}}' };
    answers['/b'] = { body: '{"state":"standby","ready":true,"inflight":3,"capacity":{"present":1,"wanted":2}}' };
    const mixed = await open(both()).observe(REGION);
    expect(mixed).toMatchObject({ state: 'unknown', ready: true, inflight: 5, capacity: { present: 2, wanted: 3 } });
    expect(mixed.detail).toContain('instance-1: active');
    answers['/b'] = { status: 500, body: '' };
    expect(await open(both()).observe(REGION)).toMatchObject({ reachable: false, state: 'unknown', inflight: null });
  });

  test('only those that need it are told, and each gets its own state back', async () => {
    answers['/a'] = { body: '{"state":"active"}' };
    answers['/b'] = { body: '{"state":"standby"}' };
    const { facts } = await open(both()).save(REGION);
    expect(await open(both()).quiesce(REGION)).toMatchObject({ already: false });
    expect(received).toEqual([{ url: '/a', body: { desired: 'standby' } }]);
    await open(both()).restore(REGION, facts);
    expect([answers['/a'].body, answers['/b'].body]).toEqual(['{"state":"active"}', '{"state":"standby"}']);
  });

  test('with a token all are told, so that all can refuse an older attempt', async () => {
    answers['/a'] = { body: '{"state":"standby"}' };
    answers['/b'] = { body: '{"state":"standby"}' };
    const receipt = await open(both(), { token: token(4, 'run-4', 2) }).quiesce(REGION);
    expect(receipt.already).toBe(true);
    const body = { desired: 'standby', token: { epoch: 4, runId: 'run-4', seq: 2 } };
    expect(received).toEqual(expect.arrayContaining([{ url: '/a', body }, { url: '/b', body }])); // biome-ignore format: pair
  });
});

describe('configuration and papers', () => {
  test('the address is the url, or the url with the path', () => {
    const config = configSchema.parse({});
    const at = (url: string) => contractUrl(config, nodeSchema.parse({ url }));
    expect(at('http://10.1.0.5:8080')).toBe('http://10.1.0.5:8080/rampart');
    expect(at('http://10.1.0.5:8080/')).toBe('http://10.1.0.5:8080/rampart');
    expect(at('http://10.1.0.5:8080/ops/state')).toBe('http://10.1.0.5:8080/ops/state');
    expect(config).toMatchObject({ timeout: 2_000, deadline: 30_000, drainDeadline: 60_000 });
    const { properties } = z.toJSONSchema(configSchema, { io: 'input' });
    for (const property of Object.values(properties!)) expect(property).toHaveProperty('description');
  });

  test('the commands of escape are whole, with the secret left to the shell', async () => {
    const component = contractComponent(['http://10.1.0.5:8080'], { token: '${file:/run/secrets/token}' });
    const commands = await open(component).escape(REGION, 'drained');
    expect(commands[0]).toBe(
      `curl -fsS -X PUT -H "Authorization: Bearer $(cat '/run/secrets/token')" -H 'Content-Type: application/json' -d '{"desired":"drained"}' 'http://10.1.0.5:8080/rampart'`,
    );
    for (const command of commands) execFileSync('/bin/sh', ['-nc', command]);
    const byVariable = contractComponent(['http://10.1.0.5:8080'], { token: '${env:APP_TOKEN}' });
    expect((await open(byVariable).escape(REGION, 'unknown'))[0]).toContain('"Authorization: Bearer $APP_TOKEN"');
  });

  test('the documented example is the one that the conformance tests run', () => {
    const page = readFileSync(join(root, 'docs/http-contract.md'), 'utf8');
    const example = readFileSync(join(root, 'examples/http-contract-server.ts'), 'utf8');
    expect(page).toContain(`\`\`\`ts\n${example}\`\`\``);
  });
});
