/** Who decided on what, when things happened, what differed: the parts that a reviewer reads. */
import type { Row, ShownDecision } from '../audit.ts';
import { duration, NOT_RECORDED, size, timeOfDay } from '../format.ts';
import type { AssertionRecord } from '../record.ts';
import type { Report } from '../report.ts';
import { html, type Markup, NOTHING } from './escape.ts';

const asserted = (a: AssertionRecord): Markup => {
  if (a.met === true) return html`<span class="tag good">met</span>`;
  const tone = a.severity === 'fail' ? 'bad' : 'warn';
  return html`<span class="tag ${tone}">${a.met === null ? 'not judged' : 'not met'}</span>`;
};

export function assertions(report: Report): Markup {
  if (report.assertions.length === 0) return NOTHING;
  return html`<h3>Assertions</h3><div class="wide"><table class="stack"><thead><tr><th>Assertion</th><th>Expression, and the values it read</th><th>Basis</th><th>Result</th></tr></thead><tbody>${report.assertions.map(
    (a) =>
      html`<tr><td>${a.name}</td><td><code>${a.expr}</code><div class="soft">${a.note}</div></td><td data-l="Basis">${a.basis ?? ''}</td><td>${asserted(a)}</td></tr>`,
  )}</tbody></table></div>`;
}

export function people(report: Report): Markup {
  const { decisions, fourEyes, requester, participants, thirdParties } = report.people;
  const limits = (d: (typeof decisions)[number]) =>
    d.maxLoss === undefined || d.decision === 'reject'
      ? ''
      : [
          d.maxLoss.seconds === null ? '' : `${d.maxLoss.seconds} s`,
          d.maxLoss.bytes === null ? '' : size(d.maxLoss.bytes),
        ]
          .filter((t) => t !== '')
          .join(', ') || 'not bounded';
  const table =
    decisions.length === 0
      ? html`<p class="soft">Nobody was asked, or nobody has answered.</p>`
      : html`<div class="wide"><table><thead><tr><th>Gate</th><th>Decision</th><th>By</th><th class="time">At (UTC)</th><th>Loss accepted</th><th>Comment, overrides</th><th>Facts shown</th></tr></thead><tbody>${decisions.map(
          (d) =>
            html`<tr><td>${d.gate}</td><td><span class="tag ${d.decision === 'approve' ? 'good' : 'bad'}">${d.decision === 'approve' ? 'approved' : 'rejected'}</span></td><td>${d.by}</td><td class="time">${timeOfDay(d.at)}</td><td>${limits(d)}</td><td>${[d.comment, d.override.length > 0 ? `override ${d.override.join(', ')}` : ''].filter((t) => t !== '').join('; ')}</td><td><code>${d.factsDigest.slice(0, 12)}</code></td></tr>`,
        )}</tbody></table></div>`;
  return html`<h3>People</h3><p>Requested by ${requester}. Four eyes: ${fourEyes}.${participants.length > 0 ? ` Took part: ${participants.join(', ')}.` : ''} <span class="soft">Names are as given: Temporal does not prove who sent a message.</span> Third parties: ${thirdParties}.</p>${table}${decisions.map(shown)}`;
}

function shown(decision: ShownDecision): Markup {
  const title = `What ${decision.by} saw at ${decision.gate}`;
  if (decision.facts === null)
    return html`<p class="soft">${title}: the record keeps only the digest of the facts, <code>${decision.factsDigest}</code>.</p>`;
  return html`<h4>${title}</h4>${list(decision.facts)}`;
}

export function clocks(report: Report): Markup {
  const known = report.clocks.filter((c) => c.at !== null).map((c) => c.at!);
  if (known.length === 0) return NOTHING;
  const zero = report.clocks[0]!.at ?? report.clocks[3]!.at ?? known[0]!;
  const { times } = report;
  const moments = html`<table><thead><tr><th></th><th>Moment</th><th class="time">At (UTC)</th><th>Since ${report.clocks[0]!.at === null ? 'T3' : 'T0'}</th><th>Basis</th><th>Source</th></tr></thead><tbody>${report.clocks.map(
    (c) =>
      html`<tr><td>${c.id}</td><td>${c.name}</td><td class="time">${c.at === null ? '–' : timeOfDay(c.at)}</td><td>${c.at === null ? '' : duration(c.at - zero)}</td><td>${c.basis === 'unknown' ? '' : c.basis}</td><td>${c.source}</td></tr>`,
  )}</tbody></table>`;
  const phases =
    report.phases.length === 0
      ? NOTHING
      : html`<h4>Whose time it was</h4><div class="wide"><table><thead><tr><th>Phase</th><th>In all</th><th>Machine</th><th>Waiting for people</th><th>Before the run</th><th>Basis</th></tr></thead><tbody>${report.phases.map(
          (p) =>
            html`<tr><td>${p.name} <span class="soft">${p.from} to ${p.to}</span></td><td>${duration(p.totalMs)}</td><td>${duration(p.machineMs)}</td><td>${duration(p.peopleMs)}</td><td>${duration(p.beforeMs)}</td><td>${p.basis}</td></tr>`,
        )}</tbody></table></div>`;
  return html`<h3>Clocks</h3><div class="wide">${moments}</div>${phases}<p class="soft">Run ${duration(times.totalMs)} in all: ${duration(times.machineMs)} machine, ${duration(times.waitingMs)} waiting for people.</p>`;
}

export function deviations(report: Report): Markup {
  if (report.deviations.length === 0) return NOTHING;
  return html`<h3>Deviations</h3><div class="wide"><table><thead><tr><th>What</th><th>Who</th><th>Why</th></tr></thead><tbody>${report.deviations.map(
    (d) => html`<tr><td>${d.what}</td><td>${d.who}</td><td>${d.why}</td></tr>`,
  )}</tbody></table></div>`;
}

export function facts(title: string, rows: Row[]): Markup {
  return rows.length === 0 ? NOTHING : html`<h3>${title}</h3>${list(rows)}`;
}

export function list(rows: Row[]): Markup {
  return html`<dl class="facts">${rows.map(
    (r) =>
      html`<div><dt>${r.label}</dt><dd>${r.value === NOT_RECORDED ? html`<span class="soft">${r.value}</span>` : /digest|^Run$|^Workflow$/i.test(r.label) ? html`<code>${r.value}</code>` : r.value}</dd></div>`,
  )}</dl>`;
}
