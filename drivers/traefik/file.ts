/**
 * The text of a component's dynamic configuration file. Rampart changes its weights (or its endpoint) in place and
 * leaves everything else as people wrote it. Its first line carries the claim of the last writer together with a
 * digest of the rest, so that claim and content change in one rename and an edit by hand shows. Pure.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type Document, isScalar, parseDocument, stringify } from 'yaml';
import { RampartError } from '../errors.ts';
import type { Claim, Weights } from '../ports.ts';
import { childName, isRecord, type Layout, type Reading, readWeights } from './weights.ts';

const MARK = '# rampart-claim ';

export interface FileState {
  /** Who changed it last through Rampart; `null` for a file that Rampart has not changed yet. */
  claim: (Claim & { component: string }) | null;
  /** True when the rest is not what the claim's writer wrote. */
  edited: boolean;
  /** The file without the claim's line. */
  body: string;
}

export function readFileState(text: string): FileState {
  const end = text.indexOf('\n');
  if (!text.startsWith(MARK) || end < 0) return { claim: null, edited: false, body: text };
  const body = text.slice(end + 1);
  try {
    const { sha256, ...claim } = JSON.parse(text.slice(MARK.length, end));
    return { claim, edited: sha256 !== digest(body), body };
  } catch {
    // Somebody changed the line itself: their file, as if Rampart had never been here.
    return { claim: null, edited: false, body };
  }
}

export function withClaim(body: string, claim: FileState['claim']): string {
  return claim === null ? body : `${MARK}${JSON.stringify({ ...claim, sha256: digest(body) })}\n${body}`;
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 32);
}

/**
 * A first file for a component: one router, one service, and for `weighted` one more service per region. Every region
 * is written, also with weight 0.
 * @param spec.weights percent by region; for an endpoint, 100 for the region it points at
 */
export function renderTraefikFile(
  spec: Layout & { entryPoint: string; router?: string; rule?: string; weights: Weights },
): string {
  const web = spec.kind === 'weighted';
  const rule = spec.rule ?? (web ? 'PathPrefix(`/`)' : 'HostSNI(`*`)');
  const router = { rule, entryPoints: [spec.entryPoint], service: spec.service };
  const frame = { [web ? 'http' : 'tcp']: { routers: { [spec.router ?? spec.service]: router }, services: {} } };
  const note = web
    ? '# Rampart changes the weights and servers below; the rest is yours.\n'
    : '# Rampart changes the server below; the rest is yours.\n';
  return changeWeights(note + stringify(frame), spec, spec.weights);
}

/**
 * The same file with these weights and the component's servers. Router, middlewares, comments and the services'
 * other settings stay.
 * @throws PreconditionFailed when the file is no YAML or holds something else where the service belongs
 */
export function changeWeights(body: string, layout: Layout, weights: Weights): string {
  const document = parse(body);
  const changes = listsFor(layout, weights).filter(
    ({ path, items }) => !isDeepStrictEqual(valueAt(document.toJS(), path), items),
  );
  // Text that already says it is returned as it is, down to its last space.
  if (changes.length === 0) return body;
  try {
    for (const { path, items } of changes) setList(document, path, items);
  } catch (error) {
    const message = `the file has something else where the service ${layout.service} belongs: ${(error as Error).message}`;
    throw new RampartError('PreconditionFailed', message, { remedy: REPAIR, cause: error });
  }
  return document.toString({ lineWidth: 0 });
}

interface ListAt {
  path: string[];
  items: Array<Record<string, string | number>>;
}

/** What a file with these weights has at which place. */
export function listsFor(layout: Layout, weights: Weights): ListAt[] {
  return layout.kind === 'weighted' ? splitLists(layout, weights) : endpointLists(layout, weights);
}

function splitLists(layout: Layout, weights: Weights): ListAt[] {
  const services = ['http', 'services'];
  const regions = Object.entries(layout.servers);
  return [
    {
      path: [...services, layout.service, 'weighted', 'services'],
      items: regions.map(([region]) => ({ name: childName(layout, region), weight: weights[region] ?? 0 })),
    },
    ...regions.map(([region, urls]) => ({
      path: [...services, childName(layout, region), 'loadBalancer', 'servers'],
      items: urls.map((url) => ({ url })),
    })),
  ];
}

function endpointLists(layout: Layout, weights: Weights): ListAt[] {
  const region = Object.keys(layout.servers).find((name) => weights[name] === 100);
  const addresses = region === undefined ? [] : layout.servers[region]!;
  const path = ['tcp', 'services', layout.service, 'loadBalancer', 'servers'];
  return [{ path, items: addresses.map((address) => ({ address })) }];
}

/** What the file itself says; Traefik may not have taken it yet. */
export function weightsInFile(body: string, layout: Layout): Reading {
  let document: Document;
  try {
    document = parse(body);
  } catch (error) {
    return { weights: null, detail: (error as Error).message };
  }
  const protocol = layout.kind === 'weighted' ? 'http' : 'tcp';
  return readWeights(layout, valueAt(document.toJS(), [protocol, 'services', layout.service]));
}

const REPAIR = 'Mend the file, or move it away and let Rampart write a new one (needs `entryPoint`).';

function parse(body: string): Document {
  const document = parseDocument(body);
  const problem = document.errors[0];
  if (problem === undefined) return document;
  const message = `the file is not valid YAML: ${problem.message.split('\n')[0]}`;
  throw new RampartError('PreconditionFailed', message, { remedy: REPAIR });
}

function setList(document: Document, path: string[], items: ListAt['items']): void {
  // A key without a value (`services:`) parses as null, which cannot hold anything.
  for (let depth = 1; depth < path.length; depth++) {
    const found = document.getIn(path.slice(0, depth), true);
    if (isScalar(found) && found.value === null) document.setIn(path.slice(0, depth), document.createNode({}));
  }
  document.setIn(path, document.createNode(items));
}

function valueAt(content: unknown, path: string[]): unknown {
  return path.reduce((value, key) => (isRecord(value) ? value[key] : undefined), content);
}
