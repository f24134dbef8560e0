/**
 * Free TCP ports on the loopback, below the range the kernel gives to outgoing connections.
 *
 * A port from that range (`listen(0)`) may be taken by any client before its server starts, and again while the server
 * is down for a restart. Two processes that ask at the same time are told apart by a claim: one file for each port.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Below 32768 (Linux) and 49152 (macOS), where ephemeral ports start by default. */
const FIRST = 15_000;
const LAST = 32_000;
/** A claim outlives its process by this much: servers of a lab stay when the command that started them has ended. */
const KEPT_MS = 15 * 60_000;

/**
 * Ports that nobody listens on and nobody else was given.
 * @param count how many, all different
 * @throws Error when no free port is found
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 2000) throw new Error(`no ${count} free ports were found between ${FIRST} and ${LAST}`);
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (claim(port) && (await nobodyListens(port))) ports.push(port);
  }
  return ports;
}

/** One port that nobody listens on and nobody else was given. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

function claim(port: number): boolean {
  const home = join(tmpdir(), 'rampart-ports');
  const file = join(home, String(port));
  mkdirSync(home, { recursive: true });
  try {
    // Shared by all users of the machine, as the ports are.
    chmodSync(home, 0o1777);
  } catch {
    // Somebody else's folder, who has opened it already.
  }
  try {
    if (isStale(file)) rmSync(file, { force: true });
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

function isStale(file: string): boolean {
  const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY);
  if (age < KEPT_MS) return false;
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EPERM';
  }
}

function nobodyListens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
