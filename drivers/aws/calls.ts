/**
 * The calls a driver makes of a cloud's API, declared once: a call that is not in its list does not compile, and the
 * table of calls and the least-privilege policies in docs/ are generated from the lists.
 */
import type { ProviderCall, ProviderCalls } from '../ports.ts';

export interface ApiCalls<A extends string = string> extends ProviderCalls {
  calls: Readonly<Record<A, ProviderCall>>;
}

/** @param service as the SDK's package is called: `rds`, `route-53`, … */
export function apiCalls<A extends string>(service: string, calls: Readonly<Record<A, ProviderCall>>): ApiCalls<A> {
  return { service, calls };
}
