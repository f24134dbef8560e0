/** Finds and reads the topology file. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Drivers } from './components.ts';
import { type ParseResult, parseTopology } from './parse.ts';

export const DEFAULT_PATH = 'rampart.yaml';

/** `text` is the file's content, for excerpts; absent when the file could not be read. */
export interface LoadResult extends ParseResult {
  path: string;
  text?: string;
}

/**
 * Reads the topology: the given path (`--config`), else `RAMPART_CONFIG`, else `rampart.yaml` in the working directory.
 * A file that cannot be read is a problem like any other; nothing is thrown.
 */
export async function loadTopology(
  options: { path?: string; env?: Readonly<Record<string, string | undefined>>; cwd?: string },
  drivers: Drivers,
): Promise<LoadResult> {
  const { env = process.env, cwd = process.cwd() } = options;
  const path = options.path ?? (env.RAMPART_CONFIG || undefined) ?? DEFAULT_PATH;
  let text: string;
  try {
    text = await readFile(resolve(cwd, path), 'utf8');
  } catch (error) {
    const message = unreadable(
      error as NodeJS.ErrnoException,
      options.path !== undefined ? '--config' : env.RAMPART_CONFIG ? 'RAMPART_CONFIG' : undefined,
    );
    return {
      path,
      problems: [{ severity: 'error', code: 'no_file', message, field: '', path, line: 1, column: 1, length: 1 }],
    };
  }
  // A byte order mark is no part of the text and would shift the first column.
  text = text.replace(/^\uFEFF/, '');
  return { path, text, ...parseTopology(text, { path, drivers }) };
}

function unreadable(error: NodeJS.ErrnoException, named: string | undefined): string {
  if (error.code === 'ENOENT') {
    return named === undefined
      ? 'there is no such file; `rampart init` writes a first topology, --config or RAMPART_CONFIG names another place'
      : `there is no such file (named by ${named})`;
  }
  if (error.code === 'EISDIR') return 'this is a directory, not a file';
  return `the file cannot be read: ${error.code ?? error.message}`;
}
