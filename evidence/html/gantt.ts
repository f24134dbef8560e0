/** Stages and steps against time, as inline SVG without script. */
import { FROZEN, STAGES, type StageName } from '../../plan/model.ts';
import { lastKnown } from '../clocks.ts';
import { dateTime, duration } from '../format.ts';
import type { RunRecord, StepRecord, UndoRecord } from '../record.ts';
import { cut, html, type Markup, NOTHING, px } from './escape.ts';
import { type Axis, type Interval, timeAxis } from './time-axis.ts';

const WIDTH = 1080;
const LEFT = 330;
const RIGHT = WIDTH - 16;
const ROW = 19;
const STAGE_ROW = 22;
const TOP = 46;

/** The whole run: every stage, step and undo, decisions, the freeze and the point of no return. */
export function gantt(record: RunRecord): Markup {
  const now = lastKnown(record);
  if (record.steps.length === 0 || now === null) return NOTHING;
  const end = record.endedAt ?? now;
  const shown = record.steps.filter((s) => Number.isFinite(s.startedAt));
  const planned = record.plans.at(0)?.compiledAt ?? record.startedAt;
  const active: Interval[] = [
    [record.startedAt, planned],
    ...shown.map((s): Interval => [s.startedAt, s.endedAt ?? end]),
    ...record.undos.flatMap((u): Interval[] => (u.startedAt === null ? [] : [[u.startedAt, u.endedAt ?? end]])),
    [end, end],
  ];
  const axis = timeAxis(active, record.startedAt, { left: LEFT, right: RIGHT });
  return chart(record, shown, true, axis, end, 'Stages and steps of the run');
}

/** The stages in which nobody can write, enlarged; nothing when they fill the first chart anyway. */
export function ganttOfCut(record: RunRecord): Markup {
  const cutSteps = record.steps.filter(
    (s) => FROZEN.includes(s.stage) && Number.isFinite(s.startedAt) && s.endedAt !== null,
  );
  const end = record.endedAt ?? lastKnown(record);
  if (cutSteps.length < 2 || end === null) return NOTHING;
  const from = record.freeze.startedAt ?? Math.min(...cutSteps.map((s) => s.startedAt));
  const to = Math.max(record.freeze.endedAt ?? 0, ...cutSteps.map((s) => s.endedAt!));
  if (to - from > 0.5 * (end - record.startedAt)) return NOTHING;
  const axis = timeAxis(
    [[from, from], [to, to], ...cutSteps.map((s): Interval => [s.startedAt, s.endedAt!])],
    from,
    { left: LEFT, right: RIGHT },
    Number.POSITIVE_INFINITY,
  );
  return chart(record, cutSteps, false, axis, to, 'The cut, enlarged: from the first stage in which nobody can write');
}

function chart(record: RunRecord, steps: StepRecord[], whole: boolean, axis: Axis, end: number, label: string): Markup {
  const lines: Markup[] = [];
  let y = TOP;
  const rows = (title: string, bars: Bar[]) => {
    if (bars.length === 0) return;
    lines.push(html`${separator(y)}${heading(title, y)}`);
    y += STAGE_ROW;
    for (const one of bars) {
      lines.push(bar(one, axis, y));
      y += ROW;
    }
  };
  if (whole) rows('before', beforeBars(record, end));
  for (const stage of stagesOf(steps)) {
    const own = steps.filter((s) => s.stage === stage).sort((a, b) => a.startedAt - b.startedAt);
    lines.push(stageLine(stage, own, axis, end, y));
    y += STAGE_ROW;
    for (const step of own) {
      lines.push(stepLine(step, axis, end, y));
      y += ROW;
    }
  }
  if (whole) rows('undone', undoBars(record.undos, end));
  const bottom = y + 4;
  return html`<div class="chart"><svg viewBox="0 0 ${WIDTH} ${px(bottom + 6)}" role="img" aria-label="${label}">${[
    freezeBand(record, axis, bottom),
    grid(axis, bottom),
    breaks(record, axis, bottom),
    ...lines,
    marks(record, axis, bottom, steps),
  ]}</svg></div>`;
}

