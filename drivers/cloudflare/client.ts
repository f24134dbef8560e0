/**
 * Cloudflare's API through the official package, each call sent once: whether it may be sent again is known only after
 * a look, and the package by itself sends every method three times, without an idempotency key. Answers are read
 * here and not by the package, which resolves `success: false` to `null` and takes a list without a result as empty.
 */
import { createHash } from 'node:crypto';
import type { Cloudflare } from 'cloudflare';
import { type Budget, spend } from '../aws/budget.ts';
import type { ApiCalls } from '../aws/calls.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { reveal } from '../secrets.ts';
import { within } from '../within.ts';
import { CloudflareRefusal, cloudflareError, unclear } from './errors.ts';
import type { ApiConfig } from './schema.ts';

/** Most pages of a list that are read: more than any name has records. */
const MOST_PAGES = 20;

/** What a method of the package gives: a promise whose raw answer can be had. */
interface Sent<T> extends PromiseLike<T> {
  asResponse(): Promise<Response>;
}

interface Envelope {
  success?: boolean;
  result?: unknown;
  errors?: Array<{ code?: number; message?: string }>;
  result_info?: { page?: number; total_pages?: number };
}

export type Options = { signal: AbortSignal };

export interface CloudflareApi<A extends string> {
  /**
   * Sends one declared call, once.
   * @throws RampartError as errors.ts says; the context's abort reason when it is cancelled
   */
  one<T>(action: A, send: (client: Cloudflare, options: Options) => Sent<T>): Promise<T>;
  /** Reads every page of a list. */
  list<Item>(
    action: A,
    send: (client: Cloudflare, page: { page: number; per_page: number }, options: Options) => Sent<{ result: Item[] }>,
  ): Promise<Item[]>;
}

/** @throws RampartError MissingPackage with the install command */
export async function cloudflareApi<A extends string>(
  { service }: ApiCalls<A>,
  config: ApiConfig,
  context: DriverContext,
  component: string,
): Promise<CloudflareApi<A>> {
  const { values, redact } = await reveal({ apiToken: config.apiToken }, context);
  const client = await clientFor(config, values.apiToken!);
  const budget = budgetOf(config.requestsPer5Minutes);

  async function envelope(what: string, send: (options: Options) => Sent<unknown>): Promise<Envelope> {
    context.signal.throwIfAborted();
    let text: string;
    try {
      await spend(service, config.baseURL, context, budget);
      // The package's own limit ends with the headers; this one covers the body, too.
      const signal = within(config.timeout, context.signal);
      const response = await send({ signal }).asResponse();
      text = await response.text();
    } catch (error) {
      context.signal.throwIfAborted();
      throw cloudflareError(error, what, redact);
    }
    const answer = parse(text);
    if (answer === undefined) throw unclear(what, 'Cloudflare answered with a body that cannot be read (cut off?)');
    if (answer.success !== true) {
      const errors = (answer.errors ?? []).map(({ code, message }) => `${message ?? ''} (${code ?? 'no code'})`);
      throw unclear(what, `Cloudflare answered HTTP 200 and "success": false ${redact(errors.join('; '))}`.trim());
    }
    return answer;
  }

  return {
    async one<T>(action: A, send: (client: Cloudflare, options: Options) => Sent<T>) {
      const what = `${action} (${component})`;
      const { result } = await envelope(what, (options) => send(client, options));
      if (typeof result !== 'object' || result === null) throw unclear(what, 'Cloudflare answered without a result');
      return result as T;
    },
    async list<Item>(
      action: A,
      send: (
        client: Cloudflare,
        page: { page: number; per_page: number },
        options: Options,
      ) => Sent<{ result: Item[] }>,
    ) {
      const what = `${action} (${component})`;
      const items: Item[] = [];
      for (let page = 1; page <= MOST_PAGES; page++) {
        const answer = await envelope(what, (options) => send(client, { page, per_page: 100 }, options));
        if (!Array.isArray(answer.result)) throw unclear(what, 'Cloudflare answered without a list');
        items.push(...(answer.result as Item[]));
        const { total_pages = 1 } = answer.result_info ?? {};
        if (page >= total_pages || answer.result.length === 0) return items;
      }
      throw new RampartError('PreconditionFailed', `${what}: more than ${MOST_PAGES} pages`, {
        remedy: 'See what fills this list, and remove what nobody needs.',
      });
    },
  };
}

/** The answer to a look for something that is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof CloudflareRefusal && error.status === 404;
}

/**
 * A burst of half the limit and three eighths of it refilled in its five minutes: never more than seven eighths, the
 * rest is left to people and their tools.
 */
function budgetOf(requestsPer5Minutes: number): Budget {
  return { burst: requestsPer5Minutes / 2, perSecond: (requestsPer5Minutes * 3) / 8 / 300 };
}

function parse(text: string): Envelope | undefined {
  try {
    const content: unknown = JSON.parse(text);
    return typeof content === 'object' && content !== null ? (content as Envelope) : undefined;
  } catch {
    return undefined;
  }
}

/** Making one costs 2.6 ms (measured), as it makes an object for every resource of the API. */
const kept = new Map<string, Cloudflare>();
/** More than a process needs, also while tokens are renewed. */
const MOST_KEPT = 16;

async function clientFor({ baseURL, timeout }: ApiConfig, apiToken: string): Promise<Cloudflare> {
  const key = `${baseURL} ${timeout} ${createHash('sha256').update(apiToken).digest('hex')}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const Client = await load();
  // Nothing but what is said here: otherwise the package also sends what the worker's environment happens to hold.
  const nothingElse = { apiKey: null, apiEmail: null, userServiceKey: null };
  const client = new Client({ apiToken, ...nothingElse, baseURL, timeout, maxRetries: 0, logLevel: 'off' });
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
  kept.set(key, client);
  return client;
}

async function load(): Promise<typeof Cloudflare> {
  try {
    return (await import('cloudflare')).Cloudflare;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new RampartError('MissingPackage', 'the package cloudflare is not installed', {
      remedy: 'Install it where the workers run: npm install cloudflare',
      cause: error,
    });
  }
}
