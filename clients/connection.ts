/** A connection to Temporal, found exactly as the `temporal` CLI finds it: same file, same variables. */
import { connect as connectSocket } from 'node:net';
import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';

export type Env = Readonly<Record<string, string | undefined>>;

export interface Temporal {
  client: Client;
  /** A worker's own connection does as well. */
  connection: Pick<Connection, 'workflowService' | 'operatorService'>;
  address: string;
  namespace: string;
  /** Prefix of links into the Web UI, without a trailing slash; `null` when it is not known. */
  ui: string | null;
  /** Calls that have not been answered yet, also those whose answer nobody waits for any more. */
  calls: Set<Promise<unknown>>;
  /** Closes as soon as no call is open: the client's own retries must not meet a closed channel. */
  close(): Promise<void>;
}

/** Longest wait for a connection, in milliseconds: somebody with a burning region must not wait for a time-out. */
export const CONNECT_TIMEOUT_MS = 4_000;

/** Temporal does not answer. The message names the address and how it was chosen. */
export class TemporalAway extends Error {
  readonly address: string;
  readonly remedies: string[];
  constructor(address: string, message: string, remedies: string[]) {
    super(message);
    this.name = 'TemporalAway';
    this.address = address;
    this.remedies = remedies;
  }
}

/** The file or the variables that name the server are wrong. */
export class BadConnectionConfig extends Error {
  override readonly name = 'BadConnectionConfig';
}

interface Chosen {
  options: ConnectionOptions;
  address: string;
  namespace: string;
}

/**
 * Where Temporal is, by `temporal.toml` and the `TEMPORAL_*` variables.
 * @throws BadConnectionConfig with the reason
 */
export function chooseServer(env: Env): Chosen {
  try {
    const given = Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''),
    );
    const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: given });
    const options = connectionOptions as ConnectionOptions;
    return { options, address: options.address ?? 'localhost:7233', namespace: namespace ?? 'default' };
  } catch (error) {
    throw new BadConnectionConfig(`the connection to Temporal is not configured right: ${(error as Error).message}`);
  }
}

/**
 * Connects.
 * @param service for the hint what to do without Temporal
 * @throws TemporalAway after {@link CONNECT_TIMEOUT_MS}
 */
export async function connect(env: Env, service?: string): Promise<Temporal> {
  const { options, address, namespace } = chooseServer(env);
  const connection = await Promise.race([
    Connection.connect({ ...options, connectTimeout: CONNECT_TIMEOUT_MS }),
    refusedAtOnce(address, env),
  ]).catch((error: unknown) => {
    throw away(address, namespace, env, reasonOf(error), service);
  });
  const calls = new Set<Promise<unknown>>();
  return {
    client: new Client({ connection, namespace }),
    connection,
    address,
    namespace,
    ui: webUi(env, address),
    calls,
    close: async () => {
      await Promise.allSettled(calls);
      await connection.close();
    },
  };
}

/** The error for a server that is or went away. */
export function away(address: string, namespace: string, env: Env, reason: string, service?: string): TemporalAway {
  const source = env.TEMPORAL_ADDRESS ? 'from TEMPORAL_ADDRESS' : 'from temporal.toml or the default';
  return new TemporalAway(
    address,
    `Temporal does not answer at ${address} (${source}, namespace ${namespace}): ${reason}`,
    [
      'Set TEMPORAL_ADDRESS=<host:port>, or choose a profile of temporal.toml with TEMPORAL_PROFILE.',
      `Without Temporal: rampart escape ${service ?? '<service>'} prints the manual commands.`,
    ],
  );
}

/**
 * Rejects as soon as it is plain that nobody listens there; gRPC itself tries again until its time is over. Never
 * resolves. With a proxy in between, only the proxy knows.
 */
function refusedAtOnce(address: string, env: Env): Promise<never> {
  return new Promise((_, reject) => {
    if (env.grpc_proxy || env.https_proxy || env.http_proxy) return;
    const match = /^(?:dns:\/*)?\[?([^\]]+?)\]?(?::(\d+))?$/.exec(address);
    if (match === null) return;
    const socket = connectSocket({ host: match[1]!, port: Number(match[2] ?? 7233), timeout: CONNECT_TIMEOUT_MS });
    socket.once('connect', () => socket.destroy());
    socket.once('timeout', () => socket.destroy());
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.destroy();
      reject(new Error(SOCKET_ERRORS[error.code ?? ''] ?? error.message));
    });
  });
}

const SOCKET_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of that name',
  EHOSTUNREACH: 'there is no route to that host',
  ENETUNREACH: 'there is no route to that network',
};

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/deadline/i.test(text)) return `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`;
  return text.split('\n')[0]!;
}

/** Prefix of links into the Web UI; `null` when nothing says where it is. */
export function webUi(env: Env, address: string): string | null {
  const named = env.RAMPART_UI || env.TEMPORAL_UI;
  if (named) return named.replace(/\/+$/, '');
  if (/\.(tmprl\.cloud|api\.temporal\.io)(:\d+)?$/.test(address)) return 'https://cloud.temporal.io';
  // The dev server's own default; with any other port its Web UI can be anywhere.
  const local = /^(localhost|127\.0\.0\.1|\[::1\]):7233$/.exec(address);
  return local === null ? null : `http://${local[1]}:8233`;
}

/** Link to a run in the Web UI, or `null`. */
export function runLink(at: Pick<Temporal, 'ui' | 'namespace'>, workflowId: string, runId: string): string | null {
  if (at.ui === null) return null;
  return `${at.ui}/namespaces/${encodeURIComponent(at.namespace)}/workflows/${encodeURIComponent(workflowId)}/${runId}/history`;
}