function stagesOf(steps: StepRecord[]): string[] {
  const seen = [...new Set(steps.map((s) => s.stage))];
  const order = (s: string) => (STAGES as readonly string[]).indexOf(s);
  return seen.sort((a, b) => order(a) - order(b));
}

function separator(y: number): Markup {
  return html`<line class="g-sep" x1="0" y1="${px(y + 2)}" x2="${WIDTH}" y2="${px(y + 2)}"/>`;
}

function heading(name: string, y: number): Markup {
  return html`<text class="g-stage" x="2" y="${px(y + 15)}">${name}</text>`;
}

function stageLine(stage: string, steps: StepRecord[], axis: Axis, end: number, y: number): Markup {
  const from = Math.min(...steps.map((s) => s.startedAt));
  const to = Math.max(...steps.map((s) => s.endedAt ?? end));
  const x0 = axis.x(from);
  const frozen = FROZEN.includes(stage as StageName) ? 'nobody can write' : '';
  return html`${separator(y)}${heading(stage, y)}<text class="g-note" x="${LEFT - 10}" y="${px(y + 15)}" text-anchor="end">${[frozen, duration(to - from)].filter((t) => t !== '').join(' · ')}</text><rect class="g-span" x="${px(x0)}" y="${px(y + 10)}" width="${px(Math.max(1.5, axis.x(to) - x0))}" height="3" rx="1.5"/>`;
}

interface Bar {
  kind: string;
  text: string;
  title: string;
  note: string;
  from: number;
  to: number;
}

function stepLine(step: StepRecord, axis: Axis, end: number, y: number): Markup {
  const to = step.endedAt ?? end;
  const took = duration(to - step.startedAt);
  const more = [step.state + (step.already ? ' (already so)' : ''), took, step.error?.message ?? step.result ?? ''];
  return bar(
    {
      kind: `g-${step.already && step.state === 'done' ? 'already' : step.state}`,
      text: step.summary || step.id,
      title: `${step.id}: ${more.filter((t) => t !== '').join(' · ')}`,
      note: step.state === 'running' ? 'running' : took,
      from: step.startedAt,
      to,
    },
    axis,
    y,
  );
}

/** What is no step: making the plan, and waiting for people. */
function beforeBars(record: RunRecord, end: number): Bar[] {
  const compiled = record.plans.at(0)?.compiledAt;
  const planning: Bar[] =
    compiled === undefined || !(compiled > record.startedAt)
      ? []
      : [
          {
            kind: 'g-already',
            text: 'Observe everything and make the plan',
            title: `plan ${record.plans[0]!.digest.slice(0, 12)}`,
            note: duration(compiled - record.startedAt),
            from: record.startedAt,
            to: compiled,
          },
        ];
  const waits = (record.waits ?? []).map((w) => ({
    kind: 'g-people',
    text: `People: ${w.kind} ${w.name}`,
    title: `waited for people: ${w.kind} ${w.name}`,
    note: w.endedAt === null ? 'waiting' : duration(w.endedAt - w.startedAt),
    from: w.startedAt,
    to: w.endedAt ?? end,
  }));
  return [...planning, ...waits];
}

function undoBars(undos: UndoRecord[], end: number): Bar[] {
  return undos
    .filter((u) => u.startedAt !== null)
    .map((u) => ({
      kind: u.state === 'failed' || u.state === 'debt' ? 'g-failed' : 'g-undo',
      text: u.summary,
      title: `${u.stepId}: ${u.state} ${u.note}`,
      note: duration((u.endedAt ?? end) - u.startedAt!),
      from: u.startedAt!,
      to: u.endedAt ?? end,
    }));
}

function bar({ kind, text, title, note, from, to }: Bar, axis: Axis, y: number): Markup {
  const x0 = axis.x(from);
  const width = Math.max(2.5, axis.x(to) - x0);
  const after = x0 + width + 5;
  // A bar that ends at the edge has its note before it.
  const before = after > RIGHT - 50;
  return html`<g><title>${title}</title><text class="g-label" x="14" y="${px(y + 13)}">${cut(text, 48)}</text><rect class="g-bar ${kind}" x="${px(x0)}" y="${px(y + 3)}" width="${px(width)}" height="${ROW - 7}" rx="2.5"/><text class="g-time" x="${px(before ? x0 - 5 : after)}" y="${px(y + 13)}"${before ? html` text-anchor="end"` : NOTHING}>${note}</text></g>`;
}

