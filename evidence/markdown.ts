/** The report as Markdown that GitHub renders, with a Gantt chart it draws itself. */
import { STAGES } from '../plan/model.ts';
import type { Row, ShownDecision } from './audit.ts';
import { lastKnown } from './clocks.ts';
import { drillRows, verdictOfDrill } from './drill.ts';
import {
  capital,
  dateTime,
  direction,
  duration,
  outcomeText,
  percent,
  size,
  timeOfDay,
  weightsText,
} from './format.ts';
import { recordDigest } from './json.ts';
import { lossInShort } from './objectives.ts';
import type { DrillRecord, RunRecord } from './record.ts';
import { buildReport, isEvidence, type Report, type RunEvidence } from './report.ts';

/** GitHub draws no chart whose source is longer than 50,000 characters. */
const CHART_LIMIT = 45_000;

/** @param options `title` for several runs; `generatedAt` in milliseconds since the epoch, left out when absent */
export function renderMarkdown(
  runs: Array<Partial<RunRecord> | RunEvidence>,
  options: { title?: string; generatedAt?: number | null; drill?: DrillRecord } = {},
): string {
  const reports = runs.map((r) => buildReport(r));
  const title = options.title ?? (reports.length === 1 ? reports[0]!.title : `Rampart: ${reports.length} runs`);
  const parts = [
    `# ${md(title)}`,
    `Evidence report${options.generatedAt == null ? '' : `, ${dateTime(options.generatedAt)}`}. All times UTC.`,
    ...(options.drill === undefined ? [] : [drillPart(options.drill)]),
    ...(reports.length > 1 ? [overview(reports)] : []),
    ...reports.map((r) => runPart(r, reports.length > 1)),
    '---',
    runs
      .map(
        (r, i) =>
          `SHA-256 of the record of run ${i + 1} as canonical JSON: \`${recordDigest(isEvidence(r) ? r.record : r)}\``,
      )
      .join('  \n'),
  ];
  return `${parts.filter((p) => p !== '').join('\n\n')}\n`;
}

/** A value as plain text, anywhere in Markdown: no markup, no HTML, no new line. */
export function md(value: string): string {
  return value
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\`*_{}[\]|~#$]/g, '\\$&')
    .trim();
}

/** Inline code; a value cannot close it. */
function code(value: string): string {
  const text = value
    .replace(/[\s`]+/g, ' ')
    .replace(/\|/g, '\\|')
    .trim();
  return text === '' ? '' : `\`${text}\``;
}

