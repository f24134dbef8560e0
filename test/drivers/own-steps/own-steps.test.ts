import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type OwnCommand, runOwnCommand } from '../../../drivers/own-steps/command.ts';
import { type OwnHttp, runOwnHttp } from '../../../drivers/own-steps/http.ts';
import type { OwnStepFacts } from '../../../drivers/own-steps/step.ts';
import { type ContextOptions, driverContext } from '../../conformance/driver-context.ts';

const FACTS: OwnStepFacts = {
  step: 'own:warm-cache',
  region: 'eu-central',
  from: 'eu-west',
  to: 'eu-central',
  mode: 'planned',
  deadlineMs: 5_000,
};
const SECRET = '${env:FLAGS_TOKEN}';
const secrets = { [SECRET]: 'only the flag service knows' };

describe("a team's own command", { timeout: 20_000 }, () => {
  const run = (config: OwnCommand, facts: Partial<OwnStepFacts> = {}, options: ContextOptions = {}) =>
    runOwnCommand(config, driverContext({ secrets, ...options }), { ...FACTS, ...facts });
  const sh = (script: string, env: Record<string, string> = {}): OwnCommand => ({
    command: ['/bin/sh', '-c', script],
    env,
  });

  test('gets the variables as arguments and environment, and nothing through a shell', async () => {
    const receipt = await run({ command: ['/bin/echo', '-n', '{{from}}>{{ to }}', '$(id)', '{{service}};ls'] });
    expect(receipt.facts).toMatchObject({ exitCode: 0, stdout: 'eu-west>eu-central $(id) checkout;ls' });
    const env = await run(
      sh('echo $RAMPART_SERVICE $RAMPART_FROM $RAMPART_TO $RAMPART_RUN_ID $RAMPART_STEP $RAMPART_MODE'),
    );
    expect(env.facts.stdout).toBe('checkout eu-west eu-central run-1 own:warm-cache planned');
  });

  test('gets the token, so that its system can refuse what comes late', async () => {
    const token = { systemId: null, expectedTimeline: null, epoch: 7, runId: 'run-1', seq: 12 };
    const command = sh('echo $RAMPART_EPOCH $RAMPART_RUN_ID $RAMPART_SEQ "$1"');
    const told = await run({ ...command, command: [...command.command, 'sh', '{{epoch}}/{{seq}}'] }, {}, { token });
    expect(told.facts.stdout).toBe('7 run-1 12 7/12');
    // A step without an effect carries none.
    expect((await run(sh('echo "[$RAMPART_EPOCH$RAMPART_SEQ]"'))).facts.stdout).toBe('[]');
  });

  test('a variable that does not exist is wrong input, not an argument', async () => {
    await expect(run({ command: ['/bin/echo', '{{form}}'] })).rejects.toMatchObject({ type: 'InvalidInput' });
  });

  test('the idempotency key is the same for a repeat and another one for another step or run', async () => {
    const key = async (facts: Partial<OwnStepFacts> = {}, options: ContextOptions = {}) =>
      (await run(sh('echo $RAMPART_IDEMPOTENCY_KEY'), facts, options)).facts.stdout;
    const first = await key();
    expect(first).toMatch(/^rampart-[0-9a-f]{32}$/);
    expect(await key()).toBe(first);
    expect(await key({ step: 'undo:own:warm-cache' })).not.toBe(first);
    const run2 = { workflowId: 'failover/checkout', runId: 'run-2', service: 'checkout' };
    expect(await key({}, { run: run2 })).not.toBe(first);
  });

  test('secrets reach it and stay out of receipts and errors', async () => {
    const fine = await run(sh('echo "token: $TOKEN"', { TOKEN: SECRET }));
    expect(fine.facts.stdout).toBe('token: ***');
    const failed = run(sh('echo "bad token $TOKEN" >&2; exit 1', { TOKEN: SECRET }));
    await expect(failed).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('exit code 1: bad token ***'),
    });
  });

  test('exit code 75 asks for another attempt', async () => {
    await expect(run(sh('exit 75'))).rejects.toMatchObject({ type: 'ProviderUnavailable' });
  });

  test('a program that is not there, and one that is killed', async () => {
    await expect(run({ command: ['/no/such/program'] })).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('could not be started'),
    });
    await expect(run(sh('kill -9 $$'))).rejects.toThrow('SIGKILL');
  });

  test('the deadline ends it, also when it ignores SIGTERM', async () => {
    const stubborn = run(sh('trap "" TERM; echo started; while :; do sleep 0.05; done'), { deadlineMs: 150 });
    await expect(stubborn).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringContaining('started'),
    });
  });

  test('abort ends it with the reason of the signal', async () => {
    const stop = new AbortController();
    const running = run(
      sh('exec sleep 60'),
      {},
      { signal: stop.signal, heartbeat: () => stop.abort(new Error('cancelled')) },
    );
    await expect(running).rejects.toThrow('cancelled');
  });

  test('output is bounded', async () => {
    const receipt = await run(sh('head -c 3000000 /dev/zero | tr "\\0" x; echo the end'));
    expect(JSON.stringify(receipt).length).toBeLessThan(3_000);
    expect(receipt.facts.stdout).toContain('the end');
  });
});

