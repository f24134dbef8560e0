/**
 * Digests of plans and facts. Uses node:crypto, so workflow code must not import this file: plans and facts carry
 * their digests with them.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../topology/canonical.ts';
import type { Action, Facts, Mode, Plan, Stage } from './model.ts';

function sha256(value: object): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

export interface DigestInput {
  action: Action;
  service: string;
  from: string | null;
  to: string;
  mode: Mode;
  override: readonly string[];
  percent?: number;
  ramp?: readonly number[];
  topologyDigest: string;
  stages: readonly Stage[];
}

/**
 * What an approval of the plan is bound to: what is wanted, the topology and the stages. Who asked and why, and
 * everything measured (lag, positions, ages, estimates), stay outside.
 */
export function planDigest(input: DigestInput): string {
  return sha256({ ...input, override: [...new Set(input.override)].sort(), percent: input.percent ?? null });
}

/** The digest of an existing plan, for a reader that wants to check it. */
export function digestOf(plan: Plan): string {
  return planDigest({
    action: plan.request.action,
    service: plan.service,
    from: plan.from,
    to: plan.to,
    mode: plan.mode,
    override: plan.request.override ?? [],
    percent: plan.request.percent,
    ramp: plan.request.ramp,
    topologyDigest: plan.topologyDigest,
    stages: plan.stages,
  });
}

/** What a decision at a gate is bound to: everything measured and shown, with its times. */
export function factsDigest(facts: Omit<Facts, 'digest'>): string {
  const { digest: _own, ...shown } = facts as Facts;
  return sha256(shown);
}
