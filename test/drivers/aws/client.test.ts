/** The shared client against servers that do what regions do on bad days. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { toFailure } from '../../../activities/perform.ts';
import { apiCalls } from '../../../drivers/aws/calls.ts';
import { awsApi } from '../../../drivers/aws/client.ts';
import { AwsRefusal } from '../../../drivers/aws/errors.ts';
import type { DriverContext } from '../../../drivers/ports.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const CALLS = apiCalls('rds', {
  PromoteReadReplica: {
    changes: true,
    right: 'rds:PromoteReadReplica',
    resource: 'arn:aws:rds:*:*:db:*',
    plane: 'control',
    where: "the target's region",
    why: 'to promote',
  },
});

process.env.AWS_ACCESS_KEY_ID = '123456789012';
process.env.AWS_SECRET_ACCESS_KEY = 'not-a-secret';

const open: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function region(answer: RequestListener): Promise<{ endpoint: string; requests: () => number }> {
  let requests = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((request, response) => {
    requests += 1;
    request.resume().on('end', () => answer(request, response));
  });
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests };
}

async function promote(endpoint: string, context: DriverContext = driverContext(), timeoutMs = 5_000): Promise<void> {
  const { RDSClient, PromoteReadReplicaCommand } = await import('@aws-sdk/client-rds');
  const api = await awsApi({
    load: async () => (base) => new RDSClient(base),
    package: '@aws-sdk/client-rds',
    calls: CALLS,
    place: { region: 'eu-west-1', endpoint },
    context,
    component: 'orders-db in ireland',
  });
  await api.call(
    'PromoteReadReplica',
    (client, options) => client.send(new PromoteReadReplicaCommand({ DBInstanceIdentifier: 'orders-b' }), options),
    { timeoutMs },
  );
}

const xmlError = (code: string, status: number): RequestListener => {
  const body = `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>because</Message></Error></ErrorResponse>`;
  return (_, response) => response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
};

test('a region that swallows everything ends in time, is asked once, and says that nobody knows', async () => {
  const hole = await region(() => undefined);
  await expect(promote(hole.endpoint, driverContext(), 200)).rejects.toMatchObject({
    type: 'ProviderUnavailable',
    message: 'rds PromoteReadReplica (orders-db in ireland, eu-west-1): no answer in time',
    details: { maybeApplied: true },
  });
  expect(hole.requests()).toBe(1);
});

test('the connection gives up no earlier than the longest time-out that a topology may name', async () => {
  const { RDSClient, DescribeDBInstancesCommand } = await import('@aws-sdk/client-rds');
  const there = await region(xmlError('DBInstanceNotFound', 404));
  let handler: { httpHandlerConfigs(): { requestTimeout?: number; socketTimeout?: number } } | undefined;
  const api = await awsApi({
    load: async () => (base) => {
      handler = base.requestHandler;
      return new RDSClient(base);
    },
    package: '@aws-sdk/client-rds',
    calls: CALLS,
    place: { region: 'eu-west-1', endpoint: there.endpoint },
    context: driverContext(),
    component: 'orders-db in ireland',
  });
  await expect(
    api.call('PromoteReadReplica', (client, options) => client.send(new DescribeDBInstancesCommand({}), options)),
  ).rejects.toMatchObject({ code: 'DBInstanceNotFoundFault' });
  expect(handler?.httpHandlerConfigs()).toMatchObject({ requestTimeout: 60_000, socketTimeout: 60_000 });
});

test('credentials that never come end in time as well, and nothing is sent when they come late', async () => {
  const { RDSClient, PromoteReadReplicaCommand } = await import('@aws-sdk/client-rds');
  const there = await region(() => undefined);
  let give = (_: { accessKeyId: string; secretAccessKey: string }): void => undefined;
  const credentials = new Promise<{ accessKeyId: string; secretAccessKey: string }>((resolve) => {
    give = resolve;
  });
  const api = await awsApi({
    load: async () => (base) => new RDSClient({ ...base, credentials: () => credentials }),
    package: '@aws-sdk/client-rds',
    calls: CALLS,
    place: { region: 'eu-west-1', endpoint: there.endpoint },
    context: driverContext(),
    component: 'orders-db in ireland',
  });
  let sending: Promise<unknown> = Promise.resolve();
  const call = api.call(
    'PromoteReadReplica',
    (client, options) => {
      sending = client.send(new PromoteReadReplicaCommand({ DBInstanceIdentifier: 'orders-b' }), options);
      return sending;
    },
    { timeoutMs: 100 },
  );
  await expect(call).rejects.toMatchObject({ type: 'ProviderUnavailable', details: { maybeApplied: true } });
  give({ accessKeyId: '123456789012', secretAccessKey: 'not-a-secret' });
  await expect(sending).rejects.toThrow();
  expect(there.requests()).toBe(0);
}, 10_000);

test('a cancelled activity ends a call at once, with the reason it was cancelled for', async () => {
  const controller = new AbortController();
  const hole = await region(() => controller.abort(new Error('the worker stops')));
  await expect(promote(hole.endpoint, driverContext({ signal: controller.signal }))).rejects.toThrow(
    'the worker stops',
  );
});

test.each([
  ['a page of HTML with HTTP 500', 'answered HTTP 500', (_: unknown, response: Parameters<RequestListener>[1]) => void response.writeHead(500, { 'content-type': 'text/html' }).end('<html><body>Oops</body>')],
  ['HTTP 503', 'answered HTTP 503', xmlError('ServiceUnavailable', 503)],
  ['a connection closed before an answer', 'connection closed before an answer', (request: Parameters<RequestListener>[0]) => void request.socket.destroy()],
  ['a body cut off', 'body that cannot be read', (_: unknown, response: Parameters<RequestListener>[1]) => {
    response.writeHead(200, { 'content-type': 'text/xml', 'content-length': 5000 }).write('<PromoteReadReplicaResponse><Pro');
    setImmediate(() => response.destroy());
  }],
] as Array<[string, string, RequestListener]>)('%s: sent once, and nobody knows', async (_, says, answer) => {
  const bad = await region(answer);
  const error = await promote(bad.endpoint).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ type: 'ProviderUnavailable', details: { maybeApplied: true } });
  expect(String(error)).toContain(says);
  expect(bad.requests()).toBe(1);
}); // biome-ignore format: a table

test.each(['RequestTimeout', 'RequestTimeoutException'])('%s is no refusal: nobody knows', async (code) => {
  const slow = await region(xmlError(code, 400));
  await expect(promote(slow.endpoint)).rejects.toMatchObject({
    type: 'ProviderUnavailable',
    details: { maybeApplied: true },
  });
});

test('a throttled call was not looked at, and Temporal waits as long as the provider says', async () => {
  const busy = await region(xmlError('Throttling', 400));
  const error = await promote(busy.endpoint).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ type: 'ProviderUnavailable', details: { notApplied: true, retryAfterMs: 2_000 } });
  expect(toFailure(error)).toMatchObject({ nonRetryable: false, nextRetryDelay: 2_000 });
  expect(busy.requests()).toBe(1);
});

test.each(['AccessDenied', 'ExpiredToken', 'SignatureDoesNotMatch'])('%s is no reason to try again', async (code) => {
  const guarded = await region(xmlError(code, 403));
  await expect(promote(guarded.endpoint)).rejects.toMatchObject({
    type: 'AccessDenied',
    details: { notApplied: true },
  });
});

test('a denial makes the next call read credentials anew, and breaks off no call that is under way', async () => {
  const answers: Array<() => void> = [];
  const fine = '<PromoteReadReplicaResponse><PromoteReadReplicaResult/></PromoteReadReplicaResponse>';
  const busy = await region((request, response) => {
    if (answers.length > 0) return xmlError('AccessDenied', 403)(request, response);
    answers.push(() => response.writeHead(200, { 'content-type': 'text/xml' }).end(fine));
  });
  const first = promote(busy.endpoint);
  await vi.waitUntil(() => answers.length === 1);
  await expect(promote(busy.endpoint)).rejects.toMatchObject({ type: 'AccessDenied' });
  answers[0]!();
  await first;
});

test('an answer that says no keeps its name', async () => {
  const busy = await region(xmlError('InvalidDBInstanceState', 400));
  const error = await promote(busy.endpoint).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AwsRefusal);
  expect(error).toMatchObject({ type: 'PreconditionFailed', code: 'InvalidDBInstanceStateFault' });
});

test('a package that is not there is named with the command that installs it', async () => {
  const missing = awsApi({
    load: () => import('@aws-sdk/client-that-is-not-there' as string) as Promise<never>,
    package: '@aws-sdk/client-that-is-not-there',
    calls: CALLS,
    place: { region: 'eu-west-1', endpoint: 'http://127.0.0.1:1' },
    context: driverContext(),
    component: 'orders-db in ireland',
  });
  await expect(missing).rejects.toMatchObject({
    type: 'MissingPackage',
    remedy: 'Install it where the workers run: npm install @aws-sdk/client-that-is-not-there',
  });
});
