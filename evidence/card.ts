/** What people are told of a run, in one message. Types only; no secrets: it is made of the run's own record. */
import type { Millis } from '../drivers/ports.ts';
import type { Mode } from '../plan/model.ts';
import type { EventName, Severity } from '../topology/channels.ts';
import type { ChecklistItem, Outcome } from './record.ts';

/** Something that happened. */
export interface NewsEvent {
  /** Counts within the workflow; with the run it names the event for ever. */
  number: number;
  name: EventName;
  severity: Severity;
  at: Millis;
  /** What happened, in a sentence. */
  text: string;
}

/** The gate that is open, as people are shown it. */
export interface CardGate {
  id: string;
  title: string;
  reason: string;
  openedAt: Millis;
  expiresAt: Millis;
  onTimeout: string;
  /** Distinct people needed, and who has approved. */
  required: number;
  approvedBy: string[];
  /** Empty: anybody who names themselves. */
  approvers: string[];
  /** Override codes an approval must carry. */
  needsOverride: string[];
  state: string;
  loss: string;
  /** Lag by store, blockers and warnings, a line each. */
  facts: string[];
}

/** How a run stands at the moment of telling. */
export interface RunCard {
  workflowId: string;
  runId: string;
  service: string;
  owner: string;
  action: string;
  mode: Mode;
  from: string | null;
  to: string | null;
  by: string | null;
  reason: string | null;
  /** Whether it is a leg of a drill. */
  drill: boolean;
  phase: string;
  startedAt: Millis;
  trafficPercent: number | null;
  gate: CardGate | null;
  holding: { reason: string; choices: string[] } | null;
  pausedBy: string | null;
  outcome: Outcome | null;
  /** The outcome in a sentence; empty before. */
  text: string;
  checklist: ChecklistItem[];
  /** The run in Temporal's Web UI; `null` when no base is configured. */
  link: string | null;
}
