/** Whether a service's ramp, tier and approvals fit together and can be kept. */
import type { FenceStrength } from '../drivers/ports.ts';
import type { ComponentDraft } from './components.ts';
import type { Context } from './drafts.ts';
import { formatDuration } from './duration.ts';
import type { GateName } from './model.ts';
import { tierOf } from './services.ts';

/** Strongest first. */
const FENCE_STRENGTHS: readonly FenceStrength[] = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'];

/** The service's routers of one kind whose configuration is known. */
function routers({ drafts, service }: Context, kind: 'weighted' | 'endpoint'): ComponentDraft[] {
  return service.components
    .map((name) => drafts.components?.get(name))
    .filter((draft) => draft !== undefined)
    .filter((draft) => draft.component?.role === 'router' && draft.component.capabilities.kind === kind);
}

export function checkRamp(context: Context): void {
  const { service, source, origin } = context;
  if (!context.sound('ramp')) return;
  const { bakeMs, intervalMs, steps } = service.ramp;
  for (const { name, component } of routers(context, 'weighted')) {
    const ttlMs = component?.capabilities.ttlMs ?? 0;
    if (bakeMs < ttlMs) {
      source.report(
        origin('ramp', 'bake'),
        'bake_below_ttl',
        `a bake of ${formatDuration(bakeMs)} is over before clients of ${name} leave the old weights (TTL ${formatDuration(ttlMs)}): each check would measure the step before; for ${service.name} bake at least ${formatDuration(ttlMs)}`,
      );
    }
  }
  if (intervalMs > bakeMs && service.ramp.analysis.length > 0 && steps.length > 0) {
    source.report(
      origin('ramp', 'interval'),
      'interval_above_bake',
      `the interval of ${formatDuration(intervalMs)} is longer than the bake of ${formatDuration(bakeMs)}: ${service.name} is checked only once per step`,
      { severity: 'warning' },
    );
  }
}

/**
 * Waits that no fast machine shortens. Recovered means that all traffic is served by the target and the checks held
 * through the last bake, so every bake counts; a jump has one. Approvals are people's time and do not count.
 */
export function checkRecoveryTime(context: Context): void {
  const { drafts, service, validator, source, origin } = context;
  const tier = tierOf(service, drafts.tiers);
  if (
    tier === undefined ||
    !context.sound('ramp', 'tier', 'writes', 'objectives') ||
    validator.isBroken(['tiers', service.tier])
  )
    return;
  const weighted = routers(context, 'weighted');
  const ttlMs = Math.max(
    0,
    ...[...weighted, ...routers(context, 'endpoint')].map(({ component }) => component?.capabilities.ttlMs ?? 0),
  );
  const local = service.writes === 'local';
  const waits = (steps: number) => {
    const bakes = steps * service.ramp.bakeMs;
    return {
      ms: bakes + ttlMs,
      text: `${steps} × ${formatDuration(service.ramp.bakeMs)} bake${ttlMs > 0 ? ` + ${formatDuration(ttlMs)} TTL` : ''} = ${formatDuration(bakes + ttlMs)}`,
    };
  };
  const planned = waits(local ? 1 : service.ramp.steps.length);
  const unplanned = service.ramp.unplanned === 'jump' ? waits(1) : planned;
  const whose = service.objectives.rtoMs === undefined ? `tier ${tier.name}` : 'its own';
  const objective = `the RTO of ${formatDuration(tier.rtoMs)} (${whose})`;
  if (unplanned.ms > tier.rtoMs) {
    const advice =
      service.ramp.unplanned === 'jump' || local ? 'shorten the bake' : 'shorten the bake or say unplanned: jump';
    source.report(
      origin('ramp', 'bake'),
      'rto_unreachable',
      `${service.name} cannot meet ${objective}: its plan alone waits ${unplanned.text}; ${advice}`,
    );
  } else if (planned.ms > tier.rtoMs) {
    source.report(
      origin('ramp', 'bake'),
      'rto_planned',
      `a planned move of ${service.name} waits ${planned.text}, longer than ${objective}; an unplanned one jumps and meets it`,
      {
        severity: 'warning',
      },
    );
  }
}

export function checkFence(context: Context): void {
  const { drafts, service, validator, source } = context;
  const tier = tierOf(service, drafts.tiers);
  if (tier === undefined || !context.sound('tier') || validator.isBroken(['tiers', service.tier])) return;
  for (const name of service.components) {
    const capabilities = drafts.components?.get(name)?.component?.capabilities;
    if (capabilities?.role !== 'store') continue;
    const proofs = capabilities.fenceProofs ?? [];
    const wanted = FENCE_STRENGTHS.indexOf(tier.fenceProof);
    if (proofs.some((proof) => FENCE_STRENGTHS.indexOf(proof) <= wanted)) continue;
    source.report(
      context.origin('tier'),
      'fence_unreachable',
      `tier ${tier.name} asks for the fence proof "${tier.fenceProof}", which ${name} cannot deliver (${proofs.length === 0 ? 'it has none' : `it has ${proofs.join(', ')}`}): every promotion of ${service.name} would wait for a person`,
    );
  }
}

export function checkApprovals({ service, source, origin, sound }: Context): void {
  if (!sound('approvals')) return;
  for (const [gate, policy] of Object.entries(service.approvals) as Array<
    [GateName, typeof service.approvals.cutover]
  >) {
    const at = (field: string) => origin('approvals', gate, field);
    const { approvers, escalateTo, required } = policy;
    const people = new Set([...approvers, ...escalateTo]);
    if (approvers.length > 0 && people.size < required) {
      source.report(
        at('approvers'),
        'too_few_approvers',
        `${gate} of ${service.name} needs ${required} people and names only ${people.size}`,
      );
    }
    if (policy.fourEyes && approvers.length > 0 && people.size === 1) {
      source.report(
        at('fourEyes'),
        'four_eyes_alone',
        `${gate} of ${service.name} asks for four eyes and names one approver: nobody could approve that person's request`,
      );
    }
    if (policy.fourEyes && required === 0) {
      source.report(
        at('fourEyes'),
        'four_eyes_alone',
        `${gate} of ${service.name} asks for four eyes and requires nobody`,
      );
    }
    if (escalateTo.length > 0 !== (policy.escalateAfterMs !== undefined)) {
      const [present, absent] =
        escalateTo.length > 0 ? ['escalateTo', 'escalateAfter'] : ['escalateAfter', 'escalateTo'];
      source.report(at(present!), 'escalation_incomplete', `${gate} of ${service.name}: ${present} needs ${absent}`);
    }
    if (policy.escalateAfterMs !== undefined && policy.escalateAfterMs >= policy.timeoutMs) {
      source.report(
        at('escalateAfter'),
        'escalation_too_late',
        `${gate} of ${service.name} would escalate after ${formatDuration(policy.escalateAfterMs)}, when it has already timed out (${formatDuration(policy.timeoutMs)})`,
      );
    }
    if (escalateTo.length > 0 && approvers.length === 0) {
      source.report(
        at('escalateTo'),
        'escalation_unused',
        `${gate} of ${service.name}: without approvers anybody may decide from the start`,
        { severity: 'warning' },
      );
    }
  }
}