function grid(axis: Axis, bottom: number): Markup {
  return html`${axis.ticks.map(
    (t) =>
      html`<line class="g-grid" x1="${px(t.x)}" y1="${TOP - 6}" x2="${px(t.x)}" y2="${px(bottom)}"/><text class="g-tick" x="${px(t.x)}" y="${TOP - 11}" text-anchor="middle">${t.text}</text>`,
  )}`;
}

/** What an idle stretch was: waiting for people, when it was that for the most part, and for how long. */
function idleText(record: RunRecord, from: number, to: number): string {
  const waited = (record.waits ?? []).reduce(
    (sum, w) => sum + Math.max(0, Math.min(to, w.endedAt ?? to) - Math.max(from, w.startedAt)),
    0,
  );
  return waited > (to - from) / 2 ? `waited for people ${duration(waited)}` : `no step for ${duration(to - from)}`;
}

function breaks(record: RunRecord, axis: Axis, bottom: number): Markup {
  return html`${axis.breaks.map(
    (b) =>
      html`<g><title>no step ran for ${b.text}</title><rect class="g-break" x="${px(b.x0 + 3)}" y="${TOP - 8}" width="${px(b.x1 - b.x0 - 6)}" height="${px(bottom - TOP + 8)}"/><text class="g-wait" x="${px((b.x0 + b.x1) / 2)}" y="${px((TOP + bottom) / 2)}" transform="rotate(-90 ${px((b.x0 + b.x1) / 2)} ${px((TOP + bottom) / 2)})" text-anchor="middle">${idleText(record, b.from, b.to)}</text></g>`,
  )}`;
}

function freezeBand(record: RunRecord, axis: Axis, bottom: number): Markup {
  const { startedAt, endedAt } = record.freeze;
  if (startedAt === null) return NOTHING;
  const x0 = axis.x(startedAt);
  const x1 = axis.x(endedAt ?? lastKnown(record) ?? startedAt);
  return html`<g><title>Freeze: nobody can write, ${duration(endedAt === null ? null : endedAt - startedAt)}</title><rect class="g-freeze" x="${px(x0)}" y="${TOP - 6}" width="${px(Math.max(2, x1 - x0))}" height="${px(bottom - TOP + 6)}"/></g>`;
}

/** Decisions as diamonds above the rows, the point of no return as a line through them. */
function marks(record: RunRecord, axis: Axis, bottom: number, steps: StepRecord[]): Markup {
  const first = Math.min(...steps.map((s) => s.startedAt));
  const last = Math.max(...steps.map((s) => s.endedAt ?? Number.POSITIVE_INFINITY));
  const inView = (at: number) => at <= last && (at >= first || first === Number.POSITIVE_INFINITY);
  const { crossedAt } = record.pointOfNoReturn;
  const line =
    crossedAt === null || !inView(crossedAt)
      ? NOTHING
      : html`<g><title>Point of no return: ${record.pointOfNoReturn.stepId} scheduled at ${dateTime(crossedAt)}</title><line class="g-pnr" x1="${px(axis.x(crossedAt))}" y1="20" x2="${px(axis.x(crossedAt))}" y2="${px(bottom)}"/><text class="g-pnr-text" x="${px(Math.min(axis.x(crossedAt) + 5, RIGHT - 100))}" y="16">point of no return</text></g>`;
  const decisions = record.decisions
    .filter((d) => inView(d.at))
    .map((d) => {
      const x = axis.x(d.at);
      return html`<g><title>${d.decision === 'approve' ? 'Approved' : 'Rejected'} by ${d.by} at ${dateTime(d.at)}: gate ${d.gate}</title><path class="g-decision ${d.decision === 'approve' ? 'good' : 'bad'}" d="M${px(x)} ${TOP - 10}l6 6l-6 6l-6 -6z"/></g>`;
    });
  return html`${line}${decisions}`;
}