describe("a team's own HTTP call", { timeout: 20_000 }, () => {
  let server: Server;
  let base: string;
  let seen: Array<{ method: string; url: string; headers: IncomingMessage['headers']; body: string }>;

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
      if (request.url === '/silent') return;
      const status = Number(/^\/status\/(\d+)/.exec(request.url ?? '')?.[1] ?? 200);
      response.writeHead(status).end(`you sent ${request.headers.authorization ?? 'nothing'}`);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    seen = [];
  });
  afterAll(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });

  const run = (
    config: Partial<OwnHttp> & { path?: string },
    facts: Partial<OwnStepFacts> = {},
    options: ContextOptions = {},
  ) => {
    const { path = '/', ...rest } = config;
    return runOwnHttp({ url: `${base}${path}`, ...rest }, driverContext({ secrets, ...options }), {
      ...FACTS,
      ...facts,
    });
  };

  test('sends variables, JSON, secrets and an idempotency key', async () => {
    const receipt = await run({
      path: '/flags/{{service}}?to={{to}}&step={{step}}',
      headers: { Authorization: SECRET, 'X-From': '{{from}}' },
      body: { active: '{{to}}', list: ['{{mode}}', 3, null], nested: { run: '{{runId}}' } },
    });
    expect(receipt.facts).toMatchObject({ status: 200, body: 'you sent ***' });
    const [{ method, url, headers, body }] = seen as [(typeof seen)[number]];
    expect([method, url]).toEqual(['POST', '/flags/checkout?to=eu-central&step=own%3Awarm-cache']);
    expect(headers).toMatchObject({
      authorization: secrets[SECRET],
      'x-from': 'eu-west',
      'content-type': 'application/json',
    });
    expect(JSON.parse(body)).toEqual({ active: 'eu-central', list: ['planned', 3, null], nested: { run: 'run-1' } });
    await run({});
    expect(seen[1]!.headers['idempotency-key']).toBe(headers['idempotency-key']);
  });

  test.each([
    [201, undefined, 'done'],
    [404, [200, 404], 'done'],
    [200, [202], 'PreconditionFailed'],
    [302, undefined, 'PreconditionFailed'],
    [400, undefined, 'PreconditionFailed'],
    [401, undefined, 'AccessDenied'],
    [403, undefined, 'AccessDenied'],
    [409, undefined, 'Conflict'],
    [429, undefined, 'ProviderUnavailable'],
    [500, undefined, 'ProviderUnavailable'],
    [503, undefined, 'ProviderUnavailable'],
  ])('status %i with %j expected: %s', async (status, expectStatus, outcome) => {
    const call = run({ path: `/status/${status}`, expectStatus });
    if (outcome === 'done') expect((await call).facts.status).toBe(status);
    else await expect(call).rejects.toMatchObject({ type: outcome });
  });

  test('an error names the address, and no secret', async () => {
    const failed = run({ path: '/status/400?key=also+secret', headers: { Authorization: SECRET } });
    const error = (await failed.catch((caught: unknown) => caught)) as Error;
    expect(error.message).toContain('/status/400 answered 400: you sent ***');
    expect(JSON.stringify(error) + String(error)).not.toMatch(/also|only the flag/);
  });

  test('a whole address by reference stays secret', async () => {
    const url = '${env:HOOK}';
    const options = { secrets: { [url]: `${base}/status/500/path-is-the-password` } };
    const error = (await run({ url }, {}, options).catch((caught: unknown) => caught)) as Error;
    expect(error).toMatchObject({ type: 'ProviderUnavailable' });
    expect(JSON.stringify(error) + String(error)).not.toMatch(/password|127\.0\.0\.1/);
  });

  test('nobody there, silence and abort', async () => {
    await expect(run({ url: 'http://127.0.0.1:1/' })).rejects.toMatchObject({ type: 'ProviderUnavailable' });
    await expect(run({ path: '/silent' }, { deadlineMs: 100 })).rejects.toMatchObject({ type: 'DeadlineExceeded' });
    const stop = new AbortController();
    const waiting = run(
      { path: '/silent' },
      {},
      { signal: stop.signal, heartbeat: () => stop.abort(new Error('cancelled')) },
    );
    await expect(waiting).rejects.toThrow('cancelled');
  });
});
