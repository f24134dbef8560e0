/** Parts of pages that are made from the sources. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';

/** Text that differs only in its layout is the same: the formatter pads tables and puts short lists of JSON on one line. */
const layoutFree = (text: string): string =>
  text
    .replace(/-{3,}/g, '---')
    .replace(/\[\s+/g, '[')
    .replace(/\s+\]/g, ']')
    .replace(/,\s+/g, ', ')
    .replace(/[ \t]+/g, ' ')
    .trim();

/**
 * Compares a generated part of a page, between `<!-- name -->` and `<!-- /name -->`.
 * RAMPART_UPDATE_DOCS=1 writes it instead; run the formatter afterwards.
 */
export function expectGenerated(page: string, name: string, expected: string): void {
  const path = join(repositoryRoot(), page);
  const text = readFileSync(path, 'utf8');
  const [, before, present, after] =
    new RegExp(`^(.*<!-- ${name} -->\n)(.*)(<!-- /${name} -->.*)$`, 's').exec(text) ?? [];
  if (present === undefined) throw new Error(`${page} has no part <!-- ${name} -->`);
  if (process.env.RAMPART_UPDATE_DOCS === '1') writeFileSync(path, `${before}\n${expected}\n\n${after}`);
  else
    expect(layoutFree(present), `${page}: run RAMPART_UPDATE_DOCS=1 npx vitest run test/docs`).toBe(
      layoutFree(expected),
    );
}
