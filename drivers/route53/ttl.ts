/** The TTL of the records: lowered ahead of a move, so that clients follow it soon, and put back when it is over. */

import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Json } from '../ports.ts';
import { changeRecords } from './change.ts';
import type { Route53Config } from './config.ts';
import { awaitAnswers, awaitInSync, type Confirming } from './confirm.ts';
import { type NameState, ttlEdits, ttlKey, ttlsOf } from './records.ts';

interface Outcome {
  already: boolean;
  summary: string;
  facts: Record<string, Json>;
}

/** TTLs to put back, in seconds, by record: what a run before this one has lowered is not the original. */
export function savedTtls(state: NameState, config: Route53Config): Record<string, number> {
  const lowered = config.ttl / 1000;
  return Object.fromEntries(
    Object.entries(ttlsOf(state)).map(([key, ttl]) => [key, ttl === lowered ? (state.claim?.was[key] ?? ttl) : ttl]),
  );
}

/**
 * Lowers the TTLs and waits one old TTL, so that nobody has an old answer for longer than the new one.
 * @throws PreconditionFailed when the old TTL is longer than is to be waited for
 */
export async function lowerTtls(of: Confirming, wait: boolean): Promise<Outcome> {
  const { config, component, context } = of;
  const wanted = config.ttl / 1000;
  const { before, edits, change, claim } = await changeRecords(of, {
    idle: true,
    edits(state) {
      const found = ttlEdits(state, (_, ttl) => (ttl > wanted ? wanted : undefined));
      const longest = Math.max(0, ...found.map((edit) => edit.before.TTL!));
      if (wait && longest * 1000 > config.waitForTtl) throw tooLong(config, longest);
      return found;
    },
    claim: (state, edits) => ({
      was: { ...state.claim?.was, ...Object.fromEntries(lowered(state, edits)) },
      loweredAt: context.now(),
    }),
  });
  if (change !== null) {
    await awaitInSync(of, change, `a TTL of ${wanted} s`);
    await awaitAnswers(of, `a TTL of ${wanted} s`, ({ ttl }) =>
      ttl !== null && ttl > wanted ? [`a TTL of ${ttl} s`] : [],
    );
  }
  // Those that are lowered now, whoever did it: an answer of before may be kept for that long.
  const present = new Set([...ttlsOfKeys(before, wanted), ...lowered(before, edits).map(([key]) => key)]);
  const old = Math.max(0, ...Object.entries(claim?.was ?? {}).flatMap(([key, ttl]) => (present.has(key) ? [ttl] : [])));
  // An attempt before this one may have seen its change spread only at the end of its deadline.
  const since = change !== null ? context.now() : (claim?.loweredAt ?? 0) + config.deadline;
  const left = old === 0 ? 0 : Math.max(0, since + old * 1000 - context.now());
  if (wait && left > 0) await waitOut(of, left);
  const now = wait || left === 0 ? '' : `; answers with the old TTL may be kept for ${Math.ceil(left / 1000)} s more`;
  const summary = `${component}: the TTL of ${config.name} ${edits.length === 0 ? 'was' : 'is'} at most ${wanted} s${now}`;
  return { already: edits.length === 0, summary, facts: { ttlMs: config.ttl, waitedMs: wait ? left : 0, change } };
}

function lowered(state: NameState, edits: ReadonlyArray<{ before: unknown }>): Array<[string, number]> {
  return state.managed.flatMap((one) =>
    edits.some(({ before }) => before === one.set) ? [[ttlKey(one), one.set.TTL!] as [string, number]] : [],
  );
}

function ttlsOfKeys(state: NameState, ttl: number): string[] {
  return Object.entries(ttlsOf(state)).flatMap(([key, present]) => (present === ttl ? [key] : []));
}

function tooLong(config: Route53Config, seconds: number): RampartError {
  const limit = config.waitForTtl / 1000;
  return new RampartError(
    'PreconditionFailed',
    `${config.name} has a TTL of ${seconds} s, more than the ${limit} s that are waited for`,
    {
      remedy: `Lower it by hand ${seconds} s before the move, or raise \`waitForTtl\`.`,
    },
  );
}

async function waitOut({ component, context }: Confirming, ms: number): Promise<void> {
  const until = context.now() + ms;
  await poll({ signal: context.signal, deadlineMs: ms, intervalMs: 1_000 }, async () => {
    context.heartbeat({ component, waitingFor: 'the old TTL to run out', leftMs: Math.max(0, until - context.now()) });
    return undefined;
  });
}

/** Puts TTLs back that still are as a run has lowered them; what somebody has set since stays. */
export async function restoreTtls(of: Confirming, saved: Record<string, Json>): Promise<Outcome> {
  const { config, component } = of;
  const ttls = (saved.ttls ?? {}) as Record<string, number>;
  const low = config.ttl / 1000;
  const back = (key: string, ttl: number) => (ttl === low && ttls[key] !== undefined ? ttls[key] : undefined);
  const { before, edits, change } = await changeRecords(of, {
    idle: true,
    edits: (state) => ttlEdits(state, back),
    claim: (state) => ({
      was: Object.fromEntries(Object.entries(state.claim?.was ?? {}).filter(([key]) => ttls[key] === undefined)),
    }),
  });
  if (change !== null) await awaitInSync(of, change, 'the TTLs of before');
  const left = Object.entries(ttlsOf(before)).filter(
    ([key, ttl]) => ttls[key] !== undefined && ttl !== ttls[key] && ttl !== low,
  );
  const kept = left.map(([key, ttl]) => `${key} stays at ${ttl} s as somebody has set it`).join('; ');
  const summary = `${component}: ${edits.length === 0 ? 'no TTL to put back' : `${edits.length} TTLs put back`}${kept && `; ${kept}`}`;
  return { already: edits.length === 0, summary, facts: { change } };
}
