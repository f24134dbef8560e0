import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import { proofPage } from '../simulation/page.ts';

it('the page of proof is made from the kept results: `npm run proof` writes it', () => {
  expect(readFileSync(join(repositoryRoot(), 'docs/proof.md'), 'utf8')).toBe(proofPage());
});
