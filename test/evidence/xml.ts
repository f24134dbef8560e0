/** Reads XML with a real parser (Python's expat, one process for many documents) into plain trees. */
import { execFileSync } from 'node:child_process';

export interface Tree {
  tag: string;
  attributes: Record<string, string>;
  /** All text inside, children's included. */
  text: string;
  children: Tree[];
}

const PROGRAM = `
import sys, json, xml.etree.ElementTree as E
def tree(e): return {"tag": e.tag, "attributes": e.attrib, "text": "".join(e.itertext()), "children": [tree(c) for c in e]}
out = []
for doc in json.load(sys.stdin):
    try:
        root = E.fromstring(doc)
        out.append(tree(root) if sys.argv[1] == "trees" else None)
    except E.ParseError as error: out.append({"error": str(error)})
json.dump(out, sys.stdout)
`;

function run<T>(documents: string[], what: 'trees' | 'check'): T[] {
  const out = execFileSync('python3', ['-c', PROGRAM, what], {
    input: JSON.stringify(documents),
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  return (JSON.parse(out) as Array<T | { error: string }>).map((t, i) => {
    if (t !== null && typeof t === 'object' && 'error' in t)
      throw new Error(`document ${i} is not well-formed: ${t.error}\n${documents[i]!.slice(0, 2_000)}`);
    return t as T;
  });
}

/** @throws when one of the documents is not well-formed */
export const parseXml = (documents: string[]): Tree[] => run<Tree>(documents, 'trees');

/** The same without the trees, for many documents. */
export const expectWellFormed = (documents: string[]): void => void run<null>(documents, 'check');

/** A page of renderHtml as a tree: it is XML after its first line. */
export const parsePage = (html: string): Tree => parseXml([html.replace('<!doctype html>\n', '')])[0]!;

export function find(tree: Tree, tag: string): Tree[] {
  return [...(tree.tag === tag ? [tree] : []), ...tree.children.flatMap((c) => find(c, tag))];
}
