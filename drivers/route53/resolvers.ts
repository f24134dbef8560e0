/** What recursive resolvers answer, as clients use them: right at once, or once the old answer's TTL has passed. */
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Json, Weights } from '../ports.ts';
import { hostAndPort } from './config.ts';
import type { Confirming } from './confirm.ts';
import { longestTtl, regionsByAnswer, sampleServer } from './dns.ts';
import type { NameState } from './records.ts';

/** Several caches may stand behind one address. */
const QUESTIONS = 3;
/** What a resolver may take beyond the TTL, in milliseconds. */
const GRACE_MS = 5_000;
/** Longest wait beyond the TTL of a move, in milliseconds: the step has that time, and little more. */
const LONGEST_MS = 60_000;

/**
 * Waits until no resolver answers a region that is to have nothing, at most as long as an old answer may be kept. A
 * cache answers everybody alike: a split cannot be seen there.
 * @returns what each one answered last; empty without resolvers. A TTL that nobody lowered, because nobody could wait,
 *   is not waited out: then it says until when old answers may be kept
 * @throws NotApplied when one still answers by the old state after that, or none answers at all
 */
export async function sampleResolvers(
  { config, sides, context, component }: Confirming,
  state: NameState,
  wanted: Weights,
  shown: string,
): Promise<Record<string, Json>> {
  if (config.resolvers.length === 0) return {};
  const said: Record<string, Json> = {};
  const old = new Map<string, string>();
  const started = clock.monotonic();
  const { loweredAt = 0, was = {} } = state.claim ?? {};
  const lowered = loweredAt + Math.max(0, ...Object.values(was)) * 1000 - context.now();
  const kept = Math.max(longestTtl(state), lowered) + GRACE_MS;
  const polling = {
    signal: context.signal,
    deadlineMs: Math.min(kept, config.ttl + LONGEST_MS),
    intervalMs: config.pollEvery,
    maxIntervalMs: 10_000,
  };
  const agree = await poll(polling, async () => {
    const regions = await regionsByAnswer(config, sides, context);
    await Promise.all(
      config.resolvers.map(async (resolver) => {
        const server = { name: resolver, address: resolver };
        const sample = await sampleServer(config, regions, server, QUESTIONS, context.signal);
        const wrong = Object.keys(sample.counts).filter((region) => (wanted[region] ?? 0) === 0);
        said[resolver] = sample.requests === sample.unanswered ? 'no answer' : sample.counts;
        if (wrong.length === 0) old.delete(resolver);
        else old.set(resolver, wrong.join(', '));
      }),
    );
    context.heartbeat({ component, wanted: shown, resolvers: said });
    return old.size === 0 ? true : undefined;
  });
  if (agree && Object.values(said).some((one) => one !== 'no answer')) return said;
  const left = kept - (clock.monotonic() - started);
  if (!agree && left > 0) {
    const until = new Date(context.now() + left).toISOString();
    for (const [resolver, regions] of old) said[resolver] = `still ${regions}, as its TTL allows until ${until}`;
    return said;
  }
  const observed = agree
    ? 'no resolver answers'
    : [...old].map(([resolver, regions]) => `${hostAndPort(resolver).host} still answers ${regions}`).join('; ');
  throw new RampartError('NotApplied', `${component}: wanted ${shown}, observed ${observed}`, {
    remedy: 'Some resolvers keep answers for longer than their TTL: look at who uses them, and flush them if you can.',
  });
}
