/** Proves that exactly one side takes writes, by writing. */

import { RampartError } from '../errors.ts';
import type { At, Receipt } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import { tokenOf } from '../store-claims.ts';
import { type Fleet, othersOf, type Side, sideOf } from './config.ts';
import { ask, known, readSide } from './reading.ts';

/** How long the other sides may take to answer, milliseconds: this runs in the freeze. */
const OTHERS_MS = 1_000;

/**
 * @throws SplitBrain when another side is writable too; PreconditionFailed when the target is not; NotApplied when the
 * write probe does not come through
 */
export async function verifyWritable(fleet: Fleet, to: At, _from: string): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, to.region);
  const { server, status, instance } = await ask(fleet, side);
  if (status.inRecovery) {
    throw new RampartError('PreconditionFailed', `${side.name} is in recovery: it takes no writes`, {
      remedy: 'Promote it first.',
    });
  }
  const there = known(instance);
  if (there !== null && there.source !== null) {
    throw new RampartError(
      'NotApplied',
      `${side.name} takes writes, and RDS still calls it a replica of ${there.source}`,
      {
        remedy: 'RDS is in the middle of the promotion. It is looked at again by itself.',
      },
    );
  }
  const [unseen, ms] = await Promise.all([assertAlone(fleet, side), probe(fleet, server)]);
  const silent = unseen.length > 0 ? ` of those that answer (not ${unseen.join(', ')})` : '';
  return {
    already: false,
    at: fleet.context.now(),
    summary: `${side.name} took a write in ${Math.round(ms)} ms and is the only writable side${silent}`,
    facts: { probeMs: Math.round(ms), unseen, timeline: status.timeline },
  };
}

/** @returns the sides that did not answer: for the source's, the fence is the proof */
async function assertAlone(fleet: Fleet, side: Side): Promise<string[]> {
  const options = { connectTimeoutMs: OTHERS_MS, timeoutMs: OTHERS_MS, serverOnly: true };
  const others = await Promise.all(othersOf(fleet, side).map((other) => readSide(fleet, other, options)));
  const writable = others.filter(
    ({ status, fence }) => known(status)?.inRecovery === false && fence.told && fence.strength === 'none',
  );
  if (writable.length > 0) {
    const names = writable.map((other) => other.side.name).join(', ');
    throw new RampartError('SplitBrain', `besides ${side.name}, ${names} takes writes too`, {
      remedy: `Fence ${names} now; \`rampart escape\` prints the commands.`,
    });
  }
  return others.filter(({ fence }) => !fence.told).map((other) => other.side.name);
}
