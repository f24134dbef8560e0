/** The application of the webhooks without ports, its log and its counts kept, and an inbox that the test plays. */
import type { Result } from '../../clients/webhooks/answer.ts';
import type { Delivered, Inbox } from '../../clients/webhooks/inbox.ts';
import { createWebhooks, type WebhookOptions } from '../../clients/webhooks/server.ts';
import type { Alert, AlertSource } from '../../topology/alerts.ts';

export interface Bench {
  /** What was handed over, one list a delivery. */
  delivered: Alert[][];
  /** The log, one JSON line each. */
  lines: string[];
  counts: Array<[string, Result]>;
  inbox: Inbox;
  options: WebhookOptions;
  send(path: string, body: string | Uint8Array | ReadableStream, headers?: Record<string, string>): Promise<Answered>;
}

export interface Answered {
  status: number;
  headers: Headers;
  text: string;
  json: { result?: string; error?: string; alerts?: number };
}

/** In a test, a secret reference is its own secret after `secret:`. */
export const secretOf = (reference: string): string => {
  const match = /^\$\{env:(\w+)\}$/.exec(reference);
  if (match === null || match[1]!.startsWith('MISSING')) throw new Error(`${reference} is not set on this machine`);
  return `the-secret-of-${match[1]}`;
};

export function bench(
  sources: Array<Omit<AlertSource, 'name'> & { name?: string }>,
  given: Partial<WebhookOptions> & { answer?: (alerts: Alert[]) => Promise<Delivered> } = {},
): Bench {
  const { answer = async () => 'accepted', ...options } = given;
  const byName = Object.fromEntries(
    sources.map((one) => [one.name ?? one.type, { ...one, name: one.name ?? one.type }]),
  );
  const delivered: Alert[][] = [];
  const lines: string[] = [];
  const counts: Bench['counts'] = [];
  const write = (message: string, facts?: object): void => {
    lines.push(JSON.stringify({ message, ...facts }));
  };
  const inbox: Inbox = {
    sources: async () => byName,
    deliver: async (alerts) => {
      delivered.push(alerts);
      return answer(alerts);
    },
  };
  const all: WebhookOptions = {
    inbox,
    secret: async (reference) => secretOf(reference),
    loopback: true,
    log: { debug: write, info: write, warn: write, error: write },
    count: (source, result) => counts.push([source, result]),
    fetch: async (url) => {
      throw new Error(`the test asks for nothing at ${url}`);
    },
    ...options,
  };
  const app = createWebhooks(all);
  return {
    ...{ delivered, lines, counts, inbox, options: all },
    send: async (path, body, headers = {}) => {
      const init: RequestInit = { method: 'POST', body: body as string, headers, duplex: 'half' };
      const response = await app.request(path, init);
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: JSON.parse(text) };
    },
  };
}
