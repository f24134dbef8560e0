/** A record as renderers want it. */
import type { RunRecord } from './record.ts';

/**
 * Makes a record whole: one that an older build wrote, or that was read while its run was being planned, may lack
 * fields. What is missing becomes empty or `null`, never a guess.
 */
export function complete(record: Partial<RunRecord>): RunRecord {
  const r = record as Partial<RunRecord>;
  return {
    version: 1,
    workflowId: r.workflowId ?? '',
    runId: r.runId ?? '',
    service: r.service ?? '',
    owner: r.owner ?? '',
    tier: r.tier ?? '',
    action: r.action ?? '',
    mode: r.mode ?? 'planned',
    from: r.from ?? null,
    to: r.to ?? null,
    request: r.request ?? { action: 'failover', service: r.service ?? '' },
    startedAt: r.startedAt ?? Number.NaN,
    endedAt: r.endedAt ?? null,
    outcome: r.outcome ?? null,
    text: r.text ?? '',
    plans: r.plans ?? [],
    decisions: r.decisions ?? [],
    messages: r.messages ?? [],
    steps: r.steps ?? [],
    undos: r.undos ?? [],
    ramp: r.ramp ?? [],
    freeze: r.freeze ?? { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false },
    pointOfNoReturn: r.pointOfNoReturn ?? { stepId: null, crossedAt: null, revokedAt: null },
    loss: r.loss ?? null,
    waitedForPeopleMs: r.waitedForPeopleMs ?? 0,
    dataReadyAt: r.dataReadyAt ?? null,
    trafficCompleteAt: r.trafficCompleteAt ?? null,
    objectives: r.objectives ?? [],
    findings: r.findings ?? [],
    debt: r.debt ?? [],
    log: r.log ?? [],
    targets: r.targets ?? null,
    impactStartAt: r.impactStartAt ?? null,
    detectedAt: r.detectedAt ?? null,
    impactStartBasis: r.impactStartBasis ?? null,
    waits: r.waits ?? [],
    asserted: r.asserted ?? [],
    ...(r.assertions === undefined ? {} : { assertions: r.assertions }),
    shown: r.shown ?? [],
    dwell: r.dwell ?? null,
    failback: r.failback ?? null,
    lagSamples: r.lagSamples ?? [],
    context: r.context ?? null,
    notifications: r.notifications ?? [],
    checklist: r.checklist ?? [],
  };
}
