/** A full drill: the writable side and all traffic there, a time on the other side, and back. */
import type { DrillRecord } from '../../evidence/record.ts';
import type { Run } from '../run/state.ts';
import { coverOf, judge, leg, runLeg, stay, wasAborted, wasEscalated } from './legs.ts';
import { close } from './record.ts';
import type { DrillRequest } from './request.ts';

export async function playFull(request: DrillRequest, record: DrillRecord): Promise<void> {
  const there = leg(request, record, 'failover', request.to, null);
  if (request.approvals === 'auto') there.covered = 'a drill whose policy asks nobody';
  const why = await runLeg(there, true);
  record.from = there.record.from;
  if (why !== null) return close(record, 'refused', why);
  if (wasEscalated(there))
    return close(
      record,
      'escalated',
      `${there.record.text} It was made the real thing on its way there: nothing goes back by itself.`,
    );
  const { outcome } = there.record;
  if (outcome === 'withdrawn') return close(record, 'withdrawn', there.record.text);
  if (outcome === 'nothingToDo') return close(record, 'refused', `${there.record.text} There is nothing to rehearse.`);
  const stopped = outcome !== 'completed';
  if (stopped && !there.pastPointOfNoReturn) return close(record, 'failed', `the way there: ${there.record.text}`);
  if (stopped && !wasAborted(there))
    return close(record, 'failed', `the way there needs people, and nothing goes back by itself: ${there.record.text}`);

  const from = there.record.from!;
  const goBack = (after: Run): Run =>
    leg(request, record, from === there.resolved!.service.home ? 'failback' : 'failover', from, after);
  let back: Run;
  if (stopped) {
    record.reasons.push(`the way there was stopped: ${there.record.text}`);
    const repair = leg(request, record, 'reprotect', request.to, there);
    if (!(await repaired(repair)))
      return close(record, 'failed', 'the old side could not be made to follow again: going back would lose writes');
    back = goBack(repair);
  } else {
    // Made before the time on the other side, because it takes people's words meanwhile.
    back = goBack(there);
    back.resolved = there.resolved;
    const { record: time, word, trouble } = await stay(back, there, request, from);
    record.dwell = time;
    if (word?.kind === 'escalate') {
      // It took words, and never ran.
      record.legs.pop();
      return close(
        record,
        'escalated',
        `escalate by ${word.by} on the other side: ${word.reason}. ${request.to} is active and stays so.`,
      );
    }
    if (word !== null) record.reasons.push(`${word.kind} by ${word.by} on the other side: ${word.reason}`);
    if (trouble !== null) record.reasons.push(trouble);
  }
  back.covered = coverOf(there) ?? there.covered;
  const refused = await runLeg(back);
  if (refused !== null) return close(record, 'failed', `it cannot go back: ${refused} ${request.to} stays active.`);
  if (wasEscalated(back))
    return close(record, 'escalated', `${back.record.text} It was made the real thing on its way back.`);
  if (back.record.outcome !== 'completed') return close(record, 'failed', `the way back: ${back.record.text}`);
  await judge(request, record, `${record.service} went to ${request.to}, stayed there and is back in ${from}.`);
}

/** After a way there that was stopped past its point of no return: the old side follows the new one again. */
async function repaired(repair: Run): Promise<boolean> {
  if ((await runLeg(repair)) !== null) return false;
  return repair.record.outcome === 'completed' || repair.record.outcome === 'nothingToDo';
}
