/** A drill of the traffic alone: part of it there, a time, and back. The data stays where it is. */
import { workflowInfo } from '@temporalio/workflow';
import type { Resolved } from '../../activities/contract.ts';
import type { DrillRecord } from '../../evidence/record.ts';
import type { Plan } from '../../plan/model.ts';
import { causeOf } from '../run/errors.ts';
import { preparePlan, resolve } from '../run/prepare.ts';
import type { Run } from '../run/state.ts';
import { coverOf, judge, leg, runLeg, stay, wasEscalated } from './legs.ts';
import { close } from './record.ts';
import type { DrillRequest } from './request.ts';

export async function playRampOnly(request: DrillRequest, record: DrillRecord): Promise<void> {
  const { to, percent } = request;
  const there = leg(request, record, 'trafficRamp', to, null, { percent, ramp: [percent] });
  if (request.approvals === 'auto') there.covered = 'a drill whose policy asks nobody';
  const already = await trafficAt(request);
  const why = already ?? (await runLeg(there, true));
  record.from = there.record.from;
  if (already !== null) {
    there.close('refused', already);
    return close(record, 'refused', already);
  }
  if (why !== null) return close(record, 'refused', why);
  if (wasEscalated(there))
    return close(record, 'escalated', `${there.record.text} It was made the real thing on its way there.`);
  const { outcome } = there.record;
  if (outcome === 'withdrawn') return close(record, 'withdrawn', there.record.text);
  if (outcome === 'nothingToDo') return close(record, 'refused', `${there.record.text} There is nothing to rehearse.`);
  if (outcome !== 'completed') return close(record, 'failed', `the way there: ${there.record.text}`);

  const from = there.record.from!;
  // Made before the time on the other side, because it takes people's words meanwhile.
  const back = leg(request, record, 'trafficRamp', from, there, { from: to, percent: 100, ramp: [100] });
  back.resolved = there.resolved;
  const { record: time, word, trouble } = await stay(back, there, request, to);
  record.dwell = time;
  if (word?.kind === 'escalate') {
    record.legs.pop();
    return close(record, 'escalated', escalatedText(request, from, word));
  }
  if (word !== null) record.reasons.push(`${word.kind} by ${word.by} on the other side: ${word.reason}`);
  if (trouble !== null) record.reasons.push(trouble);
  back.covered = coverOf(there) ?? there.covered;
  const refused = await runLeg(back);
  if (refused !== null)
    return close(record, 'failed', `the traffic cannot go back: ${refused} ${percent} % of it stays in ${to}.`);
  if (wasEscalated(back))
    return close(record, 'escalated', `${back.record.text} It was made the real thing on its way back.`);
  if (back.record.outcome !== 'completed') return close(record, 'failed', `the way back: ${back.record.text}`);
  await judge(
    request,
    record,
    `${percent} % of the traffic of ${record.service} went to ${to} and is back in ${from}.`,
  );
}

const escalatedText = (
  { service, to, percent }: DrillRequest,
  from: string,
  word: NonNullable<Run['interrupt']>,
): string =>
  `escalate by ${word.by} on the other side: ${word.reason}. ${percent} % of the traffic stays in ${to}, the data in ${from}; to move all of it: rampart start failover --service ${service} --to ${to} --mode unplanned`;

/**
 * The way back empties `to`: where it has traffic before the drill, that would not be as it was.
 * @returns why the drill cannot be, in a sentence; `null` when it can, or when the leg itself will say what is wrong
 */
async function trafficAt({ service, to, by }: DrillRequest): Promise<string | null> {
  let resolved: Resolved;
  let plan: Plan;
  const { workflowId, firstExecutionRunId: runId } = workflowInfo();
  try {
    resolved = await resolve({ input: { action: 'trafficRamp', service, to }, workflowType: 'plan', workflowId });
    plan = await preparePlan(resolved, { workflowId, runId, service, by }).then((prepared) => prepared.plan);
  } catch (error) {
    return causeOf(error).message;
  }
  const edges = Object.values(resolved.components).filter(
    ({ role, capabilities }) => role === 'router' && capabilities.kind !== 'endpoint',
  );
  for (const { name, capabilities } of edges) {
    const weights = plan.facts.weights[name] ?? null;
    if (capabilities.kind === 'onOff') return `${name} sends all of its traffic to one region: no part of it can move`;
    if (weights === null) return `where ${name} sends its traffic is not known`;
    if ((weights[to] ?? 0) > 0)
      return `${to} has ${weights[to]} % of ${name} already: a drill of part of the traffic begins with none of it there`;
  }
  return null;
}
