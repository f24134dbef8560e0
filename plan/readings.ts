/** What is kept of a sampler's readings, and what of that goes into a history. Pure. */
import type { SampleReading } from '../drivers/ports.ts';

type Reading = Pick<SampleReading, 'node' | 'region' | 'state'>;

/** Kept in a history of each node in each role: the last readings, at one a second those of the last minute. */
const RECENT = 60;
/** Of the time before, every so many of them: enough to bound a loss. */
const OLDER_EVERY = 15;

/**
 * The last readings of each node in each of its roles, in their order. Counted apart: what survivors go on saying must
 * not displace what a dead primary said last, nor what it says as a standby since displace what it said as a primary.
 */
export function lastOfEach<T extends Reading>(readings: readonly T[], count: number): T[] {
  return chosen(readings, (_, newer) => newer < count);
}

/** The readings that go into a history. How far a replica got, its last ones tell. */
export function thin(samples: readonly SampleReading[]): SampleReading[] {
  return chosen(
    samples,
    ({ state }, newer) => newer < RECENT || (state === 'writable' && newer % OLDER_EVERY === OLDER_EVERY - 1),
  );
}

/** @param wanted gets with each reading how many of the same node in the same role are newer */
function chosen<T extends Reading>(readings: readonly T[], wanted: (reading: T, newer: number) => boolean): T[] {
  const counts = new Map<string, number>();
  return readings
    .toReversed()
    .filter((reading) => {
      const key = `${reading.region} ${reading.node} ${reading.state}`;
      const newer = counts.get(key) ?? 0;
      counts.set(key, newer + 1);
      return wanted(reading, newer);
    })
    .reverse();
}
