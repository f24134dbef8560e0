/** Which size a service gets. Pure. */
import { RampartError } from '../../errors.ts';
import type { Json } from '../../ports.ts';
import type { Reading, Size } from './backend.ts';
import { type Marked, readBefore, readMark } from './tags.ts';
import type { Wanted } from './wanted.ts';

/** What a service shall become. */
export interface Goal {
  size: Size;
  mark: Marked;
  /** The size to remember as the one before Rampart; `null` = there is nothing to remember. */
  before: Size | null;
  /** What is not as asked for, for people; empty when it is. */
  kept: string;
}

export function stateOf({ size, left, tags }: Reading, quiesce: 'keep' | 'stop'): Marked {
  const mark = readMark(tags);
  const empty = size.desired === 0 && left === 0;
  if (mark === 'standby' && (empty || quiesce === 'keep')) return 'standby';
  return empty ? 'drained' : 'active';
}

/**
 * The floor and the number of units raised to `wanted`, never lowered.
 * @param patient false: as near as the upper bound allows, instead of a refusal
 */
export function scaled(reading: Reading, { units, unread }: Wanted, patient: boolean, where: string): Goal {
  const { size, tags } = reading;
  const before = readBefore(tags, size) ?? size;
  const { max } = before;
  let target = Math.max(units, size.desired, before.desired);
  let kept = unread.length === 0 ? '' : `The size of ${unread.join(', ')} is not known: more may be needed`;
  if (max !== null && target > max) {
    const message = `${where} needs ${target} and its upper bound is ${max}`;
    const remedy = 'Raise the upper bound, after a look at the quotas of the account, and go on.';
    if (patient) throw new RampartError('PreconditionFailed', message, { remedy });
    kept = [`${message}: ${max} were asked for`, kept].filter(Boolean).join('. ');
    target = max;
  }
  const min = before.min === null ? null : Math.max(before.min, target);
  const to = { min, max, desired: target };
  const remember = to.min !== before.min || to.max !== before.max ? before : null;
  return { size: to, mark: 'active', before: remember, kept };
}

/** Standby that keeps running: the bounds of before, at least the floor, and nothing taken away. */
export function keptRunning({ size, tags }: Reading, floor: number): Goal {
  const { min, max, desired } = readBefore(tags, size) ?? size;
  const target = Math.max(size.desired, floor);
  const remember = size.desired < desired && target < desired ? { min, max, desired } : null;
  return {
    // A lower bound above what is kept would be refused, or start units again.
    size: {
      min: min === null ? null : Math.min(min, target),
      max: max === null ? null : Math.max(max, target),
      desired: target,
    },
    mark: 'standby',
    before: remember,
    kept: '',
  };
}

/** Nothing runs, and no autoscaling brings it back. */
export function emptied({ size, tags }: Reading, mark: 'standby' | 'drained'): Goal {
  const before = readBefore(tags, size) ?? size;
  const bound = size.min === null ? null : 0;
  return {
    size: { min: bound, max: bound, desired: 0 },
    mark,
    before: size.desired === 0 && before === size && bound === null ? null : before,
    kept: '',
  };
}

export interface Saved {
  size: Size;
  state: Marked;
  before: Size | null;
}

/** @throws InvalidInput when `save` did not write it */
export function readSaved(saved: Record<string, Json>, where: string): Saved {
  const state = saved.state;
  const size = readSize(saved.size);
  if (size === null || (state !== 'active' && state !== 'standby' && state !== 'drained')) {
    const remedy = 'Put it to the right size by hand.';
    throw new RampartError('InvalidInput', `${where}: nothing was saved that could be put back`, { remedy });
  }
  return { size, state, before: readSize(saved.before) };
}

function readSize(value: Json | undefined): Size | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { min = null, max = null, desired } = value;
  const bound = (one: Json): one is number | null => one === null || typeof one === 'number';
  return bound(min) && bound(max) && typeof desired === 'number' ? { min, max, desired } : null;
}

/**
 * What was saved. A smaller size than now only as far as the units' load allows.
 * @param cpu average of the present units, in percent; `null` = not known, and then nothing is taken away
 * @param limit percent that they may use
 */
export function restored(reading: Reading, saved: Saved, cpu: number | null, limit: number): Goal {
  const { size, present } = reading;
  const goal: Goal = { size: saved.size, mark: saved.state, before: saved.before, kept: '' };
  if (saved.state === 'drained' || saved.size.desired >= size.desired || present === 0) return goal;
  const needed = cpu === null ? size.desired : Math.min(size.desired, Math.ceil((present * cpu) / limit));
  if (needed <= saved.size.desired) return goal;
  const load = cpu === null ? 'nothing is known of their load' : `they use ${Math.round(cpu)} % of their CPU`;
  const max = saved.size.max === null ? null : Math.max(saved.size.max, needed);
  return {
    ...goal,
    size: { ...saved.size, max, desired: needed },
    kept: `${needed} stay instead of ${saved.size.desired}: ${load}`,
  };
}

export function sameSize(a: Size, b: Size): boolean {
  return a.min === b.min && a.max === b.max && a.desired === b.desired;
}
