/** The store port over PostgreSQL's physical streaming replication. */
import { setMaxListeners } from 'node:events';
import type { Component } from '../../topology/model.ts';
import type { DriverContext, Store } from '../ports.ts';
import { awaitCatchUp } from './catch-up.ts';
import { claim, journal, readClaim } from './claim.ts';
import { openCluster } from './config.ts';
import { converge } from './converge.ts';
import { escapeCommands } from './escape-commands.ts';
import { fence } from './fence.ts';
import { leftBehind } from './left-behind.ts';
import { observe, sample } from './observe.ts';
import { preflight } from './preflight.ts';
import { promote, revokePromote } from './promote.ts';
import { prove } from './prove.ts';
import { rebuild } from './rebuild.ts';
import { recoveryPoints } from './recovery-points.ts';
import { rejoin } from './rejoin.ts';
import { release } from './release.ts';
import { pauseReplay, readReplay, resumeReplay } from './replay.ts';
import { unfence } from './unfence.ts';
import { verifyWritable } from './verify.ts';

/** Opens a component for one activity. Connects to nothing yet. */
export function openStore(component: Component, context: DriverContext): Store {
  const cluster = openCluster(component, context);
  // Every query of every node waits for the same signal.
  setMaxListeners(0, context.signal);
  return {
    observe: (at) => observe(cluster, at),
    sample: (at) => sample(cluster, at),
    preflight: (mode, from, to) => preflight(cluster, mode, from, to),
    readClaim: (at) => readClaim(cluster, at),
    claim: (at, opened) => claim(cluster, at, opened),
    journal: (at, change) => journal(cluster, at, change),
    converge: (from, to, limit) => converge(cluster, from, to, limit),
    fence: (at) => fence(cluster, at),
    unfence: (at, guard) => unfence(cluster, at, guard),
    awaitCatchUp: (proof, to, samples) => awaitCatchUp(cluster, proof, to, samples),
    prove: (at) => prove(cluster, at),
    promote: (to, from, proof, planned) => promote(cluster, to, from, proof, planned),
    revokePromote: (to) => revokePromote(cluster, to),
    verifyWritable: (to, from) => verifyWritable(cluster, to, from),
    leftBehind: (at, primary) => leftBehind(cluster, at, primary),
    rejoin: (at, primary) => rejoin(cluster, at, primary),
    rebuild: (at, primary) => rebuild(cluster, at, primary),
    release: (at) => release(cluster, at),
    readReplay: (at) => readReplay(cluster, at),
    pauseReplay: (at) => pauseReplay(cluster, at),
    resumeReplay: (at) => resumeReplay(cluster, at),
    recoveryPoints: (at) => recoveryPoints(cluster, at),
    escape: (from, to) => escapeCommands(cluster, from, to),
  };
}
