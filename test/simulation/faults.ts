/** How faults strike the model world, and how it mends. */
import type { World } from '../virtual-time/harness.ts';
import { describeFault, type Fault } from './scenario.ts';
import { CONTROL } from './service.ts';
import type { SimWorld } from './world/world.ts';

const BACK_MS = 2_000;

export class Faults {
  readonly #world: SimWorld;
  readonly #harness: World;
  readonly #mends: Array<() => void> = [];
  /** Outages under way. */
  readonly #outages = { server: 0, control: 0 };

  constructor(world: SimWorld, harness: World) {
    this.#world = world;
    this.#harness = harness;
  }

  /** Everything is mended: nothing breaks any more, and what is broken comes back. */
  mendAll(): void {
    for (const mend of this.#mends.splice(0)) mend();
  }

  #untilThen(ms: number, mend: () => void): void {
    let done = false;
    const once = (): void => {
      if (!done) mend();
      done = true;
    };
    this.#mends.push(once);
    this.#world.timeline.after(ms, once);
  }

  /** @param fault one that concerns the world, not an attempt or a word */
  strike(fault: Fault): void {
    const { region, ms } = fault;
    const world = this.#world;
    const { traffic } = world;
    const touched: string[] = [];
    world.disturbedAt[region] = world.now;
    switch (fault.what) {
      case 'crashControl':
        this.#harness.crashWorkers(CONTROL);
        break;
      case 'controlDown':
        this.#outage('control', ms);
        break;
      case 'serverDown':
        this.#outage('server', ms);
        break;
      case 'crashRegionWorker':
        this.#workersGone(region);
        this.#untilThen(Math.min(ms, 5_000), () => this.#workersBack(region));
        break;
      case 'killStore':
        for (const server of world.allServers()) if (server.region === region) world.kill(server);
        break;
      case 'freezeStore':
        for (const server of world.allServers()) if (server.region === region) world.freeze(server, ms);
        break;
      case 'loseRegion':
        this.#loseRegion(region, ms);
        break;
      case 'cutRegion':
        this.#cutRegion(region, ms);
        break;
      case 'lag': {
        const before = world.lagMs;
        this.#flow();
        world.lagMs = 1_500 + (ms % 4_000);
        this.#untilThen(ms, () => {
          this.#flow();
          world.lagMs = before;
        });
        break;
      }
      case 'stall':
        this.#flow();
        world.stalled = true;
        this.#untilThen(ms, () => {
          this.#flow();
          world.stalled = false;
        });
        break;
      case 'stale':
        world.staleReadings = true;
        this.#untilThen(ms, () => {
          world.staleReadings = false;
        });
        break;
      case 'deaf':
        for (const router of Object.values(traffic.routers)) router.deaf += 1;
        break;
      case 'revert':
        this.#revert(touched);
        break;
      case 'routerDown':
        for (const router of Object.values(traffic.routers)) router.reachable = false;
        this.#untilThen(ms, () => {
          for (const router of Object.values(traffic.routers)) router.reachable = true;
        });
        break;
      case 'breakApp':
        traffic.broken.add(region);
        this.#untilThen(ms, () => traffic.broken.delete(region));
        break;
      case 'blindCheck':
        traffic.blind.add(region);
        this.#untilThen(ms, () => traffic.blind.delete(region));
        break;
      case 'forgetSamples':
        world.forgetSamples();
        break;
      case 'clockJump':
        this.#jump(`${CONTROL}.${region}`, ms);
        break;
      case 'controlClockJump':
        this.#jump(CONTROL, ms);
        break;
      default:
        throw new Error(`${fault.what} does not strike the world`);
    }
    world.say({ kind: 'fault', what: describeFault(fault), touched });
  }

  /** A clock is set, forth or back. */
  #jump(queue: string, ms: number): void {
    this.#world.skew = { ...this.#world.skew, [queue]: (this.#world.skew[queue] ?? 0) + (ms % 2 === 0 ? ms : -ms) };
  }

  /** Without the server, or without a worker of the control place, no run goes on. */
  #outage(what: 'server' | 'control', ms: number): void {
    const harness = this.#harness;
    const { server, control } = this.#outages;
    this.#outages[what] += 1;
    if (server + control === 0) this.#world.say({ kind: 'orchestrator', available: false });
    if (what === 'server' && server === 0) harness.stopServer();
    if (what === 'control') harness.removeWorkers(CONTROL);
    this.#untilThen(ms, () => {
      this.#outages[what] -= 1;
      if (this.#outages[what] > 0) return;
      if (this.#outages.server + this.#outages.control === 0)
        this.#world.say({ kind: 'orchestrator', available: true });
      if (what === 'server') harness.resumeServer();
      else harness.addWorkers(CONTROL);
    });
  }

  #flow(): void {
    for (const store of Object.keys(this.#world.stores)) this.#world.flow(store);
  }

  #workersGone(region: string): void {
    this.#harness.removeWorkers(`${CONTROL}.${region}`);
    this.#world.say({ kind: 'away', region });
  }

  #workersBack(region: string): void {
    const { alive, cut } = this.#world.regions[region]!;
    if (!alive || cut) return;
    this.#harness.addWorkers(`${CONTROL}.${region}`);
    this.#world.say({ kind: 'back', region });
  }

  #loseRegion(region: string, ms: number): void {
    const world = this.#world;
    const state = world.regions[region]!;
    if (!state.alive) return;
    for (const server of world.allServers()) if (server.region === region) world.kill(server);
    state.alive = false;
    const workload = world.traffic.workload[region]!;
    workload.present = 0;
    this.#workersGone(region);
    this.#untilThen(ms, () => {
      state.alive = true;
      world.reachedSince[region] = world.now;
      world.traffic.resize(region, workload.size);
      this.#workersBack(region);
      world.timeline.after(BACK_MS, () => {
        for (const server of world.allServers())
          if (server.region === region && state.alive) world.start(server, 'system');
      });
    });
  }

  #cutRegion(region: string, ms: number): void {
    const state = this.#world.regions[region]!;
    if (state.cut) return;
    this.#flow();
    state.cut = true;
    this.#workersGone(region);
    this.#untilThen(ms, () => {
      this.#flow();
      state.cut = false;
      this.#world.reachedSince[region] = this.#world.now;
      this.#workersBack(region);
    });
  }

  /** Somebody, or the provider, sets the edge back to what it was at first. */
  #revert(touched: string[]): void {
    const { traffic } = this.#world;
    const regions = Object.keys(this.#world.regions);
    const weights = Object.fromEntries(regions.map((region, i) => [region, i === 0 ? 100 : 0]));
    traffic.setWeights('edge', weights, 'person');
    touched.push('edge weights');
  }
}
