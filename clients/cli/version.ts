import { readFileSync } from 'node:fs';

/** Of this program, as package.json has it. */
export function version(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      // built code lies one folder deeper than the sources
    }
  }
  return 'unknown';
}
