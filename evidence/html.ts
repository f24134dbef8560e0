/** One self-contained page for one or several runs: no script, nothing fetched, every value escaped. */

import { drillRows, verdictOfDrill } from './drill.ts';
import { dateTime, direction, duration, outcomeText } from './format.ts';
import { list } from './html/audit.ts';
import { html, Markup, NOTHING } from './html/escape.ts';
import { badge, runSection } from './html/sections.ts';
import { STYLE } from './html/style.ts';
import { recordDigest } from './json.ts';
import { lossInShort } from './objectives.ts';
import type { DrillRecord, RunRecord } from './record.ts';
import { buildReport, isEvidence, type Report, type RunEvidence } from './report.ts';

export interface PageOptions {
  title?: string;
  /** When the page is made, in milliseconds since the epoch; left out when absent, so that the bytes stay the same. */
  generatedAt?: number | null;
  drill?: DrillRecord;
}

/** @returns a whole HTML document, which is also well-formed XML after its first line */
export function renderHtml(runs: Array<Partial<RunRecord> | RunEvidence>, options: PageOptions = {}): string {
  const reports = runs.map((r) => buildReport(r));
  const digests = runs.map((r) => recordDigest(isEvidence(r) ? r.record : r));
  const title = options.title ?? (reports.length === 1 ? reports[0]!.title : `Rampart: ${reports.length} runs`);
  const alone = reports.length === 1 && options.title === undefined;
  const page = html`<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="referrer" content="no-referrer"/><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/><title>${title}</title><style>${new Markup(STYLE)}</style></head><body><main><p class="brand">Rampart evidence report${options.generatedAt == null ? '' : ` · ${dateTime(options.generatedAt)}`} · all times UTC</p>${alone ? NOTHING : html`<h1>${title}</h1>`}${options.drill === undefined ? NOTHING : drillSection(options.drill)}${reports.length > 1 ? overview(reports) : NOTHING}${reports.map((r, i) => runSection(r, i, alone))}<footer>${digests.map(
    (d, i) => html`<div>SHA-256 of the record of run ${i + 1} as canonical JSON: <code>${d}</code></div>`,
  )}<div>Written by Rampart.</div></footer></main></body></html>`;
  return `<!doctype html>\n${page.text}\n`;
}

function drillSection(drill: DrillRecord): Markup {
  return html`<section class="run"><header><h2>The drill</h2>${badge(verdictOfDrill(drill))}</header><p>${drill.text}</p>${
    drill.reasons.length === 0 ? NOTHING : html`<ul>${drill.reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`
  }${list(drillRows(drill))}</section>`;
}

function overview(reports: Report[]): Markup {
  return html`<section class="run"><h2>Runs</h2><div class="wide"><table><thead><tr><th>Run</th><th>Direction</th><th>Outcome</th><th>Recovery time</th><th>Without writes</th><th>Write gap</th><th>Writes lost</th><th>Verdict</th></tr></thead><tbody>${reports.map(
    (r, i) => {
      const recovery = r.objectives.find((o) => o.name.startsWith('Recovery time'));
      return html`<tr><td><a href="#run-${i + 1}">${r.title.split(',')[0]}</a><div class="soft">${r.record.mode}</div></td><td class="nb">${direction(r.record.from, r.record.to)}</td><td>${outcomeText(r.record.outcome)}</td><td>${recovery?.actual ?? ''}</td><td>${r.times.freezeMs === null ? '' : duration(r.times.freezeMs)}</td><td>${r.load?.writeGapMs == null ? '' : duration(r.load.writeGapMs)}</td><td>${lossInShort(r.record, r.load)}</td><td>${badge(r.verdict)}</td></tr>`;
    },
  )}</tbody></table></div></section>`;
}
