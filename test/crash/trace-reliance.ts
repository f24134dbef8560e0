/** What a run relied on, for the judge: where it sent traffic, what it counted as done, whose answers it went on from. */
import type { Weights } from '../../drivers/ports.ts';
import type { TraceEvent } from '../judge/trace.ts';
import type { PlaceSeen, Recording, WeightsSeen } from './recorder.ts';
import type { RunSeen } from './trace.ts';

/** A role that a look saw changing may have changed this much earlier, in milliseconds. */
export const COARSE_MS = 250;

/** A database that was killed or frozen, and when. */
export interface Hurt {
  at: number;
  region: string;
}

/**
 * Weights as they took effect, with the places as they were then.
 * @param hurt databases that the cell itself has hurt: what was writable only between two looks was never seen so
 */
export function weightEvents(recording: Recording, hurt: readonly Hurt[]): TraceEvent[] {
  const last = new Map<string, WeightsSeen>();
  return recording.weights.map((seen): TraceEvent => {
    const { at, router, weights } = seen;
    const previous = last.get(router);
    const before = previous?.weights ?? weights;
    last.set(router, seen);
    const writable = (region: string): boolean | null => {
      const seen = recording.roles.filter((role) => role.region === region);
      // Nobody could look in between: what it was then is not known.
      if (recording.silences.some((s) => s.region === region && !s.sure && s.from <= at && s.to + COARSE_MS >= at))
        return null;
      const present = seen.findLast((role) => role.at <= at)?.writable ?? null;
      // So close to a change of roles nobody outside can tell which came first.
      const changes = [...seen, ...hurt.filter((one) => one.region === region)];
      return changes.some((one) => Math.abs(one.at - at) <= COARSE_MS) ? null : present;
    };
    return {
      at,
      kind: 'weights',
      router,
      type: router === 'writer' ? 'endpoint' : 'weighted',
      before,
      weights,
      by: 'rampart',
      regions: Object.fromEntries(
        Object.keys(weights).map((region) => [
          region,
          { ...placeAt(region, previous?.until ?? at, at, recording), writable: writable(region) },
        ]),
      ),
    };
  });
}

/** An app as it was all the time in which the weights may have changed; nothing where it has changed meanwhile. */
function placeAt(
  region: string,
  from: number,
  to: number,
  { places }: Recording,
): Pick<PlaceSeen, 'healthy' | 'capacity'> {
  const place = places.find((one) => one.region === region && one.at <= from && one.until >= to);
  return { healthy: place?.healthy ?? null, capacity: place?.capacity ?? null };
}

/** What a run counted as done at a router, and what the router had then: seen both before that moment and after it. */
export function countedEvents({ id, history }: RunSeen, { weights }: Recording): TraceEvent[] {
  return history.activities.flatMap((one): TraceEvent[] => {
    const router = one.call?.component?.name;
    if (one.verb !== 'setWeights' || one.how !== 'completed' || (router !== 'edge' && router !== 'writer')) return [];
    const at = one.closedAt!;
    const claimed = one.call!.input.weights as Weights;
    // Taken back so soon that nobody could look in between.
    const next = history.activities.find(
      ({ verb, call, scheduledAt }) => verb === 'setWeights' && call?.component?.name === router && scheduledAt >= at,
    );
    if (next !== undefined && next.scheduledAt - at <= COARSE_MS) return [];
    const seen = weights.filter((w) => w.router === router);
    const actual =
      seen.find((w) => w.at <= at && w.until >= at) ??
      // Between two looks: what the next one showed, where it is what was claimed.
      seen.find((w) => w.at > at && Object.keys(claimed).every((region) => claimed[region] === w.weights[region]));
    return actual === undefined ? [] : [{ at, kind: 'counted', router, run: id, claimed, actual: actual.weights }];
  });
}

/** Steps that a run goes on from because of what a database answered, and whose answer that is. */
const READINGS: Record<string, 'from' | 'to'> = { converge: 'from', awaitCatchUp: 'to' };

/** A step that rests on a database's answer and ended well: had that database answered anybody in that time? */
export function reliedEvents({ id, history }: RunSeen, { silences }: Recording): TraceEvent[] {
  return history.activities.flatMap((one): TraceEvent[] => {
    const region = one.call?.[READINGS[one.verb] ?? 'to'];
    if (READINGS[one.verb] === undefined || one.how !== 'completed' || region == null) return [];
    const at = one.closedAt!;
    const silent = silences.some((s) => s.sure && s.region === region && s.from <= one.scheduledAt && s.to >= at);
    const quality = silent ? 'missing' : 'good';
    const on = `what ${region} answered to ${one.step}`;
    return [{ at, kind: 'relied', run: id, mode: one.call!.mode, on, quality, accepted: false }];
  });
}
