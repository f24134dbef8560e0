/** What DNS itself answers: authoritative servers asked one by one, and recursive resolvers. */
import { NODATA, NOTFOUND, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Weights } from '../ports.ts';
import { contradictions, type Sample, unexplained } from '../sample.ts';
import { hostAndPort, type RecordType, type Route53Config, type Side, valuesOf } from './config.ts';
import { type NameState, plainValue } from './records.ts';
import type { Zone } from './zone.ts';

/** Longest wait for one answer, in milliseconds, and how often a question is sent. */
const ANSWER_MS = 1_000;
const TRIES = 2;
/** Questions under way at one server. */
const AT_ONCE = 8;
/** How long a zone's servers and their addresses are remembered, in milliseconds. They change when a zone is made anew. */
const REMEMBER_MS = 600_000;
/** The server has answered: there is no such record. */
const NO_RECORD: ReadonlySet<string> = new Set([NODATA, NOTFOUND]);

export interface NameServer {
  /** As people know it. */
  name: string;
  /** `address` or `address:port`, as a resolver takes it. */
  address: string;
}

export interface ServerSample extends Sample {
  server: NameServer;
  /** Greatest TTL among the answers, in seconds; `null` where there was none to read (CNAME). */
  ttl: number | null;
}

const remembered = new Map<string, { at: number; servers: NameServer[] }>();

/** The authoritative servers of the zone. @throws ProviderUnavailable when no address of theirs can be found */
export async function authoritative(config: Route53Config, zone: Zone, context: DriverContext): Promise<NameServer[]> {
  const key = `${config.endpoint ?? ''} ${config.hostedZone} ${config.nameServers?.join() ?? ''}`;
  const known = remembered.get(key);
  if (known !== undefined && clock.monotonic() - known.at < REMEMBER_MS) return known.servers;
  const names = config.nameServers ?? (await zone.zone()).nameServers;
  const resolver = resolverAt(config.resolvers[0], context.signal);
  const found = await Promise.all(names.map((name) => addressesOf(name, resolver.resolver)));
  resolver.close();
  context.signal.throwIfAborted();
  const servers = found.flat();
  if (servers.length === 0)
    throw new RampartError(
      'ProviderUnavailable',
      `no address of ${config.name}'s name servers (${names.join(', ')}) was found`,
      {
        remedy: "Give `nameServers` as addresses, or let this worker resolve names; or say verify: 'readback'.",
      },
    );
  remembered.set(key, { at: clock.monotonic(), servers });
  return servers;
}

async function addressesOf(name: string, resolver: Resolver): Promise<NameServer[]> {
  const { host, port } = hostAndPort(name);
  const at = (address: string) => (port === 53 ? address : `${isIP(address) === 6 ? `[${address}]` : address}:${port}`);
  if (isIP(host) !== 0) return [{ name, address: at(host) }];
  const [address] = await resolver.resolve4(host).catch(() => []);
  return address === undefined ? [] : [{ name: host, address: at(address) }];
}

interface Open {
  resolver: Resolver;
  close(): void;
}

/** One server asked; the system's own resolver for `undefined`. Ends its questions when the signal aborts. */
function resolverAt(address: string | undefined, signal: AbortSignal): Open {
  const resolver = new Resolver({ timeout: ANSWER_MS, tries: TRIES });
  if (address !== undefined) resolver.setServers([address]);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return { resolver, close: () => signal.removeEventListener('abort', cancel) };
}

/** Which region an answer is of. */
export interface Regions {
  of(type: RecordType, answers: readonly string[]): string | undefined;
}

/** Alias targets are resolved now: their addresses change. */
export async function regionsByAnswer(
  config: Route53Config,
  sides: readonly Side[],
  context: DriverContext,
): Promise<Regions> {
  const byValue = new Map<string, string>();
  const { resolver, close } = resolverAt(config.resolvers[0], context.signal);
  try {
    await Promise.all(
      sides.flatMap((side) =>
        config.types.map(async (type) => {
          const values = side.aliasZone === null ? valuesOf(side, type) : await aliasAddresses(side, type, resolver);
          for (const value of values) byValue.set(`${type} ${plainValue(value)}`, side.region);
        }),
      ),
    );
  } finally {
    close();
  }
  context.signal.throwIfAborted();
  return {
    of(type, answers) {
      const regions = new Set(answers.map((answer) => byValue.get(`${type} ${plainValue(answer)}`)));
      return regions.size === 1 ? [...regions][0] : undefined;
    },
  };
}

