/** Every format a report is written in. */
import { drillEvidence, drillTitle } from './drill.ts';
import { renderHtml } from './html.ts';
import { renderJson } from './json.ts';
import { renderJunit } from './junit.ts';
import { renderMarkdown } from './markdown.ts';
import type { DrillRecord, RunRecord } from './record.ts';
import type { RunEvidence } from './report.ts';

export const FORMATS = ['json', 'markdown', 'html', 'junit'] as const;
export type ReportFormat = (typeof FORMATS)[number];

/** File name endings, for writing reports next to each other. */
export const ENDINGS: Record<ReportFormat, string> = {
  json: 'json',
  markdown: 'md',
  html: 'html',
  junit: 'junit.xml',
};

export interface RenderOptions {
  /** Heading; made from the runs when absent. */
  title?: string;
  /** When the report is made, in milliseconds since the epoch; absent: the same runs give the same bytes. */
  generatedAt?: number | null;
  /** The drill whose legs the runs are: its verdict stands above theirs. */
  drill?: DrillRecord;
}

/**
 * Renders several runs into one report.
 * @param runs records, or records with what a load saw; a run that has not ended is rendered as far as it is
 */
export function renderReports(
  runs: Array<Partial<RunRecord> | RunEvidence>,
  format: ReportFormat,
  options: RenderOptions = {},
): string {
  switch (format) {
    case 'json':
      return renderJson(runs, options.generatedAt ?? null, options.drill);
    case 'markdown':
      return renderMarkdown(runs, options);
    case 'html':
      return renderHtml(runs, options);
    case 'junit':
      return renderJunit(runs, options.drill);
  }
}

/** Renders one run. */
export function renderReport(
  run: Partial<RunRecord> | RunEvidence,
  format: ReportFormat,
  options: RenderOptions = {},
): string {
  return renderReports([run], format, options);
}

/** Renders a drill: its verdict, and its legs. */
export function renderDrill(drill: DrillRecord, format: ReportFormat, options: RenderOptions = {}): string {
  return renderReports(drillEvidence(drill), format, { title: drillTitle(drill), ...options, drill });
}
