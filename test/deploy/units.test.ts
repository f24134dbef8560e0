import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import { problemOf, program } from '../docs/commands.ts';

const root = repositoryRoot();
const file = (path: string): string => readFileSync(join(root, path), 'utf8');

/** `[Section]` → key → values, as systemd reads a unit; continued lines are not used here. */
function unit(path: string): Record<string, Record<string, string[]>> {
  const sections: Record<string, Record<string, string[]>> = {};
  let current: Record<string, string[]> | undefined;
  for (const line of file(path).split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const heading = /^\[(\w+)\]$/.exec(line)?.[1];
    if (heading !== undefined) {
      sections[heading] ??= {};
      current = sections[heading];
      continue;
    }
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (current === undefined || key === undefined) throw new Error(`${path}: not a unit line: ${line}`);
    current[key] = [...(current[key] ?? []), value!];
  }
  return sections;
}

describe('systemd units', () => {
  const of = (name: string) => ({ name, service: unit(`deploy/systemd/${name}`).Service! });
  const workers = ['rampart-control.service', 'rampart-region@.service'].map(of);
  const serve = of('rampart-serve.service');

  it('run commands that exist', async () => {
    const cli = await program();
    for (const { name, service } of [...workers, serve])
      expect(problemOf(cli, service.ExecStart![0]!), name).toBeNull();
    const guard = unit('deploy/systemd/postgresql@.service.d/rampart-guard.conf').Service!;
    // What an administrator may have put there, or nothing.
    for (const more of ['', ' --place one', ' --component db --node w1'])
      expect(problemOf(cli, guard.ExecStartPre![0]!.replace(/ \$GUARD$/, more))).toBeNull();
  });

  it('wait longer than a worker may take to end', () => {
    const force = /SHUTDOWN_FORCE = '(\d+)s'/.exec(file('workers/temporal-workers.ts'))![1];
    for (const { service } of workers) expect(Number(service.TimeoutStopSec![0])).toBeGreaterThan(Number(force));
    // The webhooks' answers are due within the slowest message's time.
    const slowest = /DEADLINE_MS = (\d)_(\d+);/.exec(file('clients/webhooks/server.ts'))!.slice(1).join('');
    expect(Number(serve.service.TimeoutStopSec![0]) * 1000).toBeGreaterThan(Number(slowest) + 2_500);
    const grace = [...file('docker-compose.yml').matchAll(/stop_grace_period: (\d+)s/g)].map((m) => Number(m[1]));
    expect(grace).toHaveLength(2);
    for (const seconds of grace) expect(seconds).toBeGreaterThan(Number(force));
  });

  it('let a worker write where the documented Traefik reads', () => {
    const folder = /directory=(\S+)/.exec(file('docs/traefik.md'))![1]!;
    expect(folder).toMatch(/^\/etc\//);
    for (const { name, service } of workers) {
      const writable = (service.ReadWritePaths ?? []).map((path) => path.replace(/^-/, ''));
      expect([name, service.ProtectSystem === undefined || writable.includes(folder)]).toEqual([name, true]);
    }
  });

  it('can run side by side, and restart a worker without its database', () => {
    const ports = workers.flatMap(({ service }) => service.ExecStart![0]!.match(/127\.0\.0\.1:\d+/g)!);
    const hooks = serve.service.ExecStart![0]!.match(/127\.0\.0\.1:\d+/g)!;
    expect(new Set([...ports, ...hooks]).size).toBe(6);
    const region = workers[1]!.service;
    expect(region).toMatchObject({ KillMode: ['process'], User: ['postgres'] });
  });
});
