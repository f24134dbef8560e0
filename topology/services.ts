/** Services: what the file gives, the file's defaults and the built-in ones, merged into the normal form. */
import type { z } from 'zod';
import {
  BUILT_IN_TIERS,
  DEFAULT_APPROVALS,
  DEFAULT_CUTOVER_LAG,
  DEFAULT_GUARD,
  DEFAULT_ON_FAILURE,
  DEFAULT_RAMP,
  DEFAULT_TIER,
  FENCE_PROOF,
  FREEZE_BUDGET_MS,
  GATES,
  RETURNING_PRIMARY,
} from './defaults.ts';
import { INVALID, isObject, type Validator } from './issues.ts';
import type {
  ApprovalPolicy,
  Assertion,
  EvidenceContext,
  GateName,
  GuardPolicy,
  OwnStep,
  Ramp,
  Region,
  Service,
  Tier,
} from './model.ts';
import { mentionsSecret, secretProblem } from './scalars.ts';
import {
  ASSERTED_ACTIONS,
  type approvalsSchema,
  type assertionsSchema,
  type defaultsSchema,
  regionSchema,
  serviceSchema,
  tierSchema,
} from './schema.ts';
import { readSteps, STEP_SECRETS } from './steps.ts';

export type Defaults = Partial<z.output<typeof defaultsSchema>>;

/** A service as far as it could be read; bad fields are absent or hold their defaults. */
export interface ServiceDraft {
  name: string;
  tier: string;
  owner: string | undefined;
  home: string | undefined;
  standby: string[];
  dependsOn: string[];
  components: string[];
  checks: string[];
  ramp: Ramp;
  approvals: Record<GateName, ApprovalPolicy>;
  group: string | undefined;
  writes: Service['writes'];
  cutoverLag: Service['cutoverLag'];
  onFailure: Service['onFailure'];
  returningPrimary: NonNullable<Service['returningPrimary']>;
  guard: GuardPolicy;
  objectives: Partial<Pick<Tier, 'rtoMs' | 'rpoMs' | 'freezeBudgetMs'>>;
  assertions: Assertion[];
  evidence: EvidenceContext;
  steps: OwnStep[];
}

export function readRegion(name: string, raw: unknown, validator: Validator): Region {
  const fields = raw === null ? {} : validator.fields(regionSchema, raw, ['regions', name]);
  return { name, labels: fields === INVALID ? {} : (fields.labels ?? {}) };
}

/** Built-in tiers and the file's own; a built-in one may be overridden in part. */
export function readTiers(raw: Record<string, unknown>, validator: Validator): Map<string, Tier> {
  const tiers = new Map(Object.entries(BUILT_IN_TIERS).map(([name, tier]) => [name, { name, ...tier }]));
  for (const [name, value] of Object.entries(raw)) {
    const path = ['tiers', name];
    const fields = validator.fields(tierSchema, value, path);
    if (fields === INVALID) continue;
    const base = tiers.get(name);
    for (const key of ['rto', 'rpo'] as const) {
      if (base === undefined && fields[key] === undefined && !validator.isBroken([...path, key]))
        validator.missing([...path, key]);
    }
    tiers.set(name, {
      name,
      rtoMs: fields.rto ?? base?.rtoMs ?? Number.POSITIVE_INFINITY,
      rpoMs: fields.rpo ?? base?.rpoMs ?? 0,
      freezeBudgetMs: fields.freezeBudget ?? base?.freezeBudgetMs ?? FREEZE_BUDGET_MS,
      fenceProof: fields.fenceProof ?? base?.fenceProof ?? FENCE_PROOF,
      ...(fields.assertions === undefined ? {} : { assertions: assertionsOf(fields.assertions) }),
    });
  }
  return tiers;
}

/** The tier of a service, with the service's own objectives; `undefined` when there is no such tier. */
export function tierOf(draft: ServiceDraft, tiers: ReadonlyMap<string, Tier>): Tier | undefined {
  const tier = tiers.get(draft.tier);
  return tier === undefined ? undefined : { ...tier, ...draft.objectives };
}

function assertionsOf(given: z.output<typeof assertionsSchema>): Assertion[] {
  return given.map(({ name, expr, severity = 'fail', actions = [...ASSERTED_ACTIONS] }) => ({
    ...{ name, expr, severity, actions },
  }));
}

export function readService(
  name: string,
  raw: unknown,
  defaults: Defaults,
  tiers: ReadonlyMap<string, Tier>,
  validator: Validator,
): ServiceDraft | undefined {
  const path = ['services', name];
  const fields = validator.fields(serviceSchema, raw, path);
  if (fields === INVALID) return undefined;
  const tier = fields.tier ?? defaults.tier ?? DEFAULT_TIER;
  const owner = fields.owner ?? defaults.owner;
  if (owner === undefined && !validator.isBroken([...path, 'owner']) && !validator.isBroken(['defaults', 'owner'])) {
    validator.missing([...path, 'owner'], 'is required: the team that owns the service');
  }
  const checks = fields.checks ?? [];
  const lag = { ...defaults.cutoverLag, ...fields.cutoverLag };
  const { rto, rpo, freezeBudget } = fields.objectives ?? {};
  return {
    name,
    tier,
    owner,
    home: fields.home,
    standby: fields.standby ?? [],
    dependsOn: fields.dependsOn ?? [],
    components: fields.components ?? [],
    checks,
    ramp: mergeRamp(checks, defaults.ramp, fields.ramp),
    approvals: mergeApprovals(defaults.approvals, fields.approvals),
    group: fields.group,
    writes: fields.writes ?? defaults.writes ?? 'global',
    cutoverLag: { ms: lag.time ?? DEFAULT_CUTOVER_LAG.ms, bytes: lag.bytes ?? DEFAULT_CUTOVER_LAG.bytes },
    onFailure: { ...DEFAULT_ON_FAILURE, ...defaults.onFailure, ...fields.onFailure },
    returningPrimary: fields.returningPrimary ?? defaults.returningPrimary ?? RETURNING_PRIMARY,
    guard: mergeGuard(defaults.guard, fields.guard),
    objectives: {
      ...(rto === undefined ? {} : { rtoMs: rto }),
      ...(rpo === undefined ? {} : { rpoMs: rpo }),
      ...(freezeBudget === undefined ? {} : { freezeBudgetMs: freezeBudget }),
    },
    assertions: assertionsOf(fields.assertions ?? []),
    evidence: fields.evidence ?? {},
    steps: readSteps(fields.steps, [...path, 'steps'], freezeBudget ?? tiers.get(tier)?.freezeBudgetMs, validator),
  };
}

