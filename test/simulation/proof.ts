/** `npm run proof`: writes docs/proof.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../lab/paths.ts';
import { proofPage } from './page.ts';

const path = join(repositoryRoot(), 'docs/proof.md');
writeFileSync(path, proofPage());
console.log(path);
