/**
 * Gates and decisions (I10). A decision counts once, for one asking of one gate, before its expiry, for the facts it
 * saw. Pure: the clock is passed in, waiting is in engine code.
 */

import type { LossStatement, Millis } from '../../drivers/ports.ts';
import type { Decision } from '../../evidence/record.ts';
import type { Facts, Gate, Mode } from '../../plan/model.ts';
import type { DecideInput, GateView } from '../contract.ts';

export interface OpenGate {
  id: string;
  gate: Gate;
  asking: number;
  openedAt: Millis;
  expiresAt: Millis;
  reason: string;
  facts: Facts;
  loss: LossStatement;
  needsOverride: string[];
  mode: Mode;
  rpoMs: number;
  requester: string | null;
  approvals: Decision[];
  state: 'open' | 'approved' | 'rejected' | 'expired';
  /** Sentence for a rejection. */
  text: string;
}

/** The default answer to "how much loss do you accept": 0 in planned mode, else max(2 × estimate, RPO). */
export function acceptedLoss(
  gate: Pick<OpenGate, 'mode' | 'loss' | 'rpoMs'>,
  wished: DecideInput['maxLoss'],
): Decision['maxLoss'] {
  if (gate.mode === 'planned') return { seconds: 0, bytes: 0 };
  const seconds =
    wished?.seconds ?? (gate.loss.seconds === null ? null : Math.max(2 * gate.loss.seconds, gate.rpoMs / 1000));
  return { seconds, bytes: wished?.bytes ?? null };
}

/** Its end is open, or its length is not known. */
export function isUnknown(loss: LossStatement): boolean {
  return loss.kind !== 'none' && (loss.kind === 'unknown' || loss.seconds === null || loss.toTime === null);
}

/** Whether `loss` is more than what was accepted. An unknown or open window always asks. */
export function exceeds(loss: LossStatement, accepted: Decision['maxLoss']): boolean {
  if (loss.kind === 'none') return false;
  if (isUnknown(loss) || loss.seconds === null) return true;
  if (accepted.seconds !== null && loss.seconds > accepted.seconds) return true;
  const bytes = loss.atMostBytes ?? loss.atLeastBytes;
  return accepted.bytes !== null && bytes !== null && bytes > accepted.bytes;
}

function mayDecide(gate: OpenGate, by: string, now: Millis): string | null {
  const p = gate.gate.policy;
  if (p.approvers.length === 0) return null;
  if (p.approvers.includes(by)) return null;
  const second = p.escalateAfterMs !== undefined && now - gate.openedAt >= p.escalateAfterMs ? p.escalateTo : [];
  if (second.includes(by)) return null;
  return `${by} is not among the approvers of gate ${gate.gate.name}: ${[...p.approvers, ...second].join(', ')}`;
}

/** How many distinct people must approve. An unknown requester with four eyes means two distinct approvers. */
export function approvalsNeeded(gate: Pick<OpenGate, 'gate' | 'requester'>): number {
  const p = gate.gate.policy;
  const needed = Math.max(p.required, 1);
  return p.fourEyes && !gate.requester ? Math.max(needed, 2) : needed;
}

/**
 * Why this decision cannot count now, in a sentence that says what would; `null` when it can.
 * @param open the gate that is open, if any
 */
export function refuseDecision(open: OpenGate | null, input: DecideInput, now: Millis): string | null {
  if (open === null || open.state !== 'open')
    return input.gate === undefined
      ? 'nothing is waiting for a decision now'
      : `gate ${input.gate} is not open; nothing is waiting for a decision now`;
  if (now >= open.expiresAt) return `gate ${open.id} expired at ${new Date(open.expiresAt).toISOString()}`;
  if (input.gate === undefined) {
    if (open.asking > 1)
      return `this gate was asked again because the facts changed; read them and name the gate: {"gate":"${open.id}"}`;
  } else if (input.gate !== open.id && !(input.gate === open.gate.name && open.asking === 1)) {
    return `the open gate is ${open.id}, not ${input.gate}`;
  }
  const denied = mayDecide(open, input.by, now);
  if (denied !== null) return denied;
  if (input.decision === 'reject') return null;
  if (open.gate.policy.fourEyes && open.requester === input.by)
    return `${input.by} asked for this run; with four eyes somebody else must approve it`;
  if (open.approvals.some((d) => d.by === input.by)) return `${input.by} has already approved gate ${open.id}`;
  const missing = open.needsOverride.filter((code) => !(input.override ?? []).includes(code));
  if (missing.length > 0)
    return `approving this needs the override ${missing.map((m) => `"${m}"`).join(', ')}: add {"override":${JSON.stringify(open.needsOverride)}} if you accept that`;
  return null;
}

/** Applies a decision that `refuseDecision` let through. */
export function applyDecision(open: OpenGate, input: DecideInput, now: Millis, messageId: string | null): Decision {
  const decision: Decision = {
    gate: open.id,
    decision: input.decision,
    by: input.by,
    comment: input.comment ?? '',
    at: now,
    factsDigest: open.facts.digest,
    maxLoss: acceptedLoss(open, input.maxLoss),
    override: input.override ?? [],
    messageId,
  };
  if (input.decision === 'reject') {
    open.state = 'rejected';
    open.text = `gate ${open.id} was rejected by ${input.by}${input.comment ? `: ${input.comment}` : ''}`;
  } else {
    open.approvals.push(decision);
    if (open.approvals.length >= approvalsNeeded(open)) open.state = 'approved';
  }
  return decision;
}

export function viewGate(open: OpenGate): GateView {
  const p = open.gate.policy;
  return {
    id: open.id,
    name: open.gate.name,
    title: open.gate.title,
    openedAt: open.openedAt,
    expiresAt: open.expiresAt,
    onTimeout: p.onTimeout,
    required: approvalsNeeded(open),
    approvedBy: open.approvals.map((d) => d.by),
    approvers: p.approvers,
    fourEyes: p.fourEyes,
    reason: open.reason,
    facts: open.facts,
    loss: open.loss,
    needsOverride: open.needsOverride,
  };
}
