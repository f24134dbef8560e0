/** What is known of a file before it is known to be valid: what the checks across its parts look at. */
import type { ComponentDraft } from './components.ts';
import type { Validator } from './issues.ts';
import type { Tier } from './model.ts';
import type { Path } from './problem.ts';
import type { ServiceDraft } from './services.ts';
import type { Source } from './source.ts';

export interface Drafts {
  regions: ReadonlySet<string>;
  tiers: ReadonlyMap<string, Tier>;
  /** Tier names the file writes, valid or not. */
  tierNames: ReadonlySet<string>;
  /** `undefined`: the file has no such section, which is reported already. */
  components: ReadonlyMap<string, ComponentDraft> | undefined;
  services: ReadonlyMap<string, ServiceDraft>;
  /** Service names the file writes, valid or not. */
  serviceNames: ReadonlySet<string>;
}

/** Everything about one service that its checks need. */
export interface Context {
  drafts: Drafts;
  service: ServiceDraft;
  path: Path;
  validator: Validator;
  /** Reports here leave `sound` as it was: one finding must not hide the next. */
  source: Source;
  /** Where a field that may come from `defaults` is written, or the service when it is built in. */
  origin(...field: string[]): Path;
  /** The entry of a list, or the list itself where a single entry may stand without one. */
  listed(list: Path, index: number): Path;
  /** Whether the service's field and the defaults behind it are free of errors. */
  sound(...fields: string[]): boolean;
}
