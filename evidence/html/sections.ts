/** The parts of one run's section, in the order in which a tired reader needs them. */

import { count, dateTime, duration, isoTime, lossSentence, plural, size, timeOfDay } from '../format.ts';
import { type Objective, statedLoss } from '../objectives.ts';
import { capital, type Report, type Row, type Verdict } from '../report.ts';
import { html, type Markup, NOTHING } from './escape.ts';
import { gantt, ganttOfCut } from './gantt.ts';
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
    whatHappened(report),
    traffic(report),
    loss(report),
    leftBehind(report),
    people(report),
    clocks(report),
    deviations(report),
    facts('Scenario', report.scenario),
    facts('Identity', report.identity),
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
  debt: 'warn',
  blocker: 'bad',
  warning: 'warn',
  info: 'quiet',
};
const SEVERITY_NAMES: Record<string, string> = { missed: 'objective missed', debt: 'protection debt' };

function followUp(report: Report): Markup {
  if (report.findings.length === 0) return NOTHING;
  return html`<h3>To follow up</h3><div class="wide"><table><thead><tr><th>Id</th><th>Kind</th><th>Where</th><th>What, and what to do</th><th>Owner</th></tr></thead><tbody>${report.findings.map(
    (f) =>
      html`<tr><td>${f.id}</td><td><span class="tag ${SEVERITIES[f.severity] ?? 'quiet'}">${SEVERITY_NAMES[f.severity] ?? f.severity}</span></td><td>${f.where}</td><td>${f.message}<div class="remedy">${remedy(f.remedy)}</div></td><td>${f.owner}</td></tr>`,
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
  return html`<h3>Objectives</h3><div class="wide"><table><thead><tr><th>Objective</th><th>Target</th><th>Achieved</th><th>Margin</th><th>Basis</th><th>Result</th></tr></thead><tbody>${report.objectives.map(
    (o) =>
      html`<tr><td>${o.name}</td><td>${o.target}</td><td>${o.actual}</td><td class="nb">${o.margin ?? ''}</td><td>${o.basis}</td><td>${met(o)}</td></tr>`,
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

function people(report: Report): Markup {
  const { decisions, fourEyes, requester, participants } = report.people;
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
  return html`<h3>People</h3><p>Requested by ${requester}. Four eyes: ${fourEyes}.${participants.length > 0 ? ` Took part: ${participants.join(', ')}.` : ''} <span class="soft">Names are as given: Temporal does not prove who sent a message.</span></p>${table}`;
}

function clocks(report: Report): Markup {
  const known = report.clocks.filter((c) => c.at !== null).map((c) => c.at!);
  if (known.length === 0) return NOTHING;
  const zero = report.clocks[0]!.at ?? report.clocks[3]!.at ?? known[0]!;
  const { times } = report;
  return html`<h3>Clocks</h3><div class="wide"><table><thead><tr><th></th><th>Moment</th><th class="time">At (UTC)</th><th>Since ${report.clocks[0]!.at === null ? 'T3' : 'T0'}</th><th>Source</th></tr></thead><tbody>${report.clocks.map(
    (c) =>
      html`<tr><td>${c.id}</td><td>${c.name}</td><td class="time">${c.at === null ? '–' : timeOfDay(c.at)}</td><td>${c.at === null ? '' : duration(c.at - zero)}</td><td>${c.source}</td></tr>`,
  )}</tbody></table></div><p class="soft">Run ${duration(times.totalMs)} in all: ${duration(times.machineMs)} machine, ${duration(times.waitingMs)} waiting for people.</p>`;
}

function deviations(report: Report): Markup {
  if (report.deviations.length === 0) return NOTHING;
  return html`<h3>Deviations</h3><div class="wide"><table><thead><tr><th>What</th><th>Who</th><th>Why</th></tr></thead><tbody>${report.deviations.map(
    (d) => html`<tr><td>${d.what}</td><td>${d.who}</td><td>${d.why}</td></tr>`,
  )}</tbody></table></div>`;
}

function facts(title: string, rows: Row[]): Markup {
  if (rows.length === 0) return NOTHING;
  return html`<h3>${title}</h3><dl class="facts">${rows.map(
    (r) =>
      html`<div><dt>${r.label}</dt><dd>${/digest|^Run$|^Workflow$/i.test(r.label) ? html`<code>${r.value}</code>` : r.value}</dd></div>`,
  )}</dl>`;
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
