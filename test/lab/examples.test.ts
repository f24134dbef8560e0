/** What the lab makes of the examples, without a world. */
import { expect, test } from 'vitest';
import { drivers } from '../../drivers/registry.ts';
import type { Ready } from '../../lab/cloud/main.ts';
import { exampleTopology } from '../../lab/world/example.ts';
import { CLOUDS, decideWorld } from '../../lab/world/spec.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';

const id = (digit: string) => digit.repeat(32);
const edge = { hostedZone: 'Z1', accountId: id('a'), zoneId: id('b'), loadBalancerId: id('c') };
const READY: Ready = {
  nameServer: '127.0.0.1:5353',
  names: { edge: { ...edge, 'eu-west': id('1'), 'eu-central': id('2') }, 'api-dns': { hostedZone: 'Z1' } },
  env: {},
};

test.each(CLOUDS)('%s is valid with the addresses of a world, and names nothing outside it', async (cloud) => {
  const spec = await decideWorld({ name: 'examples', load: 0, workers: 1, bake: '1s', guard: false, cloud });
  const text = exampleTopology(spec, READY);
  const { topology, problems } = parseTopology(text, { path: 'rampart.yaml', drivers });
  expect(formatProblems(problems, { text })).toBe('');
  for (const { name, type, config, sides } of Object.values(topology!.components)) {
    const addresses = JSON.stringify([config, sides]).match(/https?:\/\/[^/":]+/g) ?? [];
    expect([...new Set(addresses)], `${name} (${type})`).toEqual(['http://127.0.0.1']);
  }
});
