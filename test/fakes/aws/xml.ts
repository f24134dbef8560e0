/** XML as AWS writes and reads it: elements and text, no mixed content, attributes only on the way out (`xmlns`). */

/** A list inside an element of its own: `list('member', [1, 2])` under `Zones` is `<Zones><member>1</member>…</Zones>`. */
export interface XmlList {
  itemName: string;
  items: readonly XmlValue[];
}

/** An array is written flat: the element is repeated. `undefined` and `null` are left out; a `Date` is ISO 8601. */
export type XmlValue =
  | undefined
  | null
  | string
  | number
  | boolean
  | Date
  | XmlList
  | readonly XmlValue[]
  | { readonly [name: string]: XmlValue };

export function list(itemName: string, items: readonly XmlValue[]): XmlList {
  return { itemName, items };
}

/** The usual list of the query protocol. */
export function members(items: readonly XmlValue[]): XmlList {
  return list('member', items);
}

/** One element as text, with the XML declaration in front. */
export function xmlDocument(root: string, value: XmlValue, namespace?: string): string {
  const attribute = namespace === undefined ? '' : ` xmlns="${quoted(namespace)}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${content(value)}</${root}>`;
}

function element(name: string, value: XmlValue): string {
  if (value === undefined || value === null) return '';
  if (isArray(value)) return value.map((item) => element(name, item)).join('');
  return `<${name}>${content(value)}</${name}>`;
}

function content(value: XmlValue): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'object') return quoted(String(value));
  if (isArray(value)) throw new Error('an array needs the name of an element around it: use list()');
  if (isList(value)) return value.items.map((item) => element(value.itemName, item)).join('');
  return Object.entries(value)
    .map(([name, inner]) => element(name, inner))
    .join('');
}

function isArray(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

function isList(value: object): value is XmlList {
  return 'itemName' in value && 'items' in value;
}

function quoted(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char] as string);
}

/** An element of a document that was read. */
export class XmlElement {
  readonly name: string;
  readonly children: XmlElement[] = [];
  text = '';

  constructor(name: string) {
    this.name = name;
  }

  /** The first element at the end of the path, e.g. `child('ChangeBatch', 'Changes')`. */
  child(...path: string[]): XmlElement | undefined {
    let at: XmlElement | undefined = this;
    for (const name of path) at = at?.children.find((child) => child.name === name);
    return at;
  }

  /** All elements of this name directly below. */
  all(name: string): XmlElement[] {
    return this.children.filter((child) => child.name === name);
  }

  /** Text at the end of the path; `undefined` when there is no such element. */
  value(...path: string[]): string | undefined {
    return this.child(...path)?.text;
  }
}

const TOKEN = /<\?[^>]*\?>|<!--[\s\S]*?-->|<(\/?)([^\s/>]+)[^>]*?(\/?)>|([^<]+)/g;

/** Reads a document; prefixes and attributes are dropped. */
export function parseXml(text: string): XmlElement {
  const top = new XmlElement('');
  const open = [top];
  for (const [, end, name, selfClosed, chars] of text.matchAll(TOKEN)) {
    const current = open.at(-1) as XmlElement;
    if (chars !== undefined) {
      if (chars.trim() !== '' || current.children.length === 0) current.text += readable(chars);
      continue;
    }
    if (name === undefined) continue;
    const local = name.replace(/^.*:/, '');
    if (end) {
      if (open.length === 1 || current.name !== local) throw new Error(`</${name}> closes <${current.name}>`);
      open.pop();
      continue;
    }
    const child = new XmlElement(local);
    current.children.push(child);
    if (!selfClosed) open.push(child);
  }
  const [root] = top.children;
  if (open.length > 1 || root === undefined) throw new Error('the document ends before its elements do');
  return root;
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function readable(text: string): string {
  return text.replace(/&(#x?)?(\w+);/g, (whole, numeric: string | undefined, code: string) =>
    numeric === undefined
      ? (ENTITIES[code] ?? whole)
      : String.fromCodePoint(Number.parseInt(code, numeric === '#x' ? 16 : 10)),
  );
}
