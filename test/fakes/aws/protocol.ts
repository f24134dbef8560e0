/**
 * A server that speaks AWS's wire protocols, for fakes with state: it reads calls, writes answers and errors, and breaks
 * them as told (see faults.ts). What a service is lives in `<service>.ts`, as a table of operations.
 *
 * The forms are those that the SDK's clients send and parse: query, awsJson1.0/1.1 and rest-xml.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { parseXml, type XmlElement, type XmlValue, xmlDocument } from './xml.ts';

export { list, members, parseXml, XmlElement, type XmlList, type XmlValue } from './xml.ts';

export type Protocol = 'query' | 'json1.0' | 'json1.1' | 'rest-xml';

/** A call as it was read from the wire. */
export interface AwsCall {
  /** Service name of the credential scope, e.g. `rds`, `monitoring`. */
  service: string;
  operation: string;
  /** Region of the credential scope: where the client believes it is talking to. */
  region: string;
  /** Access key id; an account of its own for each. Twelve digits by convention, as in ministack. */
  account: string;
  /** Which of the server's listeners was asked, from 0: services with several endpoints tell them apart by it. */
  endpoint: number;
  /**
   * Decoded parameters. Query: every leaf is a text, lists are arrays (`Tags.member.1.Key` → `Tags[0].Key`).
   * JSON: the body. rest-xml: the path's parameters.
   */
  // biome-ignore lint/suspicious/noExplicitAny: each operation knows its own shape
  input: any;
  http: { method: string; path: string; query: URLSearchParams; headers: IncomingHttpHeaders; body: string };
  /** rest-xml: the body. @throws Error when there is none */
  xml(): XmlElement;
}

/** An answer of a rest-xml service. */
export interface RestAnswer {
  root: string;
  value: XmlValue;
  /** 200 when absent. */
  status?: number;
  headers?: Record<string, string>;
}

/** query: an {@link XmlValue}; JSON: any JSON, a `Date` becomes epoch seconds; rest-xml: a {@link RestAnswer}. */
export type Operation = (call: AwsCall) => unknown;

export interface FakeService {
  /** Service name of the credential scope. */
  scope: string;
  protocol: Protocol;
  /** XML namespace of answers, e.g. `http://rds.amazonaws.com/doc/2014-10-31/`. */
  namespace?: string;
  operations: Record<string, Operation>;
  /** rest-xml: operation by method and path, e.g. `['POST', '/2013-04-01/hostedzone/{id}/rrset', 'ChangeResourceRecordSets']`. */
  routes?: ReadonlyArray<readonly [method: string, path: string, operation: string]>;
  /** Puts the state back to what it is now: lets a fault answer 200 and do nothing. */
  snapshot(): () => void;
}

/** What an operation throws to be answered with an error of its protocol. */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  /** Further fields of the error's body, e.g. `retryAfterSeconds`. */
  readonly fields: Record<string, string | number | boolean>;

  /** @param code as on the wire, e.g. `DBInstanceNotFound` (RDS drops `Fault` for instances), `ServiceNotFoundException` */
  constructor(code: string, message: string, status = 400, fields: Record<string, string | number | boolean> = {}) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.fields = fields;
  }
}

export interface WireAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const CONTENT_TYPES: Record<Protocol, string> = {
  query: 'text/xml',
  'rest-xml': 'text/xml',
  'json1.0': 'application/x-amz-json-1.0',
  'json1.1': 'application/x-amz-json-1.1',
};

/** Region, account and service of the SigV4 credential scope; `undefined` for a call that is not signed. */
export function credentialScope(
  authorization: string | undefined,
): { account: string; region: string; service: string } | undefined {
  const match = /Credential=([^/,\s]+)\/\d+\/([^/]+)\/([^/]+)\/aws4_request/.exec(authorization ?? '');
  if (match === null) return undefined;
  const [, account, region, service] = match as unknown as [string, string, string, string];
  return { account, region, service };
}

/** Names the operation and decodes its parameters. @throws AwsError for an operation that the service does not have */
export function readCall(service: FakeService, http: AwsCall['http']): { operation: string; input: unknown } {
  if (service.protocol === 'query') {
    const { Action: operation = '', Version: _, ...input } = decodeQuery(http.body) as Record<string, unknown>;
    return { operation: known(service, String(operation)), input };
  }
  if (service.protocol === 'rest-xml') {
    for (const [method, path, operation] of service.routes ?? []) {
      const input = method === http.method ? matchPath(path, http.path) : undefined;
      if (input !== undefined) return { operation: known(service, operation), input };
    }
    throw new AwsError('InvalidInput', `no operation is at ${http.method} ${http.path}`, 404);
  }
  const operation = String(http.headers['x-amz-target'] ?? '').replace(/^.*\./, '');
  return { operation: known(service, operation), input: http.body === '' ? {} : JSON.parse(http.body) };
}