async function aliasAddresses(side: Side, type: RecordType, resolver: Resolver): Promise<string[]> {
  const ask = type === 'AAAA' ? resolver.resolve6.bind(resolver) : resolver.resolve4.bind(resolver);
  return ask(side.targets[0]!).catch(() => []);
}

/** Asks one server again and again and counts the regions it answers. Never throws but for an abort. */
export async function sampleServer(
  config: Route53Config,
  regions: Regions,
  server: NameServer,
  questions: number,
  signal: AbortSignal,
): Promise<ServerSample> {
  const counts: Record<string, number> = {};
  let unanswered = 0;
  let ttl: number | null = null;
  let left = questions;
  let silent = false;
  const { resolver, close } = resolverAt(server.address, signal);
  const client = async () => {
    while (left > 0 && !silent) {
      const type = config.types[left-- % config.types.length]!;
      try {
        const answer = await ask(resolver, config.name, type);
        ttl = answer.ttl === null ? ttl : Math.max(ttl ?? 0, answer.ttl);
        const region = regions.of(type, answer.values);
        if (region === undefined) unanswered += 1;
        else counts[region] = (counts[region] ?? 0) + 1;
      } catch (error) {
        unanswered += 1;
        // A server that is silent would be waited for with every question.
        silent ||= !NO_RECORD.has((error as NodeJS.ErrnoException).code ?? '');
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, questions) }, client));
  } finally {
    close();
  }
  signal.throwIfAborted();
  const named = Object.values(counts).reduce((total, count) => total + count, 0);
  const observed = Object.fromEntries(
    Object.entries(counts).map(([region, count]) => [region, Math.round((count * 1000) / named) / 10]),
  );
  return { server, ttl, requests: named + unanswered, counts, unanswered, observed };
}

async function ask(
  resolver: Resolver,
  name: string,
  type: RecordType,
): Promise<{ values: string[]; ttl: number | null }> {
  if (type === 'CNAME') return { values: await resolver.resolveCname(name), ttl: null };
  const found = await (type === 'A' ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true }));
  return { values: found.map(({ address }) => address), ttl: Math.max(...found.map((one) => one.ttl)) };
}

/** What speaks against the weights in what one server answered; empty when nothing does. */
export function problemsOf(config: Route53Config, sample: ServerSample, wanted: Weights): string[] {
  if (sample.requests === sample.unanswered) return ['answers no region'];
  const on = Object.values(wanted).filter((weight) => weight > 0).length;
  // By latency, who gets how much depends on where the asker is: only what is off can be told.
  if (config.policy === 'latency' && on > 1)
    return [
      ...Object.keys(sample.counts).flatMap((region) =>
        (wanted[region] ?? 0) > 0 ? [] : [`${region} although it is off`],
      ),
      ...unexplained(sample),
    ];
  return contradictions(sample, wanted);
}

/** The same after a few answers: what is to have nothing must not answer; a split cannot be judged. */
export function surelyWrong(sample: ServerSample, wanted: Weights): string[] {
  if (sample.requests === sample.unanswered) return ['answers no region'];
  const idle = Object.keys(sample.counts).filter((region) => (wanted[region] ?? 0) === 0);
  return idle.map((region) => `${region} instead of nothing`);
}

/** Answers of all servers together. */
export function together(samples: readonly ServerSample[]): { requests: number; observed: Weights } {
  const counts: Record<string, number> = {};
  for (const sample of samples)
    for (const [region, count] of Object.entries(sample.counts)) counts[region] = (counts[region] ?? 0) + count;
  const named = Object.values(counts).reduce((total, count) => total + count, 0);
  const observed = Object.fromEntries(
    Object.entries(counts).map(([region, count]) => [region, Math.round((count * 1000) / named) / 10]),
  );
  return { requests: samples.reduce((total, sample) => total + sample.requests, 0), observed };
}

/** TTL of the records as they are configured, in milliseconds; an alias of a load balancer has a minute. */
export function longestTtl(state: NameState): number {
  return Math.max(0, ...state.managed.map(({ set }) => set.TTL ?? 60)) * 1000;
}

/** Name servers of the zone as a resolver knows them; `null` when it does not answer. */
export async function delegation(resolver: string, zoneName: string, signal: AbortSignal): Promise<string[] | null> {
  const open = resolverAt(resolver, signal);
  try {
    return (await open.resolver.resolveNs(zoneName)).map(plainValue).sort();
  } catch {
    signal.throwIfAborted();
    return null;
  } finally {
    open.close();
  }
}
