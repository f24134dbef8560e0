/** The store port over RDS for PostgreSQL with a cross-region read replica. */
import { setMaxListeners } from 'node:events';
import type { Component } from '../../topology/model.ts';
import type { DriverContext, Store } from '../ports.ts';
import { awaitCatchUp, converge } from './catch-up.ts';
import { claim, journal, readClaim } from './claim.ts';
import { openFleet } from './config.ts';
import { escapeCommands } from './escape.ts';
import { fence, prove, unfence } from './fence.ts';
import { observe, sample } from './observe.ts';
import { preflight } from './preflight.ts';
import { promote, revokePromote } from './promote.ts';
import { rebuild, rejoin } from './rebuild.ts';
import { release } from './release.ts';
import { verifyWritable } from './verify.ts';

/** Opens a component for one activity. Connects to nothing yet. */
export function openStore(component: Component, context: DriverContext): Store {
  const fleet = openFleet(component, context);
  // Every query and every call waits for the same signal.
  setMaxListeners(0, context.signal);
  return {
    observe: (at) => observe(fleet, at),
    sample: (at) => sample(fleet, at),
    preflight: (mode, from, to) => preflight(fleet, mode, from, to),
    readClaim: (at) => readClaim(fleet, at),
    claim: (at, opened) => claim(fleet, at, opened),
    journal: (at, change) => journal(fleet, at, change),
    converge: (from, to, limit) => converge(fleet, from, to, limit),
    fence: (at) => fence(fleet, at),
    unfence: (at, guard) => unfence(fleet, at, guard),
    awaitCatchUp: (proof, to, samples) => awaitCatchUp(fleet, proof, to, samples),
    prove: (at) => prove(fleet, at),
    promote: (to, from, proof, planned) => promote(fleet, to, from, proof, planned),
    revokePromote: (to) => revokePromote(fleet, to),
    verifyWritable: (to, from) => verifyWritable(fleet, to, from),
    rejoin: (at, primary) => rejoin(fleet, at, primary),
    rebuild: (at, primary) => rebuild(fleet, at, primary),
    release: (at) => release(fleet, at),
    escape: (from, to) => escapeCommands(fleet, from, to),
  };
}
