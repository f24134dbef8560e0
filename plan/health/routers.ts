/** What a look at a service's routers shows: whether traffic and writers go where the data is. Pure. */
import type { Millis } from '../../drivers/ports.ts';
import type { Component } from '../../topology/model.ts';
import { FRESHNESS_MS, type StoreView } from '../sides.ts';
import type { Look } from './model.ts';
import type { Draft } from './stores.ts';

export function routerFindings(
  look: Look,
  views: readonly StoreView[],
  routers: readonly Component[],
  now: Millis,
): Draft[] {
  const regions = [...new Set(views.flatMap((view) => view.writable.map((node) => node.region)))];
  const settled = views.every((view) => view.writable.length === 1) && regions.length === 1;
  const active = settled ? regions[0]! : null;
  return routers.flatMap((router) => findingsOf(look, router, active, now));
}

function findingsOf({ service, routers }: Look, router: Component, active: string | null, now: Millis): Draft[] {
  const base = { component: router.name, region: null };
  const seen = routers[router.name];
  if (seen === undefined || !seen.reachable || seen.weights === null || now - seen.observedAt > FRESHNESS_MS) {
    const message = `${router.name} cannot be read: ${seen?.detail || 'no fresh reading'}`;
    const remedy = 'Bring its API back: traffic cannot be moved without it.';
    return [{ ...base, code: 'routerUnreadable', severity: 'warning', message, remedy }];
  }
  const found: Draft[] = [];
  if (!seen.applied) {
    const message = `${router.name} does not apply what it is configured to do: ${seen.detail}`;
    found.push({ ...base, code: 'routerNotApplied', severity: 'warning', message, remedy: 'Look at its own log.' });
  }
  const { weights } = seen;
  if (Object.values(weights).every((weight) => weight === 0)) {
    const message = `all weights of ${router.name} are zero: it sends traffic nowhere`;
    const remedy = `rampart escape ${service.name} prints the command that sends it to the active side.`;
    return [...found, { ...base, code: 'noWeights', severity: 'critical', message, remedy }];
  }
  if (active === null) return found;
  const elsewhere = Object.entries(weights).filter(([region, weight]) => region !== active && weight > 0);
  if (elsewhere.length === 0) return found;
  const where = elsewhere.map(([region, weight]) => `${weight} % to ${region}`).join(', ');
  if (router.capabilities.kind === 'endpoint') {
    const message = `${router.name} sends writers ${where}, but ${active} is the writable side`;
    const remedy = `Start the failover to ${active} again: it goes on at the routing.`;
    return [...found, { ...base, code: 'writerAstray', severity: 'critical', message, remedy }];
  }
  // An app that writes through the writer endpoint may serve from anywhere; one that writes where it stands may not.
  const local = service.writes === 'local';
  const message = `${router.name} sends ${where}, the writable side is in ${active}`;
  const remedy = local
    ? `Its app writes where it stands: rampart start ramp --service ${service.name} --to ${active}`
    : 'Nothing, if that is what was wanted.';
  return [...found, { ...base, code: 'trafficElsewhere', severity: local ? 'warning' : 'info', message, remedy }];
}
