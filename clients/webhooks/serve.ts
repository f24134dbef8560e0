/** `rampart serve`: the listener of the webhooks, with the inbox on Temporal and the topology as its file says now. */
import type { Server } from 'node:http';
import { Client, Connection } from '@temporalio/client';
import type { DriverLog } from '../../drivers/ports.ts';
import { listenForScrapes } from '../../metrics/listen.ts';
import type { Topology } from '../../topology/model.ts';
import type { ParseResult } from '../../topology/parse.ts';
import { chooseServer, type Env } from '../connection.ts';
import { resolveSecret } from '../local-context.ts';
import { countDeliveries } from './counted.ts';
import { isLoopback, listen, parseAddress } from './listen.ts';
import { Secrets } from './secrets.ts';
import { slackOnTemporal } from './slack-temporal.ts';
import { problemsOf } from './sources.ts';
import { temporalInbox } from './temporal-inbox.ts';
import { TopologyFile } from './topology-file.ts';

export interface ServeOptions {
  /** `host:port`. */
  address: string;
  /** Path of the topology. */
  path: string;
  /** Reads and checks the topology. */
  load(path: string): Promise<ParseResult>;
  env: Env;
  log: DriverLog;
  /** `host:port` for Prometheus' `/metrics`, apart from the webhooks because it asks for no secret; none = not served. */
  metricsAddress?: string;
  /** Of this program. */
  version: string;
  /** Stops it. */
  signal: AbortSignal;
}

/** When it is not plain at the start that Temporal is there, that is said, in milliseconds. */
const LOOK_MS = 4_000;
/** A Temporal that comes back is found again within this time and not after gRPC's two minutes, in milliseconds. */
const RECONNECT_MS = 1_000;

/**
 * Serves until it is told to stop. Temporal may be away, also at the start: its absence is an answer (503).
 * @throws Error when the topology is not valid or nothing can listen at the address; BadConnectionConfig
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { address, env, log, signal } = options;
  const { host } = parseAddress(address);
  const server = chooseServer(env);
  const connection = Connection.lazy({
    ...server.options,
    channelArgs: {
      ...server.options.channelArgs,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MS,
    },
  });
  const file = new TopologyFile({ path: options.path, load: options.load, log, now: Date.now });
  const topology = await file.current();
  const secret = (reference: string): Promise<string> => resolveSecret(reference, env);
  // Calls that nobody waits for any more: the client's own retries must not meet a closed channel.
  const calls = new Set<Promise<unknown>>();
  const client = new Client({
    connection,
    namespace: server.namespace,
    interceptors: {
      workflow: [
        {
          signalWithStart: (input, next) => {
            const call = next(input);
            calls.add(call);
            const settled = (): boolean => calls.delete(call);
            call.then(settled, settled);
            return call;
          },
        },
      ],
    },
  });
  const { registry, count } = countDeliveries(options.version, Object.keys(topology.alertSources));
  const listener = await listen({
    ...{ address, secret, log, count },
    inbox: temporalInbox({ client, topology: () => file.current(), now: Date.now }),
    slack: slackOnTemporal({ client, topology: () => file.current(), log }),
  });
  let scraped: Server | null = null;
  try {
    if (options.metricsAddress !== undefined)
      scraped = await listenForScrapes(parseAddress(options.metricsAddress), () => registry.render());
    log.info('webhooks are taken', { address, sources: Object.keys(topology.alertSources) });
    await Promise.all([
      sayProblems(topology, secret, isLoopback(host), log),
      sayIfAway(connection, server.address, log),
    ]);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  } finally {
    scraped?.close();
    scraped?.closeAllConnections();
    await listener.close();
    await Promise.allSettled(calls);
    await connection.close();
  }
}

/** What will keep sources from taking anything, before the first alert comes. */
async function sayProblems(
  topology: Topology,
  secret: (reference: string) => Promise<string>,
  loopback: boolean,
  log: DriverLog,
): Promise<void> {
  const secrets = new Secrets(secret);
  for (const source of Object.values(topology.alertSources)) {
    for (const problem of await problemsOf(source, secrets, loopback)) {
      log.warn('a source may take nothing', { source: source.name, problem });
    }
  }
}

async function sayIfAway(connection: Connection, address: string, log: DriverLog): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + LOOK_MS, () => connection.workflowService.getSystemInfo({}));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn('Temporal does not answer: until it does, senders are told to send again', { address, reason });
  }
}
