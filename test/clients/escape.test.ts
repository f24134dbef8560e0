/** The manual commands of a service in three regions: from where to where, when nothing that answers says it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { directionOf } from '../../clients/escape.ts';
import { type Ran, rampart } from './terminal.ts';

let cwd: string;
let api: Server;
beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'rampart-escape-'));
  // A Traefik that sends everything to eu-west.
  api = createServer((_request, response) => {
    const services = [
      { name: 'edge-eu-west', weight: 100 },
      { name: 'edge-eu-central', weight: 0 },
      { name: 'edge-eu-north', weight: 0 },
    ];
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ weighted: { services }, status: 'enabled' }));
  });
  await new Promise<void>((resolve) => {
    api.listen(0, '127.0.0.1', resolve);
  });
});
afterAll(() => {
  api.close();
  rmSync(cwd, { recursive: true, force: true });
});

const database = `  db:
    type: postgres
    user: rampart
    password: \${env:DB}
    sides:
      eu-west: { host: 127.0.0.1, port: 9 }
      eu-central: { host: 127.0.0.2, port: 9 }
      eu-north: { host: 127.0.0.3, port: 9 }`;
const edge = () => `  edge:
    type: traefik
    kind: weighted
    file: ${join(cwd, 'edge.yml')}
    api: http://127.0.0.1:${(api.address() as AddressInfo).port}
    service: edge
    sides:
      eu-west: { url: 'http://127.0.0.1:9' }
      eu-central: { url: 'http://127.0.0.1:9' }
      eu-north: { url: 'http://127.0.0.1:9' }`;

function page(component: string, ...argv: string[]): Promise<Ran> {
  const name = /^ {2}(\w+):/.exec(component)![1]!;
  const config = join(cwd, 'rampart.yaml');
  writeFileSync(
    config,
    `version: 1
regions: { eu-west: {}, eu-central: {}, eu-north: {} }
components:
${component}
services:
  shop: { owner: us, home: eu-west, standby: [eu-central, eu-north], components: [${name}] }
`,
  );
  return rampart(['escape', 'shop', ...argv], { cwd, env: { RAMPART_CONFIG: config, HOME: cwd, DB: 'x' } });
}

describe('nothing answers', () => {
  test('what is missing is asked for, by commands that give it', async () => {
    const { code, err } = await page(database, '--to', 'eu-central');
    expect(code).toBe(2);
    expect(err).toMatch(/^rampart: it cannot be told from where shop is to go to eu-central: /);
    expect(err.trim().split('\n').slice(1)).toEqual([
      '  rampart escape shop --from eu-west --to eu-central',
      '  rampart escape shop --from eu-north --to eu-central',
    ]);
    const neither = await page(database);
    expect(neither.err.trim().split('\n').slice(1)).toHaveLength(6);
    expect(neither.code).toBe(2);
    const half = await page(database, '--from', 'eu-north');
    expect(half.err.trim().split('\n').slice(1)).toEqual([
      '  rampart escape shop --from eu-north --to eu-west',
      '  rampart escape shop --from eu-north --to eu-central',
    ]);
  });

  test('who knows it says it', async () => {
    const { code, json } = await page(database, '--from', 'eu-north', '--to', 'eu-central', '--json');
    const made = json<{ from: string; to: string; steps: Array<{ title: string; commands: string[] }> }>();
    expect(made).toMatchObject({ from: 'eu-north', to: 'eu-central' });
    const move = made.steps.find(({ title }) => title === 'Move db from eu-north to eu-central');
    expect(move?.commands.join('\n')).toMatch(/Make db-eu-north unable to write/);
    expect(code).toBe(0);
  });

  test.each([
    [['--from', 'eu-south', '--to', 'eu-west'], '--from eu-south: shop is not in that region'],
    [['--from', 'eu-west', '--to', 'eu-west'], '--from and --to are both eu-west'],
  ])('%j is wrong', async (argv, message) => {
    const { code, err } = await page(database, ...argv);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

describe('what is seen', () => {
  test('says from where', async () => {
    const seen = await page(edge(), '--to', 'eu-north', '--json');
    expect(seen.json()).toMatchObject({ from: 'eu-west', to: 'eu-north' });
  });

  test('is not overruled', () => {
    const regions = ['eu-west', 'eu-central', 'eu-north'];
    const seen = { from: 'eu-west', fromSource: 'observed', to: 'eu-north' } as const;
    const to = 'eu-north';
    expect(directionOf(seen, regions, { from: 'eu-central', to })).toEqual({ from: 'eu-west', to, contrary: true });
    expect(directionOf(seen, regions, { from: 'eu-west', to })).toEqual({ from: 'eu-west', to, contrary: false });
    // Where it was last is where it is to go: whatever else is left is a person's choice.
    const guessed = { ...seen, fromSource: 'none' } as const;
    expect(directionOf(guessed, regions, { from: 'eu-central', to })).toMatchObject({
      from: 'eu-central',
      contrary: false,
    });
    expect(directionOf(guessed, regions, { to })).toMatchObject({ from: 'eu-west' });
    expect(directionOf({ ...guessed, from: null }, regions, { to })).toMatchObject({ from: null });
    expect(directionOf({ ...guessed, from: null }, regions.slice(1), { to })).toMatchObject({ from: 'eu-central' });
  });

  test('where it is already is an answer, whatever region is left', async () => {
    const { code, json } = await page(edge(), '--to', 'eu-west', '--json');
    expect(json()).toMatchObject({ to: 'eu-west', state: 'steady' });
    expect(code).toBe(0);
  });
});
