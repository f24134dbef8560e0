/**
 * A client of one AWS API in one place. Every call is sent once: whether it may be sent again is known only after a
 * look, and a default client sends promotions three times. Every call ends: a default client waits for ever for a
 * region that swallows packets (both measured, see docs/drivers.md).
 */
import type { NodeHttpHandler } from '@smithy/node-http-handler';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { within } from '../within.ts';
import { spend } from './budget.ts';
import type { ApiCalls } from './calls.ts';
import { awsError } from './errors.ts';
import { orAborted } from './or-aborted.ts';

/** Longest wait for a connection, in milliseconds. */
const CONNECT_MS = 2_000;
/** Longest wait for an answer, in milliseconds, when a call names none. */
const ANSWER_MS = 10_000;
/** No call may ask for more, in milliseconds: beyond it the connection itself gives up. */
const LONGEST_MS = 60_000;

export interface AwsPlace {
  /** Region that is signed for and, without `endpoint`, called. */
  region: string;
  endpoint?: string | undefined;
}

/** What every client is made with. */
export interface ClientBase {
  region: string;
  endpoint?: string;
  maxAttempts: 1;
  requestHandler: NodeHttpHandler;
}

export interface AwsApi<C, A extends string> {
  /**
   * Sends one declared call, once.
   * @param limits `timeoutMs`: longest wait for the whole call, in milliseconds; default 10 s
   * @throws RampartError as errors.ts says; the context's abort reason when it is cancelled
   */
  call<T>(
    action: A,
    send: (client: C, options: { abortSignal: AbortSignal }) => Promise<T>,
    limits?: { timeoutMs?: number },
  ): Promise<T>;
}

export interface ApiOptions<C, A extends string> {
  /** Loads the SDK: `() => import('@aws-sdk/client-rds').then(({ RDSClient }) => (base) => new RDSClient(base))`. */
  load: () => Promise<(base: ClientBase) => C>;
  /** The SDK's package, for the error when it is missing. */
  package: string;
  calls: ApiCalls<A>;
  place: AwsPlace;
  context: DriverContext;
  /** Component and side, for messages: `orders-db in eu-central`. */
  component: string;
}

/** One client per API and place for the whole process: credentials are asked for once, connections stay open. */
const kept = new Map<string, unknown>();

/** @throws RampartError MissingPackage with the install command */
export async function awsApi<C, A extends string>(options: ApiOptions<C, A>): Promise<AwsApi<C, A>> {
  const { place, context, component, calls } = options;
  const { service } = calls;
  const key = `${service} ${place.region} ${place.endpoint ?? ''}`;
  const client = async (): Promise<C> => {
    const known = kept.get(key);
    if (known !== undefined) return known as C;
    const made = await makeClient(options);
    kept.set(key, made);
    return made;
  };
  // Now, so that a missing package is told before anything is done.
  await client();
  return {
    async call(action, send, { timeoutMs = ANSWER_MS } = {}) {
      context.signal.throwIfAborted();
      const what = `${service} ${action} (${component}, ${place.region})`;
      try {
        await spend(service, place.endpoint ?? place.region, context);
        const abortSignal = within(timeoutMs, context.signal);
        // The SDK listens to the signal only once it has credentials, and whoever gives them may never answer. What comes
        // too late is not sent any more: it looks at the signal first.
        return await orAborted(send(await client(), { abortSignal }), abortSignal);
      } catch (error) {
        context.signal.throwIfAborted();
        const translated = awsError(error, what);
        // Credentials of a file are read once by a client: the next call reads what somebody has renewed meanwhile.
        // It is not destroyed: other calls may be under way with it, and its idle connections hold nothing up.
        if (translated.type === 'AccessDenied') kept.delete(key);
        throw translated;
      }
    },
  };
}

async function makeClient<C, A extends string>({ load, place, package: name }: ApiOptions<C, A>): Promise<C> {
  const make = await installed(name, load);
  const { NodeHttpHandler } = await installed('@smithy/node-http-handler', () => import('@smithy/node-http-handler'));
  return make({
    region: place.region,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: CONNECT_MS,
      requestTimeout: LONGEST_MS,
      socketTimeout: LONGEST_MS,
      throwOnRequestTimeout: true,
    }),
  });
}

async function installed<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new RampartError('MissingPackage', `the package ${name} is not installed`, {
      remedy: `Install it where the workers run: npm install ${name}`,
      cause: error,
    });
  }
}
