/** A YAML text with the position of everything in it. Never throws, whatever the text. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml';
import { type Path, type Problem, sortProblems } from './problem.ts';

/** Characters of text accepted: several times a topology of a thousand services. */
const MAX_TEXT = 8 * 2 ** 20;
/** Deepest nesting of maps and lists. */
const MAX_DEPTH = 64;
/** How many nodes all aliases together may stand for (guards against "billion laughs"). */
const MAX_ALIASED = 1_000;

export class Source {
  readonly problems: Problem[] = [];
  /** The plain value; `undefined` when the text could not be read. */
  readonly value: unknown;
  readonly path: string;
  readonly #lines = new LineCounter();
  readonly #document: Document | undefined;
  /** Keys of each map by name, made when first asked for, so that locating stays cheap in big maps. */
  readonly #indexes = new WeakMap<YAMLMap, Map<string, Pair>>();
  readonly #aliases = new Map<Node, Node>();
  readonly #seen = new Set<string>();

  constructor(text: string, path: string) {
    this.path = path;
    try {
      this.#document = this.#read(text);
      if (this.#document !== undefined) this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASED });
    } catch (error) {
      this.#add('error', 'unreadable', '', `YAML: ${readable(error)}`, [0, 0]);
    }
    sortProblems(this.problems);
  }

  /** Adds a problem at the value at `path`, at its key when `at` is `key`, or at the nearest part that exists. */
  report(
    path: Path,
    code: string,
    message: string,
    options: { at?: 'key' | 'value'; severity?: Problem['severity']; secret?: boolean } = {},
  ): void {
    const { severity = 'error', at = 'value', secret } = options;
    this.#add(severity, code, path.join('.'), message, this.#range(path, at), secret);
  }

  /** Whether something is written at `path`. */
  has(path: Path): boolean {
    return this.#find(path).rest === 0;
  }

  #read(text: string): Document | undefined {
    if (text.length > MAX_TEXT) {
      this.#add('error', 'too_large', '', `the file is larger than ${MAX_TEXT / 2 ** 20} MiB`, [0, 0]);
      return undefined;
    }
    const document = parseDocument(text, {
      lineCounter: this.#lines,
      strict: true,
      // Found below: the library compares each key with every other of its map.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    // A warning is an unknown tag: the value is not what its author takes it for.
    for (const error of [...document.errors, ...document.warnings]) this.#addSyntax(error);
    return document.errors.length === 0 && this.#sane(document) ? document : undefined;
  }

  /** Refuses what a plain tree of values cannot hold: endless aliases, keys that are collections, bottomless nesting. */
  #sane(document: Document): boolean {
    let sane = true;
    const refuse = (code: string, message: string, node: unknown) => {
      sane = false;
      this.#add('error', code, '', message, rangeOf(node) ?? [0, 0]);
    };
    const anchors = new Map<string, Node>();
    visit(document, {
      Alias: (_key, node, ancestors) => {
        const target = anchors.get(node.source);
        if (target === undefined) {
          refuse('unknown_alias', `no anchor named "${node.source}" stands before this alias`, node);
        } else if (ancestors.includes(target)) {
          refuse('cyclic_alias', `the alias "*${node.source}" stands inside its own anchor`, node);
        } else {
          this.#aliases.set(node, target);
        }
      },
      Pair: (_key, { key }) => {
        if (isCollection(key) || isAlias(key)) refuse('invalid_key', 'a key must be a plain word', key);
      },
      Value: (_key, node, ancestors) => {
        if (isMap(node)) this.#findDuplicates(node);
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
        if (isScalar(node) && typeof node.value === 'number' && !Number.isFinite(node.value)) {
          refuse('invalid_number', 'a topology holds no endless numbers', node);
        }
        if (ancestors.length <= MAX_DEPTH * 2) return undefined;
        refuse('too_deep', `nested more than ${MAX_DEPTH} levels`, node);
        return visit.BREAK;
      },
    });
    return sane;
  }

  /** A repeated key is an error, but the rest can still be judged. */
  #findDuplicates(map: YAMLMap): void {
    const seen = new Set<string>();
    for (const { key } of map.items) {
      const name = keyOf(key);
      if (seen.has(name)) {
        this.#add('error', 'duplicate_key', '', `the key "${name}" stands twice in this map`, rangeOf(key) ?? [0, 0]);
      }
      seen.add(name);
    }
  }

  #addSyntax(error: Pick<YAMLParseError, 'code' | 'message' | 'pos'>): void {
    const message =
      error.code === 'MULTIPLE_DOCS' ? 'the file holds several documents (---); a topology is one' : error.message;
    this.#add('error', error.code.toLowerCase(), '', `YAML: ${message}`, error.pos);
  }

  #add(
    severity: Problem['severity'],
    code: string,
    field: string,
    message: string,
    range: readonly [number, number],
    secret?: boolean,
  ): void {
    const { line, col } = this.#lines.lineStarts.length === 0 ? { line: 1, col: 1 } : this.#lines.linePos(range[0]);
    const problem: Problem = {
      severity,
      code,
      message,
      field,
      path: this.path,
      line: Math.max(1, line),
      column: Math.max(1, col),
      length: Math.max(1, range[1] - range[0]),
      ...(secret === true ? { secret } : {}),
    };
    const id = JSON.stringify([line, col, code, field, message]);
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    this.problems.push(problem);
  }

  /** Start and end offset of what a problem points at. */
  #range(path: Path, at: 'key' | 'value'): [number, number] {
    const { node, key, rest } = this.#find(path);
    // Missing: point at the key of what should hold it. A collection: its key says more than its first character.
    const target =
      key !== undefined && (at === 'key' || rest > 0 || isCollection(node) || rangeOf(node) === undefined) ? key : node;
    const range = rangeOf(target) ?? rangeOf(node) ?? rangeOf(key) ?? [0, 0];
    return isCollection(target) ? [range[0], range[0] + 1] : range;
  }

  /** The deepest existing node on the way, the key it stands under, and how many parts of the path were missing. */
  #find(path: Path): { node: unknown; key: unknown; rest: number } {
    let node: unknown = this.#document?.contents;
    let key: unknown;
    for (const [i, part] of path.entries()) {
      const collection = isAlias(node) ? this.#aliases.get(node) : node;
      if (isMap(collection)) {
        const pair = this.#index(collection).get(String(part));
        if (pair === undefined) return { node, key, rest: path.length - i };
        key = pair.key;
        node = pair.value;
      } else if (isSeq(collection) && typeof part === 'number' && part in collection.items) {
        key = undefined;
        node = collection.items[part];
      } else {
        return { node, key, rest: path.length - i };
      }
    }
    return { node, key, rest: 0 };
  }

  #index(map: YAMLMap): Map<string, Pair> {
    let index = this.#indexes.get(map);
    if (index === undefined) {
      index = new Map(map.items.map((pair) => [keyOf(pair.key), pair as Pair]));
      this.#indexes.set(map, index);
    }
    return index;
  }
}

/** The key as a plain value's property name. */
function keyOf(key: unknown): string {
  return String((isScalar(key) ? key.value : key) ?? '');
}

function rangeOf(node: unknown): [number, number] | undefined {
  const range = isNode(node) ? node.range : undefined;
  return range == null || range[1] <= range[0] ? undefined : [range[0], range[1]];
}

function readable(error: unknown): string {
  if (error instanceof RangeError) return 'nested too deeply to be read';
  return error instanceof Error ? error.message.split('\n')[0]! : String(error);
}
