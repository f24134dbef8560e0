/** Routers, workloads and checks of the model world. */

import { RampartError } from '../../../../drivers/errors.ts';
import type {
  CheckResult,
  Json,
  Receipt,
  RouterObservation,
  Weights,
  WorkloadObservation,
} from '../../../../drivers/ports.ts';
import { WEIGHTS } from '../../../../plan/adopted.ts';

export interface RouterState {
  kind: 'endpoint' | 'weighted';
  reachable: boolean;
  weights: Weights;
  /** Regions that it never answers with. */
  fenced: string[];
  /** Seconds that clients keep an answer; lowered by `prepare`, put back at the end. */
  ttl: number;
}

export interface WorkloadState {
  reachable: boolean;
  state: 'active' | 'standby' | 'drained';
  ready: boolean;
  size: number;
  wanted: number;
}

const PREPARED_TTL = 1;

export class Traffic {
  readonly routers: Record<string, RouterState>;
  /** By workload, by region. */
  readonly workloads: Record<string, Record<string, WorkloadState>>;
  /** By check, by region. */
  readonly checks: Record<string, Record<string, CheckResult['outcome']>>;
  readonly #now: () => number;
  readonly #changed: (what: string) => void;

  constructor(active: string, regions: readonly string[], now: () => number, changed: (what: string) => void) {
    this.#now = now;
    this.#changed = changed;
    const all = (): Weights => Object.fromEntries(regions.map((region) => [region, region === active ? 100 : 0]));
    this.routers = {
      writer: { kind: 'endpoint', reachable: true, weights: all(), fenced: [], ttl: 30 },
      edge: { kind: 'weighted', reachable: true, weights: all(), fenced: [], ttl: 60 },
    };
    const workload = (region: string): WorkloadState => ({
      reachable: true,
      state: region === active ? 'active' : 'standby',
      ready: true,
      size: region === active ? 4 : 1,
      wanted: 4,
    });
    this.workloads = { shop: Object.fromEntries(regions.map((region) => [region, workload(region)])) };
    this.checks = { ready: Object.fromEntries(regions.map((region) => [region, 'pass' as const])) };
  }

  observeRouter(name: string): RouterObservation {
    const { reachable, weights } = this.#router(name);
    return {
      reachable,
      weights: reachable ? { ...weights } : null,
      applied: reachable,
      observedAt: this.#now(),
      detail: reachable ? '' : 'connection refused',
      claim: null,
    };
  }

  /** @param may why the region may not be given more weight; `null` = it may (I5) */
  setWeights(name: string, weights: Weights, may: (region: string) => string | null): Receipt {
    const router = this.#asked(name);
    for (const [region, weight] of Object.entries(weights)) {
      const why = weight > (router.weights[region] ?? 0) ? may(region) : null;
      if (why) throw new RampartError('PreconditionFailed', `${name} must not send traffic to ${region}: ${why}`);
    }
    const already = JSON.stringify(router.weights) === JSON.stringify({ ...router.weights, ...weights });
    if (!already) {
      router.weights = { ...router.weights, ...weights };
      this.#changed(`${name} sends ${shares(weights)}`);
    }
    return this.#receipt(`${name} sends ${shares(weights)}`, { weights }, already);
  }

  verifyWeights(name: string): Receipt {
    const { weights } = this.#asked(name);
    return this.#receipt(`counted ${shares(weights)}`, { observed: weights }, true);
  }

  fenceRouter(name: string, region: string): Receipt {
    const router = this.#asked(name);
    const already = router.fenced.includes(region);
    if (!already) {
      router.fenced.push(region);
      this.#changed(`${name} does not answer with ${region}`);
    }
    return this.#receipt(`${name} does not answer with ${region}`, { region }, already);
  }

  saveRouter(name: string): Receipt {
    const { ttl, weights } = this.#asked(name);
    return Object.assign(this.#receipt('read', { ttl }, true), { [WEIGHTS]: { ...weights } });
  }

  setTtl(name: string, ttl = PREPARED_TTL): Receipt {
    const router = this.#asked(name);
    const already = router.ttl === ttl;
    router.ttl = ttl;
    if (!already) this.#changed(`TTL of ${name} is ${ttl}`);
    return this.#receipt(`TTL ${ttl}`, {}, already);
  }

  observeWorkload(name: string, region: string): WorkloadObservation {
    const { reachable, state, ready, size, wanted } = this.workload(name, region);
    return {
      region,
      reachable,
      state: reachable ? state : 'unknown',
      ready: reachable ? ready : null,
      inflight: reachable ? 0 : null,
      capacity: reachable ? { present: size, wanted: state === 'active' ? wanted : size } : null,
      observedAt: this.#now(),
      detail: reachable ? '' : 'connection refused',
    };
  }

  workload(name: string, region: string): WorkloadState {
    return (this.workloads[name] as Record<string, WorkloadState>)[region] as WorkloadState;
  }

  saveWorkload(name: string, region: string): Receipt {
    const { state, size } = this.#answering(name, region);
    return this.#receipt('read', { state, size }, true);
  }

  setWorkload(name: string, region: string, wanted: Partial<Pick<WorkloadState, 'state' | 'size'>>): Receipt {
    const workload = this.#answering(name, region);
    const next = { ...workload, ...wanted };
    const already = next.state === workload.state && next.size === workload.size;
    Object.assign(workload, wanted);
    if (!already) this.#changed(`${name} in ${region} is ${next.state} with ${next.size}`);
    return this.#receipt(`${name} in ${region} is ${next.state} with ${next.size}`, {}, already);
  }

  check(name: string, region: string): CheckResult {
    const outcome = this.checks[name]?.[region] ?? 'unknown';
    const observed = { pass: '200', fail: '503', unknown: 'no answer' }[outcome];
    return { outcome, observed, threshold: '200', at: this.#now(), detail: '' };
  }

  #router(name: string): RouterState {
    const router = this.routers[name];
    if (!router) throw new RampartError('InvalidInput', `no router ${name}`);
    return router;
  }

  #asked(name: string): RouterState {
    const router = this.#router(name);
    if (!router.reachable) throw new RampartError('ProviderUnavailable', `${name} does not answer`);
    return router;
  }

  #answering(name: string, region: string): WorkloadState {
    const workload = this.workload(name, region);
    if (!workload.reachable) throw new RampartError('ProviderUnavailable', `${name} in ${region} does not answer`);
    return workload;
  }

  #receipt(summary: string, facts: Record<string, Json>, already = false): Receipt {
    return { already, at: this.#now(), summary, facts };
  }
}

function shares(weights: Weights): string {
  return Object.entries(weights)
    .map(([region, weight]) => `${weight} % to ${region}`)
    .join(', ');
}
