/** Replication lag over time, as inline SVG: what was sampled, and what gates and plans measured. */
import { duration } from '../format.ts';
import type { RunRecord } from '../record.ts';
import { html, type Markup, NOTHING, px } from './escape.ts';
import { type Interval, timeAxis } from './time-axis.ts';

const WIDTH = 1080;
const LEFT = 62;
const RIGHT = WIDTH - 110;
const TOP = 22;
const BOTTOM = 172;
/** More points than pixels say nothing more. */
const LIMIT = 2_000;

interface Point {
  at: number;
  /** `null`: it could not be read. */
  seconds: number | null;
}

/** One line per store; nothing when no store was measured twice. */
export function lagChart(record: RunRecord): Markup {
  const series = [...lagOf(record)].filter(([, points]) => points.filter((p) => p.seconds !== null).length > 1);
  if (series.length === 0) return NOTHING;
  return html`<h3>Replication lag</h3>${series.map(([name, points]) => html`<h4>${name}</h4>${chart(name, points, record)}`)}`;
}

function lagOf(record: RunRecord): Map<string, Point[]> {
  const out = new Map<string, Point[]>();
  const add = (name: string, point: Point): void => {
    if (Number.isFinite(point.at)) out.set(name, [...(out.get(name) ?? []), point]);
  };
  for (const s of (record.lagSamples ?? []).slice(0, LIMIT))
    add(`${s.component} in ${s.region}`, { at: s.at, seconds: s.seconds });
  for (const facts of [...record.plans.map((p) => p.facts), ...(record.shown ?? [])])
    for (const [store, lag] of Object.entries(facts?.lag ?? {}))
      if (lag !== null)
        add(`${store} in ${record.to ?? '?'}`, { at: lag.measuredAt, seconds: lag.fresh ? lag.seconds : null });
  for (const [name, points] of out) out.set(name, distinct(points));
  return out;
}

/** In order of time; the same reading may have been shown twice. */
function distinct(points: Point[]): Point[] {
  return [...new Map(points.map((p) => [p.at, p])).values()].sort((a, b) => a.at - b.at);
}

function chart(name: string, points: Point[], record: RunRecord): Markup {
  const axis = timeAxis(
    [...points.map((p): Interval => [p.at, p.at]), [points[0]!.at, points.at(-1)!.at]],
    points[0]!.at,
    { left: LEFT, right: RIGHT },
    Number.POSITIVE_INFINITY,
  );
  const rpo = record.targets?.rpoMs === undefined ? null : record.targets.rpoMs / 1000;
  const highest = Math.max(0.001, ...points.map((p) => p.seconds ?? 0));
  // The objective belongs into the picture when the lag came near it.
  const top = rpo !== null && highest > rpo / 4 ? Math.max(highest, rpo) : highest;
  const y = (seconds: number) => BOTTOM - (Math.min(top, Math.max(0, seconds)) / top) * (BOTTOM - TOP);
  const lines = [0, top / 2, top].map(
    (s) =>
      html`<line class="g-grid" x1="${LEFT}" y1="${px(y(s))}" x2="${RIGHT}" y2="${px(y(s))}"/><text class="g-tick" x="${LEFT - 8}" y="${px(y(s) + 4)}" text-anchor="end">${duration(s * 1000)}</text>`,
  );
  const ticks = axis.ticks.map(
    (t) => html`<text class="g-tick" x="${px(t.x)}" y="${BOTTOM + 18}" text-anchor="middle">${t.text}</text>`,
  );
  let path = '';
  let drawn = false;
  for (const p of points) {
    if (p.seconds !== null) path += `${drawn ? 'L' : 'M'}${px(axis.x(p.at))} ${px(y(p.seconds))}`;
    drawn = p.seconds !== null;
  }
  const dots = points.map((p) =>
    p.seconds === null
      ? html`<g><title>no fresh reading</title><circle class="r-seen bad" cx="${px(axis.x(p.at))}" cy="${px(BOTTOM)}" r="4"/></g>`
      : points.length > 60
        ? NOTHING
        : html`<g><title>${duration(p.seconds * 1000)}</title><circle class="r-seen open" cx="${px(axis.x(p.at))}" cy="${px(y(p.seconds))}" r="4"/></g>`,
  );
  const objective =
    rpo === null || rpo > top
      ? NOTHING
      : html`<line class="g-pnr" x1="${LEFT}" y1="${px(y(rpo))}" x2="${RIGHT}" y2="${px(y(rpo))}"/><text class="g-pnr-text" x="${RIGHT + 6}" y="${px(y(rpo) + 4)}">RPO ${duration(rpo * 1000)}</text>`;
  return html`<div class="chart"><svg viewBox="0 0 ${WIDTH} ${BOTTOM + 26}" role="img" aria-label="Replication lag of ${name}">${lines}${ticks}${objective}<path class="r-set" d="${path}"/>${dots}</svg></div>`;
}
