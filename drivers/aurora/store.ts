/** The store port over Aurora: a global database, or one cluster whose instances are the sides. */
import { setMaxListeners } from 'node:events';
import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext, Store } from '../ports.ts';
import { claim, journal, readClaim } from './claim.ts';
import { nodesAt, openAurora } from './config.ts';
import { escapeCommands } from './escape.ts';
import { revokePromote } from './intent.ts';
import { observe, prove, sample } from './observe.ts';
import { preflight } from './preflight.ts';
import { leftBehind, rejoin } from './rejoin.ts';
import { switchover } from './switchover.ts';
import { converge, verifyWritable } from './verify.ts';

/** Opens a component for one activity. Connects to nothing yet. */
export function openStore(component: Component, context: DriverContext): Store {
  const aurora = openAurora(component, context);
  // Every call and query waits for the same signal.
  setMaxListeners(0, context.signal);
  const atomic = (what: string) => async (): Promise<never> => {
    throw new RampartError('PreconditionFailed', `Aurora has no ${what} of its own: it switches in one call`, {
      remedy: 'This is a mistake of Rampart: report it with the plan.',
    });
  };
  return {
    observe: (at) => observe(aurora, at),
    sample: (at) => sample(aurora, at),
    preflight: (mode, from, to) => preflight(aurora, mode, from, to),
    readClaim: (at) => readClaim(aurora, at),
    claim: (at, opened) => claim(aurora, at, opened),
    journal: (at, change) => journal(aurora, at, change),
    converge: (from, to, limit) => converge(aurora, from, to, limit),
    switchover: (from, to, mode) => switchover(aurora, from, to, mode),
    prove: (at) => prove(aurora, at),
    revokePromote: (to) => revokePromote(aurora, to),
    verifyWritable: (to, from) => verifyWritable(aurora, to, from),
    leftBehind: (at) => leftBehind(aurora, at),
    rejoin: (at, primary) => rejoin(aurora, at, primary),
    escape: (from, to) => escapeCommands(aurora, from, to),
    release: async (at) => {
      const [node] = nodesAt(aurora, at);
      const summary = `${node!.region}: nothing is kept by Rampart; Aurora's own snapshots end with their retention`;
      return { already: true, at: context.now(), summary, facts: {} };
    },
    fence: atomic('fence'),
    unfence: atomic('fence'),
    awaitCatchUp: atomic('catch-up'),
    promote: atomic('promotion'),
    rebuild: async (at) => {
      throw new RampartError(
        'PreconditionFailed',
        `${component.name} in ${at.region}: Aurora rebuilds a side by itself, or not at all`,
        {
          remedy: `Wait for it with rampart reprotect; if the side is no member any more, rampart escape has the commands.`,
        },
      );
    },
  };
}