function table(head: string[], rows: string[][]): string {
  if (rows.length === 0) return '';
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function drillPart(drill: DrillRecord): string {
  return [
    `**${capital(verdictOfDrill(drill))}.** ${md(drill.text)}`,
    drill.reasons.map((reason) => `- ${md(reason)}`).join('\n'),
    facts(drillRows(drill)),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function overview(reports: Report[]): string {
  return table(
    ['Run', 'Direction', 'Outcome', 'Recovery time', 'Without writes', 'Write gap', 'Writes lost', 'Verdict'],
    reports.map((r, i) => [
      `${i + 1}. ${md(r.title.split(',')[0]!)}, ${md(r.record.mode)}`,
      md(direction(r.record.from, r.record.to)),
      outcomeText(r.record.outcome),
      md(r.objectives.find((o) => o.name.startsWith('Recovery time'))?.actual ?? ''),
      r.times.freezeMs === null ? '' : duration(r.times.freezeMs),
      r.load?.writeGapMs == null ? '' : duration(r.load.writeGapMs),
      md(lossInShort(r.record, r.load)),
      `**${r.verdict}**`,
    ]),
  );
}

function runPart(report: Report, several: boolean): string {
  const r = report.record;
  const h = several ? '###' : '##';
  const section = (title: string, body: string) => (body === '' ? '' : `${h} ${title}\n\n${body}`);
  return [
    several ? `## ${md(report.title)}` : '',
    `**${capital(report.verdict)}.** ${md(capital(report.conclusion))}`,
    section('To follow up', followUp(report)),
    section('Objectives', objectives(report)),
    section('Assertions', assertions(report)),
    section('What happened', chart(r)),
    section('Traffic', traffic(report)),
    section('Loss statement', loss(report)),
    section('What did not arrive', leftBehind(report)),
    section('Results', facts(report.results)),
    section('People', people(report)),
    section('Clocks', clocks(report)),
    section(
      'Deviations',
      table(
        ['What', 'Who', 'Why'],
        report.deviations.map((d) => [md(d.what), md(d.who), md(d.why)]),
      ),
    ),
    section('Communication', facts(report.communication)),
    section('Scenario', facts(report.scenario)),
    section('Identity', facts(report.identity)),
    section('What comes next', facts(report.closing)),
    section('Timeline', timeline(report)),
  ]
    .filter((p) => p !== '')
    .join('\n\n');
}

function followUp(report: Report): string {
  return table(
    ['Id', 'Kind', 'Where', 'What', 'What to do', 'Owner'],
    report.findings.map((f) => [
      f.id,
      f.severity,
      md(f.where),
      md(f.message),
      f.remedy.startsWith('rampart ')
        ? code(f.remedy)
        : f.remedy
            .split('`')
            .map((p, i) => (i % 2 === 1 ? code(p) : md(p)))
            .join(' '),
      md(f.owner),
    ]),
  );
}

function objectives(report: Report): string {
  return table(
    ['Objective', 'Target', 'Achieved', 'Margin', 'Basis', 'Result'],
    report.objectives.map((o) => [
      md(o.name),
      md(o.target),
      md(o.actual),
      o.margin ?? '',
      o.basis,
      o.met === null ? 'not judged' : o.met ? 'met' : '**missed**',
    ]),
  );
}

function assertions(report: Report): string {
  return table(
    ['Assertion', 'Expression', 'Values', 'Basis', 'Result'],
    report.assertions.map((a) => [
      md(a.name),
      code(a.expr),
      md(a.note),
      a.basis ?? '',
      a.met === null ? '**not judged**' : a.met ? 'met' : a.severity === 'warn' ? 'not met, a warning' : '**not met**',
    ]),
  );
}

/** Text inside a Mermaid chart: its own separators and comment marks are taken out. */
function chartText(text: string): string {
  return (
    text
      .replace(/[^\p{L}\p{N} .,()/@_+-]+/gu, ' ')
      .replace(/\s+/g, ' ')
      .trim()
      .slice(0, 60) || 'step'
  );
}

function chart(record: RunRecord): string {
  const end = record.endedAt ?? lastKnown(record);
  const steps = record.steps.filter((s) => Number.isFinite(s.startedAt));
  if (steps.length === 0 || end === null) return '';
  const lines = ['gantt', '  dateFormat x', '  axisFormat %H:%M:%S'];
  const pnr = record.pointOfNoReturn;
  const waits = (record.waits ?? []).filter((w) => Number.isFinite(w.startedAt));
  if (waits.length > 0) lines.push('  section people');
  for (const w of waits)
    lines.push(
      `  ${chartText(`Waits for people ${w.kind} ${w.name}`)} :active, ${Math.round(w.startedAt)}, ${Math.round(Math.max(w.startedAt + 1, w.endedAt ?? end))}`,
    );
  const stages = [...new Set(steps.map((s) => s.stage))].sort((a, b) => STAGES.indexOf(a) - STAGES.indexOf(b));
  for (const stage of stages) {
    lines.push(`  section ${chartText(stage)}`);
    for (const s of steps.filter((x) => x.stage === stage)) {
      if (pnr.crossedAt !== null && s.id === pnr.stepId)
        lines.push(`  Point of no return :milestone, crit, ${Math.round(pnr.crossedAt)}, 0ms`);
      const tag =
        s.state === 'done' ? 'done, ' : s.state === 'failed' ? 'crit, ' : s.state === 'running' ? 'active, ' : '';
      const to = Math.max(s.startedAt + 1, s.endedAt ?? end);
      lines.push(`  ${chartText(s.summary || s.id)} :${tag}${Math.round(s.startedAt)}, ${Math.round(to)}`);
    }
  }
  while (lines.join('\n').length > CHART_LIMIT) lines.pop();
  return `\`\`\`mermaid\n${lines.join('\n')}\n\`\`\``;
}

function traffic(report: Report): string {
  return table(
    ['Router', 'Moved', 'Weights set', 'Observed at the edge', 'Bake', 'Measurements'],
    report.record.ramp.map((e) => [
      md(e.router),
      percent(e.percent),
      md(weightsText(e.weights)),
      e.observed === null ? 'not sampled' : md(weightsText(e.observed)),
      `${e.bake}${e.steppedBack ? ', stepped back' : ''}`,
      e.measurements.map(md).join('<br>'),
    ]),
  );
}

function loss(report: Report): string {
  const { record, load } = report;
  if (record.loss === null && load === null) return '';
  const out = [record.loss === null ? 'No statement was made.' : `**${md(report.loss)}**`];
  if (record.loss?.note) out.push(md(record.loss.note));
  if (load !== null) {
    const where =
      load.lost > 0 && load.lostInsideStatement != null
        ? load.lostInsideStatement
          ? ' All that are missing lie inside the stated window.'
          : ' **Some that are missing lie outside the stated window.**'
        : '';
    out.push(
      `Clients were given ${load.acknowledged} acknowledgements; ${load.lost} of them are not in the database, ${load.duplicated} are there more than once.${where}${load.writeGapMs === null ? '' : ` Longest gap between two writes: ${duration(load.writeGapMs)}.`}`,
    );
  }
  return out.join('\n\n');
}

function leftBehind(report: Report): string {
  return report.leftBehind
    .flatMap(({ where, text, tables }) => [
      `**${md(where)}.** ${md(text)}`,
      table(
        ['Table', 'Inserted', 'Updated', 'Deleted', 'The rows, on the old side'],
        tables.map((t) => [md(t.table), t.inserted, t.updated, t.deleted, code(t.select)]),
      ),
    ])
    .filter((part) => part !== '')
    .join('\n\n');
}

function people(report: Report): string {
  const { requester, fourEyes, participants, thirdParties, decisions } = report.people;
  const took = participants.length === 0 ? '' : ` Took part: ${md(participants.join(', '))}.`;
  const text = `Requested by ${md(requester)}. Four eyes: ${md(fourEyes)}.${took} Third parties: ${md(thirdParties)}. Names are as given: Temporal does not prove who sent a message.`;
  const rows = decisions.map((d) => [
    code(d.gate),
    d.decision === 'approve' ? 'approved' : '**rejected**',
    md(d.by),
    timeOfDay(d.at),
    d.decision === 'reject' || d.maxLoss === undefined
      ? ''
      : [
          d.maxLoss.seconds === null ? '' : `${d.maxLoss.seconds} s`,
          d.maxLoss.bytes === null ? '' : size(d.maxLoss.bytes),
        ]
          .filter((t) => t !== '')
          .join(', ') || 'not bounded',
    md(
      [d.comment, d.override.length > 0 ? `override ${d.override.join(', ')}` : ''].filter((t) => t !== '').join('; '),
    ),
    code(d.factsDigest.slice(0, 12)),
  ]);
  const decided = table(['Gate', 'Decision', 'By', 'At', 'Loss accepted', 'Comment, overrides', 'Facts shown'], rows);
  return [text, decided, ...decisions.map(shown)].filter((part) => part !== '').join('\n\n');
}

function shown(decision: ShownDecision): string {
  const title = `What ${md(decision.by)} saw at ${code(decision.gate)}`;
  return decision.facts === null
    ? `${title}: the record keeps only the digest of the facts, ${code(decision.factsDigest)}.`
    : `<details><summary>${md(`What ${decision.by} saw at ${decision.gate}`)}</summary>\n\n${facts(decision.facts)}\n\n</details>`;
}

function clocks(report: Report): string {
  if (report.clocks.every((c) => c.at === null)) return '';
  const { times } = report;
  const rows = report.clocks.map((c) => [
    c.id,
    c.name,
    c.at === null ? '–' : timeOfDay(c.at),
    c.basis === 'unknown' ? '' : c.basis,
    md(c.source),
  ]);
  const phases = report.phases.map((p) => [
    `${p.name} (${p.from} to ${p.to})`,
    duration(p.totalMs),
    duration(p.machineMs),
    duration(p.peopleMs),
    duration(p.beforeMs),
    p.basis,
  ]);
  return [
    table(['', 'Moment', 'At', 'Basis', 'Source'], rows),
    table(['Phase', 'In all', 'Machine', 'Waiting for people', 'Before the run', 'Basis'], phases),
    `Run ${duration(times.totalMs)} in all: ${duration(times.machineMs)} machine, ${duration(times.waitingMs)} waiting for people.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function facts(rows: Row[]): string {
  return table(
    ['', ''],
    rows.map((r) => [md(r.label), md(r.value)]),
  );
}

function timeline(report: Report): string {
  const rows = report.timeline.map((e) => [
    timeOfDay(e.at),
    md(e.actor),
    md(e.text),
    e.bad ? `**${md(e.result || 'failed')}**` : md(e.result),
  ]);
  const body = table(['At', 'Who', 'What', 'Result'], rows);
  return body === '' ? '' : `<details><summary>${rows.length} entries</summary>\n\n${body}\n\n</details>`;
}
