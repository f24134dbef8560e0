import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandCheck } from '../../../drivers/checks/command.ts';
import { poll } from '../../../drivers/poll.ts';
import { checkComponent, describeCheck } from '../../conformance/check/check-suite.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const REGION = 'eu-west';
const SECRET = '${env:DEPTH_TOKEN}';
const sh = (script: string) => ['/bin/sh', '-c', script];
const ask = (command: string[], config: object = {}, nodes: object[] = [{}]) =>
  checkComponent(commandCheck, { command, ...config }, { [REGION]: nodes });

describeCheck('command', async () => {
  const guarded = sh('[ "$TOKEN" = right ] && echo 5 || { echo "wrong $TOKEN" >&2; exit 1; }');
  const secretEnv = { TOKEN: SECRET };
  return {
    driver: commandCheck,
    region: REGION,
    secrets: { [SECRET]: 'right' },
    good: ask(guarded, { secretEnv, output: { max: 10 } }),
    bad: ask(sh('exit 2')),
    nobody: ask(['/no/such/program']),
    silent: ask(sh('echo thinking; exec sleep 60'), { timeout: '200ms' }),
    empty: ask(sh('echo nothing to say >&2'), { output: { max: 10 } }),
    refused: { component: ask(guarded, { secretEnv }), secrets: { [SECRET]: 'wrong-but-secret' } },
    close: async () => undefined,
  };
});

describe('command check', () => {
  const run = (...args: Parameters<typeof ask>) => commandCheck.open(ask(...args), driverContext()).run(REGION);

  test('no shell comes between: arguments arrive as they stand', async () => {
    const result = await run(['/bin/echo', '-n', '$(id) `id` ; * {{region}}'], {
      output: { equals: `$(id) \`id\` ; * ${REGION}` },
    });
    expect(result).toMatchObject({ outcome: 'pass' });
  });

  test('its environment holds what is given, PATH, and who asks', async () => {
    process.env.A_SECRET_OF_THE_WORKER = 'must not leak';
    const env = ['GIVEN=1', 'PATH', `RAMPART_NODE=${REGION}-1`, `RAMPART_REGION=${REGION}`, 'RAMPART_SERVICE=checkout'];
    const print =
      'console.log(Object.entries(process.env).map(([k, v]) => k === "PATH" ? k : k + "=" + v).sort().join(" "))';
    const result = await run([process.execPath, '-e', print], {
      env: { GIVEN: '1' },
      output: { equals: env.join(' ') },
    });
    delete process.env.A_SECRET_OF_THE_WORKER;
    expect(result).toMatchObject({ outcome: 'pass' });
  });

  test.each([
    [0, 'pass'],
    [1, 'fail'],
    [3, 'unknown'],
    [127, 'unknown'],
  ])('exit code %i is %s', async (code, outcome) => {
    expect(await run(sh(`echo because; exit ${code}`))).toMatchObject({ outcome, observed: `exit code ${code}` });
  });

  test('ended by a signal is unknown', async () => {
    expect(await run(sh('kill -9 $$'))).toMatchObject({ outcome: 'unknown', observed: 'ended by SIGKILL' });
  });

  test('endless output is bounded and ends with the time-out', async () => {
    const result = await run(sh('yes'), { timeout: '150ms', maxOutput: '1KiB' });
    expect(result.outcome).toBe('unknown');
    expect(JSON.stringify(result).length).toBeLessThan(1_000);
  });

  test('a time-out ends also what the program started', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rampart-command-'));
    const file = join(folder, 'pid');
    await run(sh(`sleep 60 & echo $! > ${file}; wait`), { timeout: '150ms' });
    const pid = Number(await readFile(file, 'utf8'));
    const gone = async () => {
      try {
        process.kill(pid, 0);
        // Killed and not yet collected by its new parent counts as gone.
        return (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ' Z ')).includes(' Z ') || undefined;
      } catch {
        return true;
      }
    };
    const wait = { signal: new AbortController().signal, deadlineMs: 5_000, intervalMs: 5 };
    expect(await poll(wait, gone)).toBe(true);
    await rm(folder, { recursive: true });
  });

  test('a child that keeps the output open does not keep the check waiting', async () => {
    const started = performance.now();
    const result = await run(sh('sleep 5 & exit 0'), { timeout: '20s' });
    expect(result.outcome).toBe('pass');
    expect(performance.now() - started).toBeLessThan(4_000);
  });
});
