/** Traffic weights over time, set against observed, as inline SVG. */
import type { Weights } from '../../drivers/ports.ts';
import { clocksOf, lastKnown } from '../clocks.ts';
import { percent } from '../format.ts';
import type { RampRecord, RunRecord } from '../record.ts';
import { html, type Markup, NOTHING, px } from './escape.ts';
import { type Interval, timeAxis } from './time-axis.ts';

const WIDTH = 1080;
const LEFT = 62;
const RIGHT = WIDTH - 110;
const TOP = 22;
const BOTTOM = 232;

/** One chart and one table per router. */
export function rampCharts(record: RunRecord): Markup {
  const routers = [...new Set(record.ramp.map((r) => r.router))];
  return html`${routers.map((router) => {
    const entries = record.ramp.filter((r) => r.router === router);
    return html`<h4>${router}</h4>${chart(record, router, entries)}${table(entries)}`;
  })}`;
}

function chart(record: RunRecord, router: string, entries: RampRecord[]): Markup {
  const region = record.to ?? Object.keys(entries.at(-1)?.weights ?? {})[0];
  if (region === undefined || entries.length === 0) return NOTHING;
  const healthy = clocksOf(record).find((c) => c.id === 'T6')?.at ?? null;
  const first = entries[0]!.setAt;
  const last = entries.at(-1)!.setAt;
  const end = Math.max(
    last,
    ...[healthy, record.trafficCompleteAt, healthy === null ? lastKnown(record) : null].map((t) => t ?? 0),
  );
  const lead = Math.max(200, (end - first) * 0.05);
  const spans = entries.map((e, i): Interval => [e.setAt, entries[i + 1]?.setAt ?? end]);
  const axis = timeAxis(
    [[first - lead, first], ...spans],
    first,
    { left: LEFT, right: RIGHT },
    Number.POSITIVE_INFINITY,
  );
  const y = (share: number) => BOTTOM - (Math.min(100, Math.max(0, share || 0)) / 100) * (BOTTOM - TOP);
  const start = record.plans.at(-1)?.facts?.weights?.[router]?.[region] ?? 0;
  let path = `M${px(axis.x(first - lead))} ${px(y(start))}`;
  for (const [i, e] of entries.entries())
    path += `H${px(axis.x(e.setAt))}V${px(y(e.weights[region] ?? 0))}H${px(axis.x(spans[i]![1]))}`;
  const observed = entries.map((e, i) => {
    if (e.observed === null) return NOTHING;
    const seen = e.observed[region] ?? 0;
    const x = (axis.x(spans[i]![0]) + axis.x(spans[i]![1])) / 2;
    const set = e.weights[region] ?? 0;
    return html`<g><title>set ${percent(set)}, observed ${percent(seen)}, bake ${e.bake}</title><circle class="r-seen ${e.bake === 'failed' || e.steppedBack ? 'bad' : e.bake === 'passed' ? 'good' : 'open'}" cx="${px(x)}" cy="${px(y(seen))}" r="5"/><text class="r-label" x="${px(x)}" y="${px(y(seen) + (seen > 88 ? 20 : -11))}" text-anchor="middle">${percent(seen)}</text></g>`;
  });
  const lines = [0, 25, 50, 75, 100].map(
    (p) =>
      html`<line class="g-grid" x1="${LEFT}" y1="${px(y(p))}" x2="${RIGHT}" y2="${px(y(p))}"/><text class="g-tick" x="${LEFT - 8}" y="${px(y(p) + 4)}" text-anchor="end">${p} %</text>`,
  );
  const ticks = axis.ticks.map(
    (t) => html`<text class="g-tick" x="${px(t.x)}" y="${BOTTOM + 18}" text-anchor="middle">${t.text}</text>`,
  );
  return html`<div class="chart"><svg viewBox="0 0 ${WIDTH} ${BOTTOM + 26}" role="img" aria-label="Share of ${region} on ${router}, set and observed">${lines}${ticks}<path class="r-set" d="${path}"/>${observed}<text class="r-key" x="${RIGHT + 10}" y="${px(y(100) + 4)}">${region}</text><line class="r-set" x1="${RIGHT + 10}" y1="${TOP + 24}" x2="${RIGHT + 34}" y2="${TOP + 24}"/><text class="g-tick" x="${RIGHT + 40}" y="${TOP + 28}">set</text><circle class="r-seen good" cx="${RIGHT + 22}" cy="${TOP + 46}" r="5"/><text class="g-tick" x="${RIGHT + 40}" y="${TOP + 50}">observed</text></svg></div>`;
}

const BAKES: Record<RampRecord['bake'], string> = {
  passed: 'good',
  failed: 'bad',
  inconclusive: 'warn',
  running: 'warn',
  skipped: 'quiet',
};

function shares(weights: Weights): Markup {
  return html`${Object.entries(weights).map(([region, share]) => html`<div class="nb">${region} ${percent(share)}</div>`)}`;
}

function table(entries: RampRecord[]): Markup {
  return html`<table><thead><tr><th>Moved</th><th>Weights set</th><th>Observed at the edge</th><th>Bake</th><th>Measurements (observed against threshold)</th></tr></thead><tbody>${entries.map(
    (e) =>
      html`<tr><td>${percent(e.percent)}</td><td>${shares(e.weights)}</td><td>${e.observed === null ? 'not sampled' : shares(e.observed)}</td><td><span class="tag ${BAKES[e.bake] ?? 'quiet'}">${e.bake}</span>${e.steppedBack ? html` <span class="tag bad">stepped back</span>` : NOTHING}</td><td>${e.measurements.map((m) => html`<div>${m}</div>`)}</td></tr>`,
  )}</tbody></table>`;
}
