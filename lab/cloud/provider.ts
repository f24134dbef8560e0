/** What an example's provider consists of. */
import type { WorldSpec } from '../world/spec.ts';
import type { ProviderClients } from './clients.ts';
import type { Change } from './front.ts';
import type { Ready } from './main.ts';

export interface Provider {
  /** Base URLs of what serves a service's calls instead of the emulator, by what calls are signed for. */
  upstreams: Record<string, string>;
  /** The provider was told to change something. */
  hear(change: Change): void;
  /** See the front. */
  amend?(service: string, operation: string, answer: Buffer): Buffer;
  /** Makes what the topology names. The emulator answers by now. */
  create(): Promise<Ready>;
  /**
   * The databases are there: makes them the provider's own.
   * @returns what follows, by the service whose changes concern it; see {@link follow}
   */
  begin(): Promise<Record<string, () => Promise<boolean>>>;
}

export interface ProviderContext {
  spec: WorldSpec;
  clients: ProviderClients;
  /** Folder of the PostgreSQL tools. */
  bin: string;
}

export type OpenProvider = (context: ProviderContext) => Promise<Provider>;
