/** The parts of one run's section, in the order in which a tired reader needs them. */

import { capital, count, dateTime, duration, isoTime, lossSentence, plural, size, timeOfDay } from '../format.ts';
import { type Objective, statedLoss } from '../objectives.ts';
import type { Report, Verdict } from '../report.ts';
import { assertions, clocks, deviations, facts, people } from './audit.ts';
import { html, type Markup, NOTHING } from './escape.ts';
import { gantt, ganttOfCut } from './gantt.ts';
import { lagChart } from './lag.ts';
import { rampCharts } from './ramp.ts';

const VERDICTS: Record<Verdict, string> = {
  passed: 'good',
  'passed with findings': 'warn',
  failed: 'bad',
  running: 'quiet',
  'not judged': 'quiet',
};

export function badge(verdict: Verdict): Markup {
  return html`<span class="badge ${VERDICTS[verdict]}">${capital(verdict)}</span>`;
}

/** @param alone the page holds nothing else: its heading is the page's */
export function runSection(report: Report, index: number, alone: boolean): Markup {
  const r = report.record;
  const heading = alone ? html`<h1>${report.title}</h1>` : html`<h2>${report.title}</h2>`;
  return html`<section class="run" id="run-${index + 1}"><header><div>${heading}<p class="soft">${capital(r.mode)} · <code>${r.workflowId}</code> · ${dateTime(r.startedAt)}</p></div>${badge(report.verdict)}</header><p>${capital(report.conclusion)}</p>${[
    tiles(report),
    followUp(report),
    objectives(report),
    assertions(report),
    whatHappened(report),
    traffic(report),
    lagChart(report.record),
    loss(report),
    leftBehind(report),
    facts('Results', report.results),
    people(report),
    clocks(report),
    deviations(report),
    facts('Communication', report.communication),
    facts('Scenario', report.scenario),
    facts('Identity', report.identity),
    facts('What comes next', report.closing),
    timeline(report),
    log(report),
  ]}</section>`;
}

function tiles(report: Report): Markup {
  const { record, times, load } = report;
  const rto = report.objectives.find((o) => o.name.startsWith('Recovery time'));
  const tile = (value: string, label: string) => html`<div class="tile"><b>${value}</b><span>${label}</span></div>`;
  const last = record.ramp.at(-1);
  return html`<div class="tiles">${[
    rto === undefined
      ? NOTHING
      : tile(
          rto.actual.replace(/ (at most|since).*/, ''),
          `recovery time${/ at most/.test(rto.actual) ? ' at most' : ''}, objective ${rto.target}`,
        ),
    times.freezeMs === null
      ? NOTHING
      : tile(duration(times.freezeMs), `without writes, budget ${duration(record.freeze.budgetMs)}`),
    load === null || load.writeGapMs === null
      ? NOTHING
      : tile(duration(load.writeGapMs), 'longest gap between two writes, seen by clients'),
    record.loss === null && load === null
      ? NOTHING
      : tile(
          load === null ? (statedLoss(record) ?? 'none stated') : `${count(load.lost)} lost`,
          load === null
            ? 'stated loss'
            : `of ${count(load.acknowledged)} acknowledged writes; stated: ${statedLoss(record) ?? 'none'}`,
        ),
    last === undefined || record.to === null
      ? NOTHING
      : tile(
          `${last.weights[record.to] ?? 0} %`,
          `of the traffic in ${record.to}, in ${plural(record.ramp.length, 'step')}`,
        ),
    times.machineMs === null
      ? NOTHING
      : tile(duration(times.machineMs), `machine time; ${duration(times.waitingMs)} waiting for people`),
  ]}</div>`;
}

const SEVERITIES: Record<string, string> = {
  missed: 'bad',
  assertion: 'bad',
  debt: 'warn',
  blocker: 'bad',
  warning: 'warn',
  info: 'quiet',
};
const SEVERITY_NAMES: Record<string, string> = {
  missed: 'objective missed',
  assertion: 'assertion',
  debt: 'protection debt',
};

function followUp(report: Report): Markup {
  if (report.findings.length === 0) return NOTHING;
  return html`<h3>To follow up</h3><div class="wide"><table class="stack"><thead><tr><th>Id</th><th>Kind</th><th>Where</th><th>What, and what to do</th><th>Owner</th></tr></thead><tbody>${report.findings.map(
    (f) =>
      html`<tr><td>${f.id}</td><td><span class="tag ${SEVERITIES[f.severity] ?? 'quiet'}">${SEVERITY_NAMES[f.severity] ?? f.severity}</span></td><td data-l="Where">${f.where}</td><td>${f.message}<div class="remedy">${remedy(f.remedy)}</div></td><td data-l="Owner">${f.owner}</td></tr>`,
  )}</tbody></table></div>`;
}

