/** The emulated provider of a world that is built by an example, from outside: its processes, and what it has made. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Ready } from '../cloud/main.ts';
import { emulatorCommand } from '../parts/emulators.ts';
import { built } from '../paths.ts';
import { startProcess } from '../processes.ts';
import { logOf, type Member } from './members.ts';
import { type ProviderPorts, recordOf, type WorldSpec } from './spec.ts';
import { untilAnswers } from './temporal.ts';

/** The emulator of AWS, and the process that stands before it and makes real things follow. */
export async function providerMembers(spec: WorldSpec, ports: ProviderPorts): Promise<Member[]> {
  const { command, args, env } = await emulatorCommand('ministack', { port: ports.emulator });
  // The emulator leaves a file with its process id.
  const scratch = join(spec.dir, 'state/emulator');
  mkdirSync(scratch, { recursive: true });
  const member = (
    name: string,
    start: Omit<Parameters<typeof startProcess>[0], 'name' | 'log' | 'record'>,
  ): Member => ({
    name,
    kind: 'provider',
    region: null,
    start: () => startProcess({ name, log: logOf(spec, name), record: recordOf(spec.dir), ...start }),
  });
  return [
    member('emulator', { command, args, env: { ...env, TMPDIR: scratch } }),
    member('provider', {
      command: process.execPath,
      args: [built('lab/cloud/main.js'), join(spec.dir, 'world.json')],
      env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    }),
  ];
}

/**
 * Waits until everything exists that a topology names.
 * @param alive gives up as soon as a member of that name has ended
 */
export async function untilProviderReady(
  spec: WorldSpec,
  ports: ProviderPorts,
  alive: <T>(name: string, work: Promise<T>) => Promise<T>,
): Promise<Ready> {
  const url = `http://127.0.0.1:${ports.api}/_lab/ready`;
  const answers = untilAnswers(url, 120_000, `the emulated provider; its log is ${logOf(spec, 'provider')}`);
  await Promise.all(['emulator', 'provider'].map((name) => alive(name, answers)));
  return (await (await fetch(url)).json()) as Ready;
}

/** Hands databases, routes and apps to the provider: from now on they do what its control planes say. */
export async function letFollow(ports: ProviderPorts): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${ports.api}/_lab/follow`);
  if (!answer.ok) throw new Error(`the emulated provider said ${answer.status}`);
}
