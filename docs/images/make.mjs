// Makes run.svg, the picture in README.md, from a real run:
//   ./rampart demo && node docs/images/make.mjs .lab/worlds/demo/report.json
import { readFileSync, writeFileSync } from 'node:fs';
import { gantt } from '../../dist/evidence/html/gantt.js';
import { STYLE } from '../../dist/evidence/html/style.js';

const [report] = process.argv.slice(2);
if (report === undefined) throw new Error('which report.json?');
const { runs } = JSON.parse(readFileSync(report, 'utf8'));
const { record } = runs.find((run) => run.record.mode === 'planned' && run.record.outcome === 'completed');
const chart = /<svg viewBox="0 0 ([\d.]+) ([\d.]+)"([^>]*)>(.*)<\/svg>/s.exec(gantt(record).text);
const [, width, height, attributes, content] = chart;
// Only what the chart uses: its colours, for light and dark, and its classes.
const rules = STYLE.split('\n').filter((line) => /^(:root|--|@media \(prefers|\.g-)/.test(line));
const [w, h] = [Number(width) + 24, Number(height) + 16];
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -6 ${w} ${h}" width="${w}"${attributes} font-family="system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif">
<style>${rules.join('\n')}</style>
<rect x="-12" y="-6" width="${w}" height="${h}" fill="var(--card)"/>
${content.replaceAll('</g>', '</g>\n')}
</svg>
`;
writeFileSync(new URL('run.svg', import.meta.url), svg);
