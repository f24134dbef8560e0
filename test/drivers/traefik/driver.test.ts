import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Router } from '../../../drivers/ports.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { askTcp, makeTraefikWorld, type TraefikWorld } from './world.ts';

const split = (west: number) => ({ 'eu-west': west, 'eu-central': 100 - west });

let world: TraefikWorld;
let epoch = 0;
const open = (options: ContextOptions = {}, component = world.component): Router =>
  world.driver.open(
    component,
    driverContext({ secrets: world.secrets, token: token(++epoch, `run-${epoch}`, 1), ...options }),
  );

describe('traefik edge', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    world = await makeTraefikWorld('weighted');
  }, 120_000);
  afterAll(() => world.close());

  test('1,000 requests through the edge split as the weights say, at every step of a ramp', async () => {
    const sample = { url: world.edgeUrl, requests: 1_000 };
    for (const moved of [10, 25, 50, 100]) {
      const weights = split(100 - moved);
      const router = open({}, world.with({ sample }));
      await router.setWeights(weights);
      const { facts } = await router.verifyWeights(weights);
      expect(facts).toMatchObject({ by: 'sampled', requests: 1_000, unanswered: 0 });
      const observed = facts.observed as Record<string, number>;
      expect(Math.abs((observed['eu-central'] ?? 0) - moved)).toBeLessThanOrEqual(1);
    }
  });

  test('a split that clients do not get is NotApplied, although Traefik shows the weights', async () => {
    await open().setWeights(split(100));
    // The header the regions do not send: nobody can be counted.
    const blind = open({}, world.with({ sample: { url: world.edgeUrl, header: 'x-nobody', requests: 40 } }));
    await expect(blind.verifyWeights(split(100))).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('40 of 40 requests were answered by no region'),
    });
  });

  test('a broken file of somebody else blocks Traefik: NotApplied says where to look, and a retry heals', async () => {
    await open().setWeights(split(100));
    const broken = join(world.folder, 'neighbour.yml');
    writeFileSync(broken, 'http: [');
    const run = token(++epoch, 'run-broken', 1);
    const impatient = open({ token: run }, world.with({ deadline: '300ms' }));
    await expect(impatient.setWeights(split(0))).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('observed after 300 ms: eu-west 100 %, eu-central 0 %'),
      remedy: expect.stringContaining('broken file'),
    });
    expect(await open().observe()).toMatchObject({ weights: split(100), applied: false });
    rmSync(broken);
    await open({ token: run }).setWeights(split(0));
    expect(await open().observe()).toMatchObject({ weights: split(0), applied: true });
  });

  test('Traefik stopped in the middle of a change: not applied; once it goes on, the repeat says already', async () => {
    await open().setWeights(split(100));
    const run = token(++epoch, 'run-stopped', 1);
    // The clock is read when the claim is written: Traefik has answered once and never again.
    const now = () => {
      world.freeze();
      return Date.now();
    };
    try {
      await expect(
        open({ token: run, now }, world.with({ deadline: '300ms' })).setWeights(split(0)),
      ).rejects.toMatchObject({
        type: 'NotApplied',
        message: expect.stringContaining('no complete answer'),
      });
    } finally {
      world.thaw();
    }
    await open({ token: run }).setWeights(split(0));
    expect(await world.measure()).toEqual(split(0));
  });

  test('a lock left by a dead process is taken over, and drafts do not reach Traefik', async () => {
    await open().setWeights(split(100));
    const folder = join(world.folder, '.rampart');
    const dead = spawnSync('true').pid;
    writeFileSync(join(folder, 'checkout.yml.lock'), JSON.stringify({ host: hostname(), pid: dead, nonce: 'x' }));
    writeFileSync(join(folder, 'checkout.yml.draft'), 'half of a fi');
    await open().setWeights(split(0));
    expect(await world.measure()).toEqual(split(0));
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a lock of another machine is waited for until it is stale', async () => {
    await open().setWeights(split(100));
    const lock = join(world.folder, '.rampart/checkout.yml.lock');
    writeFileSync(lock, JSON.stringify({ host: 'another machine', pid: 1, nonce: 'x' }));
    const stop = new AbortController();
    const waiting = open({ signal: stop.signal }).setWeights(split(0));
    const caught = expect(waiting).rejects.toThrow('cancelled');
    stop.abort(new Error('cancelled'));
    await caught;
    const long = new Date(Date.now() - 60_000);
    utimesSync(lock, long, long);
    await open().setWeights(split(0));
    expect(await world.measure()).toEqual(split(0));
  });

  test('a missing file is written anew when the entry point is known, else refused', async () => {
    rmSync(world.file);
    expect(await open().observe()).toMatchObject({ applied: false, detail: expect.stringContaining('no file') });
    // From another machine than the file's, as the guard looks, a missing file says nothing.
    const placed = { ...world.component, queue: 'rampart.eu-west' };
    const seen = await open({}, placed).observe();
    expect(seen).toMatchObject({ reachable: true, applied: true });
    expect(seen.detail).toContain('its file is read by the workers of rampart.eu-west');
    const beside = open({ place: { region: 'eu-west', place: null } }, placed);
    expect(await beside.observe()).toMatchObject({ applied: false });
    const without = open({}, world.with({ entryPoint: undefined }));
    await expect(without.setWeights(split(0))).rejects.toMatchObject({ type: 'PreconditionFailed' });
    await open().setWeights(split(0));
    expect(await world.measure()).toEqual(split(0));
  });

  test('two components cannot share a file', async () => {
    await open().setWeights(split(100));
    const other = { ...world.component, name: 'other' };
    await expect(open({}, other).setWeights(split(0))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('belongs to the component edge'),
    });
  });

  test('an edit between the look and the write is a conflict', async () => {
    await open().setWeights(split(100));
    const text = readFileSync(world.file, 'utf8');
    let looks = 0;
    const config = Object.defineProperty({ ...world.component.config }, 'file', {
      get() {
        // The first use is the look; before the second one, the write, somebody else is quicker.
        looks += 1;
        if (looks === 2) writeFileSync(world.file, text.replace('weight: 100', 'weight: 70'));
        return world.file;
      },
    });
    await expect(open({}, { ...world.component, config }).setWeights(split(0))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('changed by somebody else'),
    });
    expect(readFileSync(world.file, 'utf8')).toContain('weight: 70');
  });

  test("the file keeps its mode, and nothing else is left in Traefik's folder", async () => {
    const mode = statSync(world.file).mode;
    await open().setWeights(split(0));
    expect(statSync(world.file).mode).toBe(mode);
    expect(readdirSync(world.folder).sort()).toEqual([
      '.rampart',
      'api.yml',
      'checkout.yml',
      'default-certificate.yml',
    ]);
  });

  test('the commands of escape work in a shell, and the run that was on the way finds that a person was there', async () => {
    const run = token(++epoch, 'run-overtaken', 1);
    await open({ token: run }).setWeights(split(100));
    const claimed = readFileSync(world.file, 'utf8').split('\n', 1)[0];
    const commands = await open().escape('eu-central');
    // What reads back needs curl, which not every machine has.
    const script = commands.filter((line) => !line.startsWith('curl ')).join('\n');
    execFileSync('/bin/sh', ['-ec', script]);
    expect(readFileSync(world.file, 'utf8')).toContain('weight: 100');
    expect(readFileSync(world.file, 'utf8').split('\n', 1)[0]).toBe(claimed);
    await expect(open({ token: run }).setWeights(split(75))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('was changed by somebody else after run run-overtaken'),
    });
    await open().setWeights(split(0));
    expect(await world.measure()).toEqual(split(0));
  });

  test('escape where the file is not: no command, only what to change and where', async () => {
    const file = join(world.folder, 'elsewhere.yml');
    for (const entryPoint of ['web', undefined]) {
      const commands = await open({}, world.with({ file, entryPoint })).escape('eu-central');
      expect(commands.filter((line) => !line.startsWith('#'))).toEqual([]);
      expect(commands.join('\n').split('\n')).toEqual(commands);
      const text = commands.join('\n');
      expect(text).toContain(`There is no ${file} on this machine`);
      const weights = '[{"name":"checkout-eu-west","weight":0},{"name":"checkout-eu-central","weight":100}]';
      expect(text).toContain(`#   http.services.checkout.weighted.services: ${weights}`);
      expect(text).toMatch(/# {3}http\.services\.checkout-eu-central\.loadBalancer\.servers: \[\{"url":"http:/);
    }
  });

  test('escape of a file without a last line break, which says it already', async () => {
    await open().setWeights(split(0));
    const { mode } = statSync(world.file);
    writeFileSync(world.file, readFileSync(world.file, 'utf8').trimEnd(), { mode });
    const commands = await open().escape('eu-central');
    execFileSync('/bin/sh', ['-ec', commands.filter((line) => !line.startsWith('curl ')).join('\n')]);
    expect(readdirSync(world.folder)).not.toContain('.checkout.yml.draft');
    expect(await open().observe()).toMatchObject({ weights: split(0), applied: true });
  });
});

describe('traefik writer endpoint', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    world = await makeTraefikWorld('endpoint');
  }, 120_000);
  afterAll(() => world.close());

  test('new connections go to the new region; one that was open stays where it was', async () => {
    await open().setWeights(split(100));
    const socket = connect(world.writerPort, '127.0.0.1');
    const next = () => new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    expect(await next()).toBe('eu-west');
    await open().setWeights(split(0));
    expect(await askTcp(world.writerPort)).toBe('eu-central');
    const answer = next();
    socket.write('still there?');
    expect(await answer).toBe('eu-west');
    socket.destroy();
    expect(world.component.capabilities.unverifiable?.join()).toContain('stay at the old region');
  });
});