/** Commands inside a remedy stand out: what is between backticks, or a whole `rampart …` line. */
function remedy(text: string): Markup {
  if (text.startsWith('rampart ')) return html`<code>${text}</code>`;
  return html`${text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}

const METS = { true: html`<span class="tag good">met</span>`, false: html`<span class="tag bad">missed</span>` };

function met(o: Objective): Markup {
  return o.met === null ? html`<span class="tag quiet">not judged</span>` : METS[o.met ? 'true' : 'false'];
}

function objectives(report: Report): Markup {
  if (report.objectives.length === 0) return NOTHING;
  return html`<h3>Objectives</h3><div class="wide"><table class="stack"><thead><tr><th>Objective</th><th>Target</th><th>Achieved</th><th>Margin</th><th>Basis</th><th>Result</th></tr></thead><tbody>${report.objectives.map(
    (o) =>
      html`<tr><td>${o.name}</td><td data-l="Target">${o.target}</td><td data-l="Achieved">${o.actual}</td><td class="nb" data-l="Margin">${o.margin ?? ''}</td><td data-l="Basis">${o.basis}</td><td>${met(o)}</td></tr>`,
  )}</tbody></table></div>`;
}

function whatHappened(report: Report): Markup {
  const whole = gantt(report.record);
  if (whole === NOTHING) return NOTHING;
  const enlarged = ganttOfCut(report.record);
  const legend = [
    ['--blue', 'done'],
    ['--bad', 'failed'],
    ['--warn', 'cancelled'],
    ['--violet', 'undone'],
    ['--freeze', 'freeze'],
  ] as const;
  return html`<h3>What happened</h3><div class="legend">${legend.map(
    ([color, name]) => html`<span><i style="background:var(${color})"></i>${name}</span>`,
  )}<span class="soft">pale: only read, or already so</span><span class="soft">diamond: a decision</span></div>${whole}${
    enlarged === NOTHING ? NOTHING : html`<h4>The cut, enlarged</h4>${enlarged}`
  }`;
}

function traffic(report: Report): Markup {
  return report.record.ramp.length === 0 ? NOTHING : html`<h3>Traffic</h3>${rampCharts(report.record)}`;
}

function loss(report: Report): Markup {
  const { record, load } = report;
  if (record.loss === null && load === null) return NOTHING;
  const l = record.loss;
  const tone = l === null ? 'quiet' : l.kind === 'none' ? 'good' : l.kind === 'unknown' ? 'bad' : 'warn';
  const seen =
    load === null
      ? NOTHING
      : html`<p>Clients were given ${count(load.acknowledged)} acknowledgements; ${count(load.lost)} of them are not in the database, ${count(load.duplicated)} are there more than once.${
          load.lost > 0 && load.lostInsideStatement === true
            ? ' All that are missing lie inside the stated window.'
            : ''
        }${load.lost > 0 && load.lostInsideStatement === false ? ' Some that are missing lie outside the stated window.' : ''}${
          typeof load.firstLostAt === 'number'
            ? ` First missing ${dateTime(load.firstLostAt)}, last ${dateTime(load.lastLostAt)}.`
            : ''
        }</p>`;
  const stated =
    l === null
      ? html`<p>No statement was made.</p>`
      : html`<p><b>${lossSentence(l)}</b></p>${
          l.kind === 'none'
            ? NOTHING
            : html`<p>Window ${isoTime(l.fromTime)} to ${l.toTime === null ? 'still open' : isoTime(l.toTime)}; at least ${size(l.atLeastBytes)}, at most ${size(l.atMostBytes)}; stated as <i>${l.kind}</i>.</p>`
        }${l.note ? html`<p class="soft">${l.note}</p>` : NOTHING}`;
  return html`<h3>Loss statement</h3><div class="callout ${tone}">${stated}${seen}</div>`;
}

function leftBehind(report: Report): Markup {
  if (report.leftBehind.length === 0) return NOTHING;
  return html`<h3>What did not arrive</h3>${report.leftBehind.map(
    ({ where, text, tables }) =>
      html`<p><b>${where}.</b> ${text}</p>${
        tables.length === 0
          ? NOTHING
          : html`<div class="wide"><table><thead><tr><th>Table</th><th>Inserted</th><th>Updated</th><th>Deleted</th><th>The rows, on the old side</th></tr></thead><tbody>${tables.map(
              (t) =>
                html`<tr><td>${t.table}</td><td>${t.inserted}</td><td>${t.updated}</td><td>${t.deleted}</td><td><code>${t.select}</code></td></tr>`,
            )}</tbody></table></div>`
      }`,
  )}`;
}

function timeline(report: Report): Markup {
  if (report.timeline.length === 0) return NOTHING;
  return html`<details><summary>Timeline, ${report.timeline.length} entries</summary><div class="wide"><table class="log"><thead><tr><th class="time">At (UTC)</th><th>Who</th><th>What</th><th>Result</th></tr></thead><tbody>${report.timeline.map(
    (e) =>
      html`<tr><td class="time mono">${timeOfDay(e.at)}</td><td>${e.actor}</td><td>${e.text}</td><td>${e.bad ? html`<span class="bad">${e.result || 'failed'}</span>` : e.result}</td></tr>`,
  )}</tbody></table></div></details>`;
}

function log(report: Report): Markup {
  const lines = report.record.log;
  if (lines.length === 0) return NOTHING;
  return html`<details><summary>The run’s own log, ${lines.length} lines</summary><div class="wide"><table class="log"><tbody>${lines.map(
    (l) => html`<tr><td class="time mono">${timeOfDay(l.at)}</td><td>${l.text}</td></tr>`,
  )}</tbody></table></div></details>`;
}
