/**
 * Other people's emulators of AWS, one process for a test file: what the fakes here are held to. Which of them is right
 * about what is in docs/drivers.md.
 *
 * An account for each test instead of a reset: ministack takes a twelve-digit access key id for the account, moto the
 * header `x-moto-account-id` (the emulators' region is the one that a call is signed for).
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poll } from '../../drivers/poll.ts';
import { type EmulatorName, emulatorCommand } from '../../lab/parts/emulators.ts';
import { freePort } from '../../lab/ports.ts';

export interface Emulator {
  url: string;
  stop(): Promise<void>;
}

/** Aurora global databases, Route 53 changes, S3 replication, alarms that are evaluated, ECS, Auto Scaling. */
export function startMinistack(): Promise<Emulator> {
  return start('ministack');
}

/** Topology of read replicas across regions, Application Auto Scaling, ECS, Auto Scaling with suspended processes. */
export function startMoto(): Promise<Emulator> {
  return start('moto');
}

/**
 * A proxy that fails as told by `POST /_microburst/rules`. Its first call costs it seconds: it reads every service's model.
 * @param upstream URL that it passes calls on to
 */
export function startMicroburst(upstream: string): Promise<Emulator> {
  return start('microburst', upstream);
}

async function start(name: EmulatorName, upstream?: string): Promise<Emulator> {
  const { command, args, env, health, url } = await emulatorCommand(name, {
    port: await freePort(),
    upstream,
    endWithInput: true,
  });
  // Ministack leaves a file with its process id.
  const scratch = await mkdtemp(join(tmpdir(), 'rampart-emulator-'));
  // The pipe's other end is this process: the emulator does not outlive it.
  const child = spawn(command, args, {
    env: { ...process.env, ...env, TMPDIR: scratch },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output = `${output}${chunk}`.slice(-4000);
    });
  let ended = false;
  const end = new Promise<void>((resolve) => {
    child.once('error', resolve);
    child.once('exit', resolve);
  }).then(() => {
    ended = true;
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await end;
    await rm(scratch, { recursive: true, force: true });
  };
  const healthy = async () => {
    if (ended) return false;
    const answer = await fetch(health).catch(() => undefined);
    return answer?.ok ? true : undefined;
  };
  const wait = { signal: new AbortController().signal, deadlineMs: 60_000, intervalMs: 50 };
  if ((await poll(wait, healthy)) === true) return { url, stop };
  await stop();
  throw new Error(`${name} did not start:\n${output}`);
}
