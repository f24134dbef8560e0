/** What the zone's authoritative name servers answer, asked directly and not through anybody's cache. */
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { canonical } from './dns-config.ts';

/** Longest wait for one answer, in milliseconds; they normally take a round trip. */
const ANSWER_MS = 1_500;

export interface Answer {
  server: string;
  /** `null`: it did not answer; `detail` says why. */
  contents: string[] | null;
  detail: string;
}

/** Asks every server once, at every address that it has. */
export async function askAuthorities(
  servers: readonly string[],
  name: string,
  type: 'A' | 'AAAA' | 'CNAME',
  signal: AbortSignal,
): Promise<Answer[]> {
  const answers = await Promise.all(servers.map((server) => askServer(server, name, type, signal)));
  signal.throwIfAborted();
  return answers;
}

async function askServer(
  server: string,
  name: string,
  type: 'A' | 'AAAA' | 'CNAME',
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const answers = await Promise.all(
      (await addressesOf(server)).map((address) => askAddress(address, name, type, signal)),
    );
    const [first] = answers;
    const same = answers.every((one) => one.join() === first!.join());
    return { server, contents: same ? first! : [...new Set(answers.flat())], detail: '' };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { server, contents: null, detail: `${server} did not answer (${code ?? message})` };
  }
}

async function askAddress(
  address: string,
  name: string,
  type: 'A' | 'AAAA' | 'CNAME',
  signal: AbortSignal,
): Promise<string[]> {
  const resolver = new Resolver({ timeout: ANSWER_MS, tries: 1 });
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    resolver.setServers([address]);
    return (await resolver.resolve(name, type)).map(canonical).sort();
  } catch (error) {
    // An answer: it has no such record.
    if (['ENOTFOUND', 'ENODATA'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** `host`, `host:port`, `1.2.3.4:53`, `[::1]:53` → what a resolver takes. */
async function addressesOf(server: string): Promise<string[]> {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:]+))(?::(?<port>\d+))?$/.exec(server);
  const host = match?.groups?.six ?? match?.groups?.host ?? server;
  const port = match?.groups?.port ?? '53';
  const found = isIP(host) ? [{ address: host }] : await lookup(host, { all: true, family: 4 });
  return found.map(({ address }) => (isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`));
}

/** Why the answers are not exactly this one content; empty when they are, everywhere. */
export function deviations(answers: Answer[], content: string): string[] {
  return answers.flatMap(({ server, contents, detail }) => {
    if (contents === null) return [detail];
    if (contents.length === 1 && contents[0] === content) return [];
    return [`${server} answers ${contents.join(', ') || 'with no such record'}`];
  });
}