/** The draft as a service; only for drafts in which nothing is wrong. */
export function finishService(draft: ServiceDraft, whole: Tier): Service {
  const { tier: _name, owner, home, group, objectives: _own, assertions: own, evidence, ...rest } = draft;
  const { assertions: ofTier = [], ...tier } = whole;
  const assertions = [...ofTier.filter(({ name }) => own.every((one) => one.name !== name)), ...own];
  return {
    ...rest,
    tier,
    owner: owner!,
    home: home!,
    // What a file does not use leaves no trace in its digest, nor in the histories of its runs.
    ...(group === undefined ? {} : { group }),
    ...(assertions.length === 0 ? {} : { assertions }),
    ...(Object.keys(evidence).length === 0 ? {} : { evidence }),
  };
}

type RampInput = NonNullable<Defaults['ramp']>;

function mergeRamp(checks: string[], ...layers: Array<RampInput | undefined>): Ramp {
  const given: RampInput = Object.assign({}, ...layers);
  return {
    steps: given.steps ?? [...DEFAULT_RAMP.steps],
    bakeMs: given.bake ?? DEFAULT_RAMP.bakeMs,
    intervalMs: given.interval ?? DEFAULT_RAMP.intervalMs,
    analysis: given.analysis ?? [...checks],
    failureLimit: given.failureLimit ?? DEFAULT_RAMP.failureLimit,
    onFailure: given.onFailure ?? DEFAULT_RAMP.onFailure,
    unplanned: given.unplanned ?? DEFAULT_RAMP.unplanned,
  };
}

function mergeGuard(...layers: Array<Defaults['guard']>): GuardPolicy {
  const given: NonNullable<Defaults['guard']> = Object.assign({}, ...layers);
  return {
    enabled: given.enabled ?? DEFAULT_GUARD.enabled,
    intervalMs: given.interval ?? DEFAULT_GUARD.intervalMs,
    proofAgeMs: given.proofAge ?? DEFAULT_GUARD.proofAgeMs,
  };
}

type ApprovalsInput = z.output<typeof approvalsSchema>;

function mergeApprovals(...layers: Array<ApprovalsInput | undefined>): Record<GateName, ApprovalPolicy> {
  const merge = (gate: GateName): ApprovalPolicy => {
    const { timeout, escalateAfter, ...given } = Object.assign(
      {},
      ...layers.map((layer) => layer?.[gate]),
    ) as NonNullable<ApprovalsInput['cutover']>;
    const base = DEFAULT_APPROVALS[gate];
    return {
      required: given.required ?? base.required,
      approvers: given.approvers ?? [],
      fourEyes: given.fourEyes ?? base.fourEyes,
      timeoutMs: timeout ?? base.timeoutMs,
      onTimeout: given.onTimeout ?? base.onTimeout,
      ...(escalateAfter === undefined ? {} : { escalateAfterMs: escalateAfter }),
      escalateTo: given.escalateTo ?? [],
    };
  };
  return Object.fromEntries(GATES.map((gate) => [gate, merge(gate)])) as Record<GateName, ApprovalPolicy>;
}

/** Secret references outside components: only in the places of own steps that know how to resolve them. */
export function checkReferencesToSecrets(sections: Readonly<Record<string, unknown>>, validator: Validator): void {
  const allowed = STEP_SECRETS.map((field) => field.split('.'));
  const walk = (value: unknown, path: Array<string | number>): void => {
    if (typeof value === 'string') {
      if (!mentionsSecret(value)) return;
      const inStep = path[0] === 'services' && path[2] === 'steps' ? path.slice(path[4] === 'undo' ? 5 : 4) : [];
      const secret = allowed.some(
        (field) => field.length === inStep.length && field.every((part, i) => part === '*' || part === inStep[i]),
      );
      const problem = secret
        ? secretProblem(value)
        : {
            code: 'secret_misplaced',
            message:
              'a secret reference is resolved only in secret fields of components and in url, headers and env of own steps',
          };
      if (problem !== undefined) validator.report(path, problem.code, problem.message, { secret });
    } else if (Array.isArray(value)) {
      for (const [i, entry] of value.entries()) walk(entry, [...path, i]);
    } else if (isObject(value)) {
      for (const [key, entry] of Object.entries(value)) walk(entry, [...path, key]);
    }
  };
  walk(sections, []);
}
