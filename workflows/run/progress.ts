/** What people see of a run: status query, current details in the Web UI, search attributes for lists. */
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { type RunStatus, SEARCH_ATTRIBUTES } from '../contract.ts';
import { viewGate } from './gate.ts';
import { lossText } from './loss-text.ts';
import type { Run } from './state.ts';

export function statusOf(run: Run): RunStatus {
  const r = run.record;
  return {
    workflowId: r.workflowId,
    runId: r.runId,
    service: r.service,
    action: r.action,
    mode: r.mode,
    from: r.from,
    to: r.to,
    phase: run.phase,
    planDigest: run.plan?.digest ?? null,
    startedAt: r.startedAt,
    now: Date.now(),
    gate: run.gate === null ? null : viewGate(run.gate),
    holding:
      run.holding === null
        ? null
        : { reason: run.holding.reason, since: run.holding.since, choices: run.holding.choices },
    paused: run.paused,
    stages: (run.plan?.stages ?? []).map((s) => ({
      name: s.name,
      state: run.doneStages.has(s)
        ? 'done'
        : run.stage === s && !run.closed
          ? run.holding !== null
            ? 'failed'
            : 'running'
          : 'pending',
    })),
    steps: r.steps.map(({ id, stage, summary, state, startedAt, endedAt, result, error }) => ({
      id,
      stage,
      summary,
      state,
      startedAt,
      endedAt,
      result,
      error,
    })),
    weights: run.weights,
    trafficPercent: run.trafficPercent,
    lag: run.facts?.lag ?? {},
    loss: run.loss ?? run.facts?.loss ?? null,
    freeze: r.freeze,
    pointOfNoReturn: r.pointOfNoReturn,
    debt: r.debt,
    ...(r.checklist === undefined ? {} : { checklist: r.checklist }),
    outcome: r.outcome,
    text: r.text,
    log: r.log.slice(-30),
  };
}

/** Refreshes current details and, where something in them changed, the registered search attributes. */
export function showProgress(run: Run): void {
  setCurrentDetails(detailsOf(run));
  const registered = new Set(run.resolved?.searchAttributes ?? []);
  const wanted: Record<string, unknown> = {
    RampartService: run.record.service,
    RampartPhase: run.gate !== null ? `waiting:${run.gate.gate.name}` : run.phase,
    RampartAction: run.record.action,
    RampartMode: run.record.mode,
    RampartFrom: run.record.from ?? undefined,
    RampartTo: run.record.to ?? undefined,
    RampartTrafficPercent: run.trafficPercent ?? undefined,
    RampartAwaiting: awaiting(run),
  };
  const changed = Object.entries(wanted).filter(
    ([key, value]) => registered.has(key) && value !== undefined && JSON.stringify(value) !== run.shown[key],
  );
  if (changed.length === 0) return;
  for (const [key, value] of changed) run.shown[key] = JSON.stringify(value);
  upsertSearchAttributes(
    changed.map(
      ([key, value]) =>
        ({
          key: defineSearchAttributeKey(key, SEARCH_ATTRIBUTES[key as keyof typeof SEARCH_ATTRIBUTES]),
          value,
        }) as SearchAttributePair,
    ),
  );
}

function awaiting(run: Run): string[] {
  if (run.gate !== null)
    return run.gate.gate.policy.approvers.length > 0 ? run.gate.gate.policy.approvers : ['anybody'];
  return run.holding !== null || run.paused !== null ? ['operator'] : [];
}

/** Markdown for the Web UI: CommonMark and tables only. */
function detailsOf(run: Run): string {
  const r = run.record;
  const lines = [
    `**${r.service}** ${r.from ?? '?'} → ${r.to ?? '?'} · *${r.action}, ${r.mode}* · **${r.outcome ?? run.phase}**`,
    '',
  ];
  if (run.gate !== null) {
    const g = run.gate;
    lines.push(
      `**Waiting for a decision on gate \`${g.id}\`** until ${new Date(g.expiresAt).toISOString()}${g.reason ? `: ${g.reason}` : ''}`,
      '',
      `- state: ${g.facts.classified.text}`,
      `- loss: ${lossText(g.loss)}`,
      ...Object.entries(g.facts.lag).map(
        ([store, lag]) =>
          `- lag of ${store}: ${lag === null || !lag.fresh ? 'no fresh reading' : `${lag.bytes ?? '?'} bytes, ${lag.seconds ?? '?'} s, measured ${new Date(lag.measuredAt).toISOString()}`}`,
      ),
      ...g.facts.blockers.map((b) => `- **blocker** ${b.message}`),
      ...g.facts.warnings.map((w) => `- warning: ${w.message}`),
      '',
      `Send the update \`decide\` with \`{"gate":"${g.id}","decision":"approve","by":"<you>"${g.needsOverride.length > 0 ? `,"override":${JSON.stringify(g.needsOverride)}` : ''}}\` or \`"reject"\`.`,
      '',
    );
  }
  if (run.holding !== null)
    lines.push(
      `**Holding:** ${run.holding.reason}`,
      '',
      `Send one of: ${run.holding.choices.map((c) => `\`${c}\``).join(', ')}.`,
      '',
    );
  if (run.paused !== null) lines.push(`**Paused** by ${run.paused.by}; send \`resume\`.`, '');
  if (r.text) lines.push(r.text, '');
  if (r.steps.length > 0) {
    lines.push('| step | state | result |', '| --- | --- | --- |');
    for (const s of r.steps)
      lines.push(
        `| ${s.id} | ${s.state} | ${(s.error?.message ?? s.result ?? '').replaceAll('|', '\\|').replaceAll('\n', ' ')} |`,
      );
    lines.push('');
  }
  for (const [i, { text, done }] of (r.checklist ?? []).entries())
    lines.push(`- ${done === null ? `to be said (\`note\` with \`"done":${i + 1}\`)` : `said by ${done.by}`}: ${text}`);
  for (const d of r.debt) lines.push(`- protection debt: ${d.message} → ${d.remedy}`);
  if (r.pointOfNoReturn.crossedAt !== null && r.pointOfNoReturn.revokedAt === null)
    lines.push('', 'The point of no return is crossed: back means a failback.');
  if (!run.closed)
    lines.push(
      '',
      'To stop: send `abort`, or cancel this workflow. Do **not** terminate or reset it: that skips every undo.',
    );
  return lines.join('\n');
}
