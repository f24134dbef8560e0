/** What the capacity workload (workload.ts) needs of a service that runs a number of equal units. */
import type { Finding } from '../../ports.ts';

/** How many units the provider is told to keep. `min`, `max`: bounds of its autoscaling; `null` = it has none. */
export interface Size {
  min: number | null;
  max: number | null;
  desired: number;
}

export interface Reading {
  size: Size;
  /** Units that can serve now. */
  present: number;
  /** Units that exist in any form, those that are being stopped included: at 0 nothing is left that could work. */
  left: number;
  tags: Record<string, string>;
  /** Why it does not serve as it should, for people; empty when nothing is known. */
  troubles: string[];
}

/** One region's service. Every call may throw what drivers/aws/errors.ts says. */
export interface Backend {
  /** For people: `service web of cluster shop`. */
  name: string;
  /** Plural, for people: `tasks`, `instances`. */
  unit: string;
  read(): Promise<Reading>;
  /** Tells the provider the size; sends only what differs from `now`. */
  resize(now: Size, to: Size): Promise<void>;
  /** Writes tags; `null` takes one away. */
  tag(tags: Record<string, string | null>): Promise<void>;
  /** Why units cannot be added or taken away now, before anything is sent; empty when nothing is known. */
  obstacle(direction: 'up' | 'down'): Promise<string>;
  /** Why the units that are there do not count yet (they warm up); empty when they do. */
  notYet(): Promise<string>;
  /** The provider's own last words about it, for heartbeats and errors; empty when it says nothing. */
  progress(): Promise<string>;
  /** Average CPU of the units in the last minutes, in percent; `null` = nobody knows. */
  cpu(): Promise<number | null>;
  /** What stands in the way besides the size. */
  findings(): Promise<Finding[]>;
}
