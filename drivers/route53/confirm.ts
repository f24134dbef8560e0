/** A change on its way: in sync by the API, then at every authoritative server, and read back. */

import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { DriverContext } from '../ports.ts';
import type { Route53Config, Side } from './config.ts';
import { authoritative, regionsByAnswer, type ServerSample, sampleServer } from './dns.ts';
import type { Zone } from './zone.ts';

export interface Confirming {
  config: Route53Config;
  sides: readonly Side[];
  component: string;
  zone: Zone;
  context: DriverContext;
  /** When all waits of the call for this change are over, on the monotonic clock. */
  end: number;
}

/** What is left of the deadline, in milliseconds. */
export function leftOf({ end }: Confirming): number {
  return Math.max(0, end - clock.monotonic());
}

/**
 * Waits until Route 53 says that the change has reached all of its servers.
 * @throws NotApplied after the deadline, or when nobody knows the change
 */
export async function awaitInSync(of: Confirming, change: string, wanted: string): Promise<void> {
  const { config, zone, context, component } = of;
  let last = 'nothing yet';
  const polling = { signal: context.signal, deadlineMs: leftOf(of), intervalMs: config.pollEvery };
  const state = await poll(polling, async () => {
    context.heartbeat({ component, change, waitingFor: 'INSYNC', observed: last });
    try {
      const found = await zone.inSync(change);
      if (found !== false) return found === null ? 'unknown' : 'inSync';
      last = 'PENDING';
    } catch (error) {
      // The change is made: throttling and lost answers while it is watched do not undo it.
      if (!(error instanceof RampartError) || error.type !== 'ProviderUnavailable') throw error;
      last = error.message;
    }
    return undefined;
  });
  if (state === 'inSync') return;
  const observed = state === 'unknown' ? 'Route 53 does not know the change' : `after ${config.deadline} ms: ${last}`;
  throw new RampartError('NotApplied', `${component}: wanted ${wanted}, observed for change ${change}: ${observed}`, {
    remedy: 'It is tried again by itself. See the health of Route 53.',
  });
}

/**
 * Asks every authoritative server until nothing speaks against what each of them answers.
 * @param wanted for people
 * @param judge what speaks against a server's answers, in words
 * @returns what they answered, or `null` where DNS is not to be asked
 * @throws NotApplied after the deadline with what each server answered
 */
export async function awaitAnswers(
  of: Confirming,
  wanted: string,
  judge: (sample: ServerSample) => string[],
): Promise<ServerSample[] | null> {
  const { config, sides, context, component, zone } = of;
  if (config.verify === 'readback') return null;
  const servers = await authoritative(config, zone, context);
  let last = '';
  const good = new Map<string, ServerSample>();
  const polling = { signal: context.signal, deadlineMs: leftOf(of), intervalMs: config.pollEvery };
  const done = await poll(polling, async () => {
    const regions = await regionsByAnswer(config, sides, context);
    const missing = servers.filter(({ address }) => !good.has(address));
    const said = await Promise.all(
      missing.map(async (server) => {
        const sample = await sampleServer(config, regions, server, config.queries, context.signal);
        const silent = sample.requests === sample.unanswered;
        const problems = silent ? ['answers no region'] : judge(sample);
        if (problems.length === 0) good.set(server.address, sample);
        return problems.length === 0 ? [] : [`${server.name}: ${problems.join(', ')}`];
      }),
    );
    last = said.flat().join('; ');
    context.heartbeat({ component, wanted, serversAgree: good.size, of: servers.length, observed: last });
    return good.size === servers.length ? true : undefined;
  });
  if (done) return [...good.values()];
  throw new RampartError(
    'NotApplied',
    `${component}: wanted ${wanted}, observed after ${config.deadline} ms at ${last}`,
    {
      remedy: 'See the health checks of the records, and that this worker reaches the name servers on port 53.',
    },
  );
}
