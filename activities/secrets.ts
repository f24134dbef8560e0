/** Secrets are resolved here, at use, in the process that uses them, and nowhere else. */
import { readFile } from 'node:fs/promises';
import { RampartError } from '../drivers/errors.ts';

const REFERENCE = /^\$\{(env|file):([^}]+)\}$/;

/**
 * Resolves `${env:NAME}` or `${file:/path}`; any other text is returned as it is. A file's trailing newline is cut.
 * @throws RampartError AccessDenied when the variable or file is missing, naming it but never a value
 */
export async function resolveSecret(reference: string): Promise<string> {
  const match = REFERENCE.exec(reference);
  if (match === null) return reference;
  const [, kind, name] = match as unknown as [string, string, string];
  if (kind === 'env') {
    const value = process.env[name];
    if (value !== undefined && value !== '') return value;
    throw new RampartError('AccessDenied', `the environment variable ${name} is not set in this worker`, {
      remedy: `Set ${name} in the worker's environment and restart it.`,
    });
  }
  try {
    return (await readFile(name, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new RampartError(
      'AccessDenied',
      `the secret file ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      {
        remedy: `Make ${name} readable for the worker.`,
      },
    );
  }
}