function known(service: FakeService, operation: string): string {
  if (Object.hasOwn(service.operations, operation)) return operation;
  const code = service.protocol === 'query' ? 'InvalidAction' : 'UnknownOperationException';
  throw new AwsError(code, `this fake of ${service.scope} has no operation ${operation}`);
}

function matchPath(template: string, path: string): Record<string, string> | undefined {
  const expected = template.split('/');
  const actual = path.split('/');
  if (expected.length !== actual.length) return undefined;
  const input: Record<string, string> = {};
  for (const [index, part] of expected.entries()) {
    const value = decodeURIComponent(actual[index] as string);
    if (/^\{\w+\}$/.test(part)) input[part.slice(1, -1)] = value;
    else if (part !== value) return undefined;
  }
  return input;
}

interface Tree {
  [name: string]: Tree | string;
}

/** Parameters of the query protocol as objects and arrays; `Filters.Filter.1.Values.Value.1` and `.member.1` are lists alike. */
export function decodeQuery(body: string): Record<string, unknown> {
  const tree: Tree = Object.create(null);
  for (const [key, value] of new URLSearchParams(body)) {
    const path = key.split('.');
    const last = path.pop() as string;
    let at = tree;
    for (const name of path) {
      const next = at[name];
      at = at[name] = typeof next === 'object' ? next : Object.create(null);
    }
    at[last] = value;
  }
  return Object.fromEntries(Object.entries(tree).map(([name, value]) => [name, untangle(value)]));
}

function untangle(value: Tree | string): unknown {
  if (typeof value === 'string') return value;
  const names = Object.keys(value);
  if (numbered(value))
    return names.sort((a, b) => Number(a) - Number(b)).map((name) => untangle(value[name] as Tree | string));
  const only = names.length === 1 ? (value[names[0] as string] as Tree | string) : undefined;
  if (only !== undefined && typeof only === 'object' && numbered(only)) return untangle(only);
  return Object.fromEntries(names.map((name) => [name, untangle(value[name] as Tree | string)]));
}

function numbered(tree: Tree): boolean {
  return Object.keys(tree).every((name) => /^\d+$/.test(name));
}

/** What an operation returned, in its service's protocol. */
export function writeAnswer(service: FakeService, operation: string, answer: unknown): WireAnswer {
  const requestId = randomUUID();
  const headers = { 'content-type': CONTENT_TYPES[service.protocol], 'x-amzn-requestid': requestId };
  if (service.protocol === 'query') {
    const value = {
      [`${operation}Result`]: (answer as XmlValue | undefined) ?? {},
      ResponseMetadata: { RequestId: requestId },
    };
    return { status: 200, headers, body: xmlDocument(`${operation}Response`, value, service.namespace) };
  }
  if (service.protocol === 'rest-xml') {
    const { root, value, status = 200, headers: own } = answer as RestAnswer;
    return { status, headers: { ...headers, ...own }, body: xmlDocument(root, value, service.namespace) };
  }
  return { status: 200, headers, body: JSON.stringify(epochSeconds(answer ?? {})) };
}

/** An error in the service's protocol; services that moved from query to JSON repeat the code in a header of its own. */
export function writeError(protocol: Protocol, error: AwsError, queryMode = false): WireAnswer {
  const requestId = randomUUID();
  const headers = { 'content-type': CONTENT_TYPES[protocol], 'x-amzn-requestid': requestId };
  const type = error.status < 500 ? 'Sender' : 'Receiver';
  if (protocol === 'query' || protocol === 'rest-xml') {
    const value = {
      Error: { Type: type, Code: error.code, Message: error.message, ...error.fields },
      RequestId: requestId,
    };
    return { status: error.status, headers, body: xmlDocument('ErrorResponse', value) };
  }
  return {
    status: error.status,
    headers: queryMode ? { ...headers, 'x-amzn-query-error': `${error.code};${type}` } : headers,
    body: JSON.stringify({ __type: error.code, message: error.message, ...error.fields }),
  };
}

function epochSeconds(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(epochSeconds);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, epochSeconds(inner)]));
}

/** The body as XML, for {@link AwsCall.xml}. */
export function bodyXml(body: string): XmlElement {
  if (body === '') throw new AwsError('InvalidInput', 'the call has no body');
  return parseXml(body);
}
