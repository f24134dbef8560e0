/** A run against a real store in the tests: opens it as the run's workers would, with tokens that rise. */
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Driver, Journal, NodeObservation, Store, Token } from '../../../drivers/ports.ts';
import type { Component, RegionName } from '../../../topology/model.ts';
import { type ContextOptions, driverContext } from '../driver-context.ts';

export interface StoreWorld {
  driver: Driver<'store'>;
  /** Two sides, `from` writable and `to` caught up. */
  component: Component;
  from: RegionName;
  to: RegionName;
  /** What the component's secrets resolve to. */
  secrets: Record<string, string>;
  /** Folder for the state directories of the workers. */
  dir: string;
  /** The same component with addresses where nobody listens. */
  unreachable(): Component;
  /** The same component with credentials that the system refuses. */
  wrongCredentials(): { component: Component; secrets: Record<string, string> };
  /** Writes through the system's own client; rejects when the side does not take it. */
  write(region: RegionName): Promise<void>;
  /** How many writes a side has. */
  count(region: RegionName): Promise<number>;
  close(): Promise<void>;
}

/** Lag at which the tests let a cut-over begin, in milliseconds and bytes. */
export const LIMIT = { ms: 5_000, bytes: 16 * 1024 * 1024 };

/** One run. The epoch is its claim's; `claim` takes both sides. */
export class Run {
  readonly world: StoreWorld;
  readonly epoch: number;
  #seq = 0;

  constructor(world: StoreWorld, epoch: number) {
    this.world = world;
    this.epoch = epoch;
  }

  get id(): string {
    return `run-${this.epoch}`;
  }

  token(change: Partial<Token> = {}): Token {
    return { systemId: null, expectedTimeline: null, epoch: this.epoch, runId: this.id, seq: ++this.#seq, ...change };
  }

  /** A store as the worker beside `region` opens it. */
  at(region: RegionName | null, options: ContextOptions = {}, component = this.world.component): Store {
    return this.world.driver.open(
      component,
      driverContext({
        secrets: this.world.secrets,
        place: { region, place: null },
        stateDir: join(this.world.dir, `state-${region ?? 'control'}`),
        token: this.token(),
        ...options,
      }),
    );
  }

  journal(change: Partial<Journal> = {}): Journal {
    return {
      runId: this.id,
      workflowId: 'failover/checkout',
      epoch: this.epoch,
      service: 'checkout',
      component: this.world.component.name,
      saved: {},
      fencedAt: null,
      freezeBudgetMs: 30_000,
      lastTouched: Date.now(),
      open: true,
      ...change,
    };
  }

  async claim(): Promise<void> {
    for (const region of [this.world.from, this.world.to]) {
      await this.at(region).claim({ region }, this.journal());
    }
  }

  async close(): Promise<void> {
    for (const region of [this.world.from, this.world.to]) await this.at(region).journal({ region }, { open: false });
  }

  async observe(region: RegionName): Promise<NodeObservation> {
    return (await this.at(region).observe({ region }))[0]!;
  }

  /** Brings a side back behind the primary: as it is, or made anew where the driver says that nothing else works. */
  async follow(region: RegionName, primary: RegionName, options: ContextOptions = {}): Promise<void> {
    const { facts } = await this.at(region, options).rejoin({ region }, primary);
    if (facts.needs === 'rebuild') await this.at(region, options).rebuild({ region }, primary);
  }

  /** Moves the writable side, as a planned run does. */
  async move(from: RegionName, to: RegionName): Promise<void> {
    const { capabilities } = this.world.component;
    const before = await this.observe(from);
    await this.at(null).converge(from, to, LIMIT);
    if (capabilities.cutover === 'atomic') {
      await this.at(null).switchover!(from, to, 'planned');
    } else {
      const proof = await this.at(from).fence({ region: from });
      const caught = await this.at(to).awaitCatchUp(proof, { region: to }, []);
      expect(caught.catchUp).toMatchObject({ complete: true, loss: { kind: 'none' } });
      await this.at(to).promote({ region: to }, from, await this.at(from).prove({ region: from }), {
        timeline: before.timeline,
      });
    }
    await this.at(to).verifyWritable({ region: to }, from);
  }
}
