/**
 * What a request finds: one row of the observation table, and which region it would leave for which.
 * Pure: the same readings give the same answer.
 */
import type { RegionName } from '../topology/model.ts';
import { classifyStores } from './classify-stores.ts';
import type { Classified, CompileInput } from './model.ts';
import { defaultTo, type Parts, partsOf, type Reading, regionsOf, weightsOf } from './parts.ts';

/** Classifies the observations for this request. Never throws: what cannot be told is `unknown` and says what is missing. */
export function classify(input: CompileInput): Reading {
  const parts = partsOf(input);
  return parts.stores.length > 0 ? classifyStores(input, parts) : classifyStateless(input, parts);
}

/** Services without a store: the traffic says which region is active, the workloads whether it lives. */
function classifyStateless(input: CompileInput, parts: Parts): Reading {
  const { request, observations } = input;
  const routers = [...parts.edges, ...parts.endpoints];
  const shares = new Map<RegionName, number>();
  const unread = routers.filter((router) => weightsOf(input, router) === null);
  for (const router of routers) {
    for (const [region, weight] of Object.entries(weightsOf(input, router) ?? {})) {
      shares.set(region, (shares.get(region) ?? 0) + weight);
    }
  }
  const byShare = [...shares].filter(([, share]) => share > 0).sort((a, b) => b[1] - a[1]);
  const heaviest = request.from ?? byShare.find(([region]) => region !== request.to)?.[0] ?? byShare[0]?.[0] ?? null;
  const to = defaultTo(input, heaviest);
  const from = heaviest !== to ? heaviest : (regionsOf(input).find((region) => region !== to) ?? null);
  const reading = { from, fromSource: request.from === undefined ? 'observed' : 'request', to } as const;
  const verdict = (state: Classified['state'], region: RegionName | null, text: string, missing: string[] = []) => ({
    ...reading,
    classified: { state, region, text, missing },
  });

  if (unread.length > 0 || routers.length === 0 || from === null) {
    const missing = unread.map((router) => `weights of ${router.name}`);
    if (routers.length === 0) missing.push('a router that says where the traffic goes');
    return verdict('unknown', null, 'It cannot be told where the traffic goes.', missing);
  }
  if (to !== null && routers.every((router) => (weightsOf(input, router)?.[from] ?? 0) === 0)) {
    return verdict('steady', to, `All traffic that could move is at ${to}.`);
  }
  const workers = parts.workloads.flatMap((workload) => observations.workloads[workload.name] ?? []);
  const atSource = workers.filter((workload) => workload.region === from);
  if (atSource.length > 0 && atSource.every((workload) => !workload.reachable)) {
    return verdict('sourceLost', from, `${from} does not answer: ${atSource.map((w) => w.detail).join('; ')}.`);
  }
  return verdict('steady', from, `${from} serves the traffic.`);
}
