/** A global database, disturbed. One pair of databases for all of it. */
import { afterAll, beforeAll, describe } from 'vitest';
import { begunCases } from './begun-cases.ts';
import { lookCases } from './look-cases.ts';
import { switchCases } from './switch-cases.ts';
import { type AuroraWorld, startAurora } from './world.ts';

let world: AuroraWorld;
beforeAll(async () => {
  world = await startAurora({ kind: 'global', move: 'swapped' });
}, 120_000);
afterAll(() => world?.close());

describe('before a switch', () => lookCases(() => world));
describe('a switch', () => switchCases(() => world));
describe('what is not known', () => begunCases(() => world));
