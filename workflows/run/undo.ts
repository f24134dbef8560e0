/**
 * The undo stack (I7, I8): an undo is registered before its step is tried, with the values it needs already in
 * history, and runs in reverse order. The point of no return discards what it holds; a proven revocation restores it.
 */

import type { Json } from '../../drivers/ports.ts';
import type { UndoRecord } from '../../evidence/record.ts';
import type { StageName, Step, Undo } from '../../plan/model.ts';

export interface UndoEntry {
  step: Step;
  stage: StageName;
  undo: Undo;
  /** Receipts the undo needs, read from history at registration. */
  given: Record<string, Json>;
  /** Number of the plan that registered it, 1 = first. */
  plan: number;
  record: UndoRecord;
  /** Taken over from a lost run, and not begun by this one yet. */
  adopted: boolean;
}

export class UndoStack {
  private entries: UndoEntry[] = [];
  private discarded: UndoEntry[] = [];

  /**
   * Registers once per step: a step tried again keeps the values saved before its first try.
   * @param adopted the step is not begun, only taken over from a lost run
   */
  register(
    step: Step,
    stage: StageName,
    undo: Undo,
    given: Record<string, Json>,
    plan: number,
    adopted = false,
  ): UndoRecord | null {
    if (this.has(step.id)) {
      if (!adopted) this.begin(step.id);
      return null;
    }
    const record: UndoRecord = {
      stepId: step.id,
      summary: undo.summary,
      state: 'registered',
      startedAt: null,
      endedAt: null,
      note: '',
    };
    this.insert({ step, stage, undo, given, plan, record, adopted });
    return record;
  }

  /** What was taken over takes its place in the order when this run begins it. */
  private begin(stepId: string): void {
    const entry = this.entries.find((e) => e.step.id === stepId && e.adopted);
    if (entry === undefined) return;
    this.entries = this.entries.filter((e) => e !== entry);
    entry.adopted = false;
    this.insert(entry);
  }

  /** A lost run came further than this one has yet: what it did beyond that is undone first, a fence above all. */
  private insert(entry: UndoEntry): void {
    const beyond = entry.adopted ? -1 : this.entries.findIndex((e) => e.adopted);
    this.entries.splice(beyond < 0 ? this.entries.length : beyond, 0, entry);
  }

  has(stepId: string): boolean {
    return this.entries.some((e) => e.step.id === stepId);
  }

  /** Newest first. */
  pending(): UndoEntry[] {
    return [...this.entries].reverse();
  }

  get empty(): boolean {
    return this.entries.length === 0;
  }

  settled(entry: UndoEntry): void {
    this.entries = this.entries.filter((e) => e !== entry);
  }

  /** Crossing the point of no return: nothing that was done before may be undone any more. */
  discard(): void {
    for (const e of this.entries) e.record.state = 'discarded';
    this.discarded = [...this.discarded, ...this.entries];
    this.entries = [];
  }

  /** The crossing was revoked by proof: the discarded undos are valid again. */
  restore(): void {
    for (const e of this.discarded) e.record.state = 'registered';
    this.entries = [...this.discarded, ...this.entries];
    this.discarded = [];
  }

  /** Settings of routers that a plan before the present one changed: whose undo the crossing discarded, and others. */
  settingsLeft(plan: number): { discarded: UndoEntry[]; pending: UndoEntry[] } {
    const left = (e: UndoEntry): boolean => e.undo.verb === 'restoreRouter' && e.plan < plan;
    return { discarded: this.discarded.filter(left), pending: this.entries.filter(left) };
  }

  /** A step that never began leaves nothing to undo. */
  withdraw(stepId: string): void {
    for (const e of this.entries) if (e.step.id === stepId) e.record.state = 'discarded';
    this.entries = this.entries.filter((e) => e.step.id !== stepId);
  }
}
