/**
 * Reads what people send, tolerantly and totally: any JSON value gives either a typed message or one sentence that
 * says what is wrong and shows a right example. Never throws: a malformed signal must not wedge a run.
 */
import type { ByInput, DecideInput, EscalateInput, NoteInput, StepInput } from '../contract.ts';

export type Parsed<T> = { ok: true; value: T } | { ok: false; error: string };

export const EXAMPLES = {
  decide: '{"gate":"cutover.1","decision":"approve","by":"you@example.com","comment":"looks good"}',
  approve: '{"by":"you@example.com","comment":"looks good"}',
  reject: '{"by":"you@example.com","comment":"not now"}',
  pause: '{"by":"you@example.com","reason":"checking a graph"}',
  resume: '{"by":"you@example.com"}',
  skip: '{"by":"you@example.com","step":"drain:app@eu-west","reason":"its host is gone"}',
  retry: '{"by":"you@example.com"}',
  abort: '{"by":"you@example.com","reason":"wrong service"}',
  escalate: '{"by":"you@example.com","reason":"eu-west is on fire","to":"eu-central"}',
  withdraw: '{"by":"you@example.com","reason":"replaced by another request"}',
  note: '{"by":"you@example.com","reason":"the provider confirms an outage: INC-4711"}',
} as const;
export type MessageVerb = keyof typeof EXAMPLES;

const NAMES: Record<MessageVerb, readonly string[]> = {
  decide: ['gate', 'decision', 'by', 'comment', 'maxLoss', 'override'],
  approve: ['gate', 'by', 'comment', 'maxLoss', 'override'],
  reject: ['gate', 'by', 'comment'],
  pause: ['by', 'reason'],
  resume: ['by', 'reason'],
  skip: ['by', 'step', 'reason'],
  retry: ['by', 'step', 'reason'],
  abort: ['by', 'reason'],
  escalate: ['by', 'reason', 'to', 'override'],
  withdraw: ['by', 'reason'],
  note: ['by', 'reason', 'done'],
};

function bad(verb: MessageVerb, what: string): { ok: false; error: string } {
  return { ok: false, error: `${verb}: ${what}. Example: ${EXAMPLES[verb]}` };
}

/** The object people meant: also accepts it as a JSON text, or as the only element of a list. */
function asObject(input: unknown): Record<string, unknown> | null {
  let value = input;
  if (Array.isArray(value) && value.length === 1) value = value[0];
  if (typeof value === 'string') {
    try {
      value = JSON.parse(value);
    } catch {
      return null;
    }
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function text(o: Record<string, unknown>, key: string): string | undefined | null {
  const value = o[key];
  if (value === undefined || value === null || value === '') return undefined;
  return typeof value === 'string' ? value.trim() || undefined : null;
}

function fields(verb: MessageVerb, input: unknown): Parsed<Record<string, unknown>> {
  const o = asObject(input);
  if (o === null) return bad(verb, 'takes one JSON object');
  const unknown = Object.keys(o).filter((k) => !NAMES[verb].includes(k));
  if (unknown.length > 0)
    return bad(verb, `unknown field ${unknown.map((u) => `"${u}"`).join(', ')}; it takes ${NAMES[verb].join(', ')}`);
  const by = text(o, 'by');
  if (by === null || by === undefined) return bad(verb, '"by" must say who you are');
  for (const key of ['gate', 'comment', 'reason', 'step', 'to'])
    if (text(o, key) === null) return bad(verb, `"${key}" must be a text`);
  return { ok: true, value: o };
}

function common(o: Record<string, unknown>): ByInput {
  const reason = text(o, 'reason') ?? undefined;
  return { by: text(o, 'by')!, ...(reason === undefined ? {} : { reason }) };
}

export function parseBy(verb: MessageVerb, input: unknown): Parsed<ByInput> {
  const f = fields(verb, input);
  return f.ok ? { ok: true, value: common(f.value) } : f;
}

export function parseNote(input: unknown): Parsed<NoteInput> {
  const f = fields('note', input);
  if (!f.ok) return f;
  const { done } = f.value;
  const value: NoteInput = common(f.value);
  if (done === undefined || done === null) {
    if (value.reason === undefined) return bad('note', '"reason" must hold what is to be written down');
    return { ok: true, value };
  }
  if (!Number.isInteger(done) || (done as number) < 1)
    return bad('note', '"done" must be the number of an item of the checklist, such as 1');
  return { ok: true, value: { ...value, done: done as number } };
}

export function parseStep(verb: 'skip' | 'retry', input: unknown): Parsed<StepInput> {
  const f = fields(verb, input);
  if (!f.ok) return f;
  const value: StepInput = common(f.value);
  const step = text(f.value, 'step');
  if (step) value.step = step;
  if (verb === 'skip' && value.step === undefined) return bad(verb, '"step" must name the step to skip');
  if (verb === 'skip' && value.reason === undefined) return bad(verb, '"reason" must say why it is safe to skip');
  return { ok: true, value };
}

export function parseEscalate(input: unknown): Parsed<EscalateInput> {
  const f = fields('escalate', input);
  if (!f.ok) return f;
  const override = codes(f.value.override);
  if (override === null) return bad('escalate', '"override" must be a list of codes');
  const to = text(f.value, 'to');
  return {
    ok: true,
    value: { ...common(f.value), ...(to ? { to } : {}), ...(override.length > 0 ? { override } : {}) },
  };
}

function codes(value: unknown): string[] | null {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') return value === '' ? [] : [value];
  return Array.isArray(value) && value.every((v) => typeof v === 'string') ? (value as string[]) : null;
}

/** @param decision fixed for `approve` and `reject`; read from the input for `decide` */
export function parseDecide(verb: 'decide' | 'approve' | 'reject', input: unknown): Parsed<DecideInput> {
  const f = fields(verb, input);
  if (!f.ok) return f;
  const o = f.value;
  const decision = verb === 'decide' ? o.decision : verb;
  if (decision !== 'approve' && decision !== 'reject') return bad(verb, '"decision" must be "approve" or "reject"');
  const override = codes(o.override);
  if (override === null) return bad(verb, '"override" must be a list of codes');
  const value: DecideInput = { decision, by: text(o, 'by')!, override };
  const gate = text(o, 'gate');
  if (gate) value.gate = gate;
  const comment = text(o, 'comment');
  if (comment) value.comment = comment;
  if (o.maxLoss !== undefined && o.maxLoss !== null) {
    const loss = asObject(o.maxLoss);
    if (
      loss === null ||
      Object.entries(loss).some(([k, v]) => !['seconds', 'bytes'].includes(k) || typeof v !== 'number' || !(v >= 0))
    )
      return bad(verb, '"maxLoss" must be {"seconds": n, "bytes": n}');
    value.maxLoss = loss as { seconds?: number; bytes?: number };
  }
  return { ok: true, value };
}
