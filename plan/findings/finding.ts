/** How a finding is written down, and the commands its remedies name. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import type { Mode } from '../model.ts';

export function blocker(code: string, message: string, remedy: string, rest: Partial<Finding> = {}): Finding {
  return { code, severity: 'blocker', component: null, region: null, message, remedy, ...rest };
}

export function warning(code: string, message: string, remedy: string, rest: Partial<Finding> = {}): Finding {
  return { code, severity: 'warning', component: null, region: null, message, remedy, ...rest };
}

/** A blocker of planned runs that unplanned ones only show: unknown is not good, but a dying region does not wait. */
export function stops(mode: Mode, code: string, message: string, remedy: string, rest: Partial<Finding> = {}): Finding {
  return mode === 'planned' ? blocker(code, message, remedy, rest) : warning(code, message, remedy, rest);
}

/** Codes a person may accept by name, whichever plan they appear in. */
export const OVERRIDES: readonly string[] = [
  'halted',
  'healthySource',
  'lagAboveObjective',
  'lossAccepted',
  'lowerTimeline',
  'safetyRule',
  'sourceUnclear',
  'targetCheck',
  'targetNotReady',
  'weakFence',
];

export const unplannedCommand = (service: string, to: string) =>
  `rampart start failover --service ${service} --to ${to} --mode unplanned --reason "<why>"`;
export const plannedCommand = (service: string, to: string) =>
  `rampart start failover --service ${service} --to ${to} --mode planned --reason "<why>"`;
export const reprotectCommand = (service: string) => `rampart reprotect ${service}`;
export const resumeCommand = (service: string) => `rampart resume ${service} --reason "<what was found>"`;
export const escapeCommand = (service: string) => `rampart escape ${service}`;
