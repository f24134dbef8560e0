/** What speaks against fencing a returned old primary. None of it can be overridden: then people fence by hand. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import { weightsOf } from '../parts.ts';
import { doubtsAboutFencing, type Routes } from '../returned.ts';
import { FRESHNESS_MS, nodesAt } from '../sides.ts';
import type { Situation } from '../situation.ts';
import { blocker, escapeCommand, reprotectCommand, warning } from './finding.ts';

export function refenceFindings(situation: Situation): Finding[] {
  const { parts, from, to, input } = situation;
  if (from === null) return [];
  const { name } = input.service;
  const found = doubtsAboutFencing(parts.stores, routesOf(situation), from, to).map((doubt) =>
    blocker(
      'notCertain',
      `It is not certain that ${from} is the old side: ${doubt}.`,
      `Find out which side is right; ${escapeCommand(name)} prints the commands for fencing by hand.`,
      { region: from },
    ),
  );
  for (const view of parts.stores) {
    for (const node of nodesAt(view, from).filter((one) => one.state === 'unreachable')) {
      const message = `${node.name} in ${from} cannot be reached (${node.detail || node.state}).`;
      const remedy = 'Bring its host and worker back; keep it from starting until then.';
      found.push(blocker('sideUnreachable', message, remedy, { component: view.store.name, region: from }));
    }
  }
  const stray = parts.stores.filter((view) => view.writable.some((node) => node.region === from));
  for (const view of stray) {
    const message = `What ${view.store.name} in ${from} has acknowledged since ${to} was promoted is not in ${to}; fenced, it stays readable there.`;
    const remedy = `Afterwards ${reprotectCommand(name)} brings ${from} back as a replica and keeps the old data aside.`;
    found.push(warning('strayWrites', message, remedy, { component: view.store.name, region: from }));
  }
  return found;
}

/** What the routers of a plan's input do, with stale readings as none. */
function routesOf({ parts, input }: Situation): Routes {
  const fresh = (name: string) => {
    const seen = input.observations.routers[name];
    return seen !== undefined && input.now - seen.observedAt <= FRESHNESS_MS;
  };
  return {
    endpoints: parts.endpoints,
    edges: parts.edges,
    weights: (router) => (fresh(router.name) ? weightsOf(input, router) : null),
    applied: (router) => input.observations.routers[router.name]?.applied === true,
  };
}
