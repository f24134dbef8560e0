/** How many units a region needs. */
import { RampartError } from '../../errors.ts';
import type { CapacityOptions } from './workload.ts';

/** The other sides only help to guess the size: whoever does not answer by then is left out, in milliseconds. */
const OTHERS_MS = 3_000;

export interface Wanted {
  units: number;
  /** Regions whose size would have counted and could not be read: then `units` may be too few. */
  unread: string[];
}

/** As many as the topology says; else as the busiest other side runs, which is what the traffic needed there. */
export async function wantedUnits(region: string, options: CapacityOptions): Promise<Wanted> {
  const { component, context, config } = options;
  const told = options.wanted(region);
  if (told !== null) return { units: told, unread: [] };
  const unread: string[] = [];
  const others = Object.keys(component.sides).filter((other) => other !== region);
  const running = await Promise.all(
    others.map(async (other) => {
      try {
        return (await (await options.open(other, Math.min(OTHERS_MS, config.timeout))).read()).size.desired;
      } catch (error) {
        context.signal.throwIfAborted();
        if (!(error instanceof RampartError)) throw error;
        context.log.warn('size of another region is not known', { region: other, error: error.message });
        unread.push(other);
        return 0;
      }
    }),
  );
  return { units: Math.max(1, ...running), unread };
}
