/** Who imports whom, read from the sources. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '../../lab/paths.ts';

export interface Import {
  /** Importing file, from the repository's root. */
  file: string;
  line: number;
  /** Imported file from the repository's root, `node:…`, or the package's name. */
  target: string;
  /** `type` is gone at run time; `lazy` happens only when the code that needs it runs. */
  kind: 'run' | 'type' | 'lazy';
}

const STATEMENT = /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^'\n]+)'/gm;
const LAZY = /(?<!typeof )\bimport\(\s*'([^'\n]+)'\s*\)/g;

/**
 * The imports of one file. Formatting is fixed (Biome), so a statement begins a line and quotes are single; comments
 * and templates are blanked first, so that examples in them do not count.
 */
export function importsOf(file: string, source: string): Import[] {
  const text = source
    .replace(/\/\*[\s\S]*?\*\//g, blank)
    .replace(/^\s*\/\/.*$/gm, blank)
    .replace(/`(?:[^`\\]|\\.)*`/g, blank);
  const found = (kind: Import['kind'], specifier: string, index: number): Import => ({
    file,
    line: text.slice(0, index).split('\n').length,
    target: targetOf(file, specifier),
    kind,
  });
  return [
    ...[...text.matchAll(STATEMENT)].map((match) => found(match[1] ? 'type' : 'run', match[2]!, match.index)),
    ...[...text.matchAll(LAZY)].map((match) => found('lazy', match[1]!, match.index)),
  ];
}

function targetOf(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return join(dirname(file), specifier);
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Every import of every TypeScript file below the folders. */
export function importsBelow(folders: readonly string[]): Import[] {
  const root = repositoryRoot();
  return folders
    .flatMap((folder) => sourcesBelow(root, folder))
    .flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));
}

export function sourcesBelow(root: string, folder: string): string[] {
  const path = join(root, folder);
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const name = join(folder, entry.name);
    if (entry.isDirectory()) return sourcesBelow(root, name);
    return entry.name.endsWith('.ts') ? [name] : [];
  });
}

/** Files that run when these run, each with the import that brought it in; lazy imports only on request. */
export function closure(
  imports: Import[],
  start: readonly string[],
  kinds: ReadonlyArray<Import['kind']>,
): Map<string, Import | null> {
  const byFile = grouped(imports);
  const reached = new Map<string, Import | null>(start.map((file) => [file, null]));
  for (const file of reached.keys()) {
    for (const next of byFile.get(file) ?? []) {
      if (kinds.includes(next.kind) && !reached.has(next.target)) reached.set(next.target, next);
    }
  }
  return reached;
}

/** Circles of files that need each other to run, each as the files on it. */
export function circles(imports: Import[]): string[][] {
  const byFile = grouped(imports.filter(({ kind }) => kind === 'run'));
  const found: string[][] = [];
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file]);
    if (at >= 0 || done.has(file)) return;
    for (const { target } of byFile.get(file) ?? []) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of byFile.keys()) walk(file, []);
  return found;
}

function grouped(imports: Import[]): Map<string, Import[]> {
  const map = new Map<string, Import[]>();
  for (const entry of imports) map.set(entry.file, [...(map.get(entry.file) ?? []), entry]);
  return map;
}

/** Keeps the line breaks, so that line numbers stay true. */
function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}
