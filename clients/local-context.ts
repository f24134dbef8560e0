/** Lets the drivers look at the world from this very process, without Temporal. For reading only: it has no token. */
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { RampartError } from '../drivers/errors.ts';
import type { Driver, DriverContext, PortOf, Role } from '../drivers/ports.ts';
import type { Component } from '../topology/model.ts';
import type { Env } from './connection.ts';

/** Which systems this machine stands beside; their files are read, not only their ports. */
export interface Beside {
  region: string | null;
  place: string | null;
}

export const NOWHERE: Beside = { region: null, place: null };

/** A driver's context in this process. */
export function localContext(env: Env, service: string, signal: AbortSignal, beside: Beside = NOWHERE): DriverContext {
  const silent = (): undefined => undefined;
  // Many requests of one look wait for the same signal.
  setMaxListeners(0, signal);
  return {
    signal,
    heartbeat: silent,
    now: Date.now,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    secret: (reference) => resolveSecret(reference, env),
    place: { region: beside.region, place: beside.place },
    stateDir: join(stateDirectory(env), 'cli'),
    run: { workflowId: '', runId: '', service },
  };
}

/** Where the workers of this machine keep claims, samples and the pages of manual commands. */
export function stateDirectory(env: Env): string {
  return env.RAMPART_STATE_DIR || join(env.HOME || homedir(), '.local', 'state', 'rampart');
}

/** Opens a component of a known role. @throws RampartError InvalidInput when no driver of this build has its type */
export function openPort<R extends Role>(
  drivers: ReadonlyMap<string, Driver>,
  component: Component & { role: R | Role },
  context: DriverContext,
): PortOf[R] {
  const driver = drivers.get(component.type);
  if (driver === undefined) {
    throw new RampartError('InvalidInput', `this build has no driver for components of type ${component.type}`);
  }
  return driver.open(component, context) as PortOf[R];
}

const REFERENCE = /^\$\{(env|file):([^}]+)\}$/;

/**
 * Resolves a secret reference on this machine; any other text is returned as it is.
 * @throws RampartError AccessDenied naming the variable or file, never a value
 */
export async function resolveSecret(reference: string, env: Env): Promise<string> {
  const match = REFERENCE.exec(reference);
  if (match === null) return reference;
  const [, kind, name] = match as unknown as [string, string, string];
  if (kind === 'env') {
    const value = env[name];
    if (value !== undefined && value !== '') return value;
    throw new RampartError('AccessDenied', `the environment variable ${name} is not set on this machine`, {
      remedy: `Set ${name} here as the workers have it, or look through the workers.`,
    });
  }
  try {
    return (await readFile(name, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new RampartError('AccessDenied', `the secret file ${name} cannot be read on this machine (${code})`, {
      remedy: `Make ${name} readable here, or look through the workers.`,
    });
  }
}
