/** Routers with propagation and caches, workloads with capacity and warm-up, checks. */
import type { CheckResult, Claim, RouterObservation, Weights, WorkloadObservation } from '../../../drivers/ports.ts';
import type { PlaceSeen } from '../../judge/trace.ts';
import type { SimWorld } from './world.ts';

export interface RouterState {
  kind: 'endpoint' | 'weighted';
  reachable: boolean;
  /** What is configured, what the system applies after its propagation. */
  weights: Weights;
  applied: Weights;
  /** Seconds that clients keep an answer. */
  ttl: number;
  claim: Claim | null;
  /** Regions that it never answers with, whatever becomes of the others. */
  fenced: string[];
  /** It says yes to so many changes and does nothing. */
  deaf: number;
  /** Grows with every change, so that an older propagation is dropped. */
  change: number;
}

export interface WorkloadState {
  state: 'active' | 'standby' | 'drained';
  /** Asked for, and there. */
  size: number;
  present: number;
  claim: Claim | null;
}

export const WANTED = 4;
const STANDBY = 1;
const PROPAGATION_MS = 150;
const WARM_UP_MS = 1_500;
const LOOK_GAP_MS = 500;

export class Traffic {
  readonly routers: Record<string, RouterState>;
  /** By region. */
  readonly workload: Record<string, WorkloadState> = {};
  /** Regions whose app is broken although its machines run. */
  readonly broken = new Set<string>();
  /** Checks whose probe gets no answer. */
  readonly blind = new Set<string>();
  readonly #world: SimWorld;

  constructor(world: SimWorld, active: string) {
    this.#world = world;
    const regions = Object.keys(world.regions);
    const router = (kind: RouterState['kind'], ttl: number): RouterState => {
      const weights = Object.fromEntries(regions.map((region) => [region, region === active ? 100 : 0]));
      return { kind, reachable: true, weights, applied: weights, ttl, claim: null, fenced: [], deaf: 0, change: 0 };
    };
    this.routers = { writer: router('endpoint', 30), edge: router('weighted', 60) };
    for (const region of regions) {
      const size = region === active ? WANTED : STANDBY;
      this.workload[region] = { state: region === active ? 'active' : 'standby', size, present: size, claim: null };
    }
  }

  router(name: string): RouterState {
    return this.routers[name] as RouterState;
  }

  setWeights(name: string, wanted: Weights, by: 'rampart' | 'person'): void {
    const router = this.router(name);
    const before = router.weights;
    router.weights = { ...before, ...wanted };
    router.change += 1;
    // Who sends clients to a region lets it out.
    router.fenced = router.fenced.filter((region) => (router.weights[region] ?? 0) === 0);
    const { change } = router;
    const regions = Object.fromEntries(Object.keys(wanted).map((region) => [region, this.place(region)]));
    this.#world.say({ kind: 'weights', router: name, type: router.kind, before, weights: wanted, by, regions });
    this.#world.timeline.after(PROPAGATION_MS, () => {
      if (router.change === change) router.applied = router.weights;
    });
  }

  place(region: string): PlaceSeen {
    // Between a look and the act that it allows there is always a moment.
    const since = this.#world.now - (this.#world.disturbedAt[region] ?? Number.NEGATIVE_INFINITY);
    if (since < LOOK_GAP_MS) return { healthy: null, capacity: null, writable: null };
    const { size, present } = this.workload[region] as WorkloadState;
    const healthy = this.healthy(region);
    const stores = Object.values(this.#world.stores).map((sides) => sides[region]);
    return {
      healthy,
      // An app in standby or drained is not wanted to carry anything: then its size is all there is to compare.
      capacity: { present, wanted: Math.max(size, this.#carries(region) ? WANTED : size) },
      writable: stores.every((server) => server?.writable === true),
    };
  }

  #carries(region: string): boolean {
    return this.workload[region]?.state === 'active';
  }

  healthy(region: string): boolean {
    return this.#world.regions[region]?.alive === true && !this.broken.has(region);
  }

  resize(region: string, size: number): void {
    const workload = this.workload[region] as WorkloadState;
    if (size < workload.present) workload.present = size;
    workload.size = size;
    if (workload.present >= size) return;
    this.#world.timeline.after(WARM_UP_MS, () => {
      // Machines that lost their region come up with it.
      if (workload.size === size && this.#world.regions[region]?.alive) workload.present = size;
    });
  }

  observeRouter(name: string, at: number): RouterObservation {
    const { reachable, applied, weights, claim } = this.router(name);
    return {
      reachable,
      weights: reachable ? { ...applied } : null,
      applied: reachable && JSON.stringify(applied) === JSON.stringify(weights),
      observedAt: at,
      detail: reachable ? '' : 'connection refused',
      claim: reachable ? claim : null,
    };
  }

  observeWorkload(region: string, from: string | null, at: number): WorkloadObservation {
    const { state, size, present, claim } = this.workload[region] as WorkloadState;
    const reachable = this.#world.reaches(from, region);
    const capacity = { present, wanted: state === 'active' ? WANTED : size };
    return {
      region,
      reachable,
      state: reachable ? state : 'unknown',
      ready: reachable ? !this.broken.has(region) : null,
      inflight: reachable ? 0 : null,
      capacity: reachable ? capacity : null,
      observedAt: at,
      detail: reachable ? '' : 'connection refused',
      claim: reachable ? claim : null,
    };
  }

  check(region: string, from: string | null, at: number): CheckResult {
    const blind = this.blind.has(region) || !this.#world.reaches(from, region);
    const outcome = blind ? 'unknown' : this.healthy(region) ? 'pass' : 'fail';
    const observed = { pass: '200', fail: '503', unknown: 'no answer' }[outcome];
    return { outcome, observed, threshold: '200', at, detail: '' };
  }

  state(): Record<string, string | number> {
    const out: Record<string, string | number> = {};
    for (const [name, { weights, ttl }] of Object.entries(this.routers)) {
      out[`${name} weights`] = JSON.stringify(weights);
      out[`${name} ttl`] = ttl;
    }
    for (const [region, { state, size }] of Object.entries(this.workload)) {
      out[`app in ${region} is`] = state;
      out[`app in ${region} size`] = size;
    }
    return out;
  }
}
