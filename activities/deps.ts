/** What an activity's process gives it. One object per worker place; nothing here is global. */
import type { Driver, DriverLog, SampleReading } from '../drivers/ports.ts';
import type { HaltNote } from '../plan/model.ts';
import type { Service, Topology } from '../topology/model.ts';

export interface ActivityDeps {
  /** The place this worker serves; both `null` on the control place. */
  place: { region: string | null; place: string | null };
  /** Private directory of this place: claims of systems without a data directory, samples, escape pages. */
  stateDir: string;
  /** Version and build of this program. */
  build: string;
  drivers: ReadonlyMap<string, Driver>;
  /** Reads the topology file anew. @throws RampartError InvalidInput with every problem in its message */
  topology(): Promise<Topology>;
  /** Names of the search attributes registered on the namespace. */
  searchAttributes(): Promise<string[]>;
  /** Requests the cancellation of a workflow run. */
  cancelRun(workflowId: string, runId: string): Promise<void>;
  /** The halt that is open for the service's lock, if any. @throws when Temporal does not say */
  halt(service: Pick<Service, 'name' | 'group'>): Promise<HaltNote | null>;
  /** The sampler's readings of one component, oldest first. */
  samples(component: string): SampleReading[];
  log: DriverLog;
  namespace: string;
  /** Base of links into the Web UI; `null` when not configured. */
  ui: string | null;
}
