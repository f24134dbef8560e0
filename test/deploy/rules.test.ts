/** The rules, as Prometheus' own tool reads and tries them. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type DebianProgram, installDebianPart } from '../../lab/parts/debian.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { dashboard } from '../../metrics/dashboard.ts';
import { METRICS, type MetricName, specOf } from '../../metrics/names.ts';
import { problemOf, program } from '../docs/commands.ts';

const folder = join(repositoryRoot(), 'deploy/prometheus');
const file = (name: string): string => readFileSync(join(folder, name), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; command: string; runbook_url: string };
}
const TESTS = ['rules.test.yml', 'rules-over-days.test.yml'];
const rules = (parse(file('rules.yml')) as { groups: Array<{ rules: Rule[] }> }).groups.flatMap((g) => g.rules);

describe('promtool', () => {
  let promtool: DebianProgram;
  beforeAll(async () => {
    promtool = await installDebianPart('promtool');
  }, 300_000);
  const run = (...args: string[]) => spawnSync(promtool.bin, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 });

  it('takes the rules, and each of its tests comes out', () => {
    const checked = run('check', 'rules', 'rules.yml');
    expect(`${checked.stderr}${checked.stdout}`).toContain(`${rules.length} rules found`);
    expect(checked.status).toBe(0);
    const tested = run('test', 'rules', ...TESTS);
    expect(`${tested.stdout}${tested.stderr}`).toContain('SUCCESS');
    expect(tested.status).toBe(0);
  });

  it("takes the dashboard's questions", () => {
    const { panels } = dashboard() as unknown as { panels: Array<{ targets?: Array<{ expr: string }> }> };
    const asked = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const questions = asked.map((expr, i) => ({
      record: `question_${i}`,
      expr: expr.replace(/\$__\w+/g, '5m').replaceAll('$service', '.*'),
    }));
    const asRules = join(mkdtempSync(join(tmpdir(), 'rampart-rules-')), 'questions.yml');
    writeFileSync(asRules, JSON.stringify({ groups: [{ name: 'dashboard', rules: questions }] }));
    const checked = run('check', 'rules', asRules);
    rmSync(dirname(asRules), { recursive: true });
    expect(`${checked.stderr}${checked.stdout}`).toContain(`${asked.length} rules found`);
    expect(checked.status).toBe(0);
  });

  it('takes the example of a configuration', () => {
    const checked = run('check', 'config', '--syntax-only', 'prometheus.yml');
    expect(`${checked.stdout}${checked.stderr}`).toContain('SUCCESS');
    expect(checked.status).toBe(0);
  });
});

describe.each(rules)('$alert', ({ alert, expr, labels, annotations }) => {
  it('is tried by a test', () => {
    const named = [
      ...TESTS.map(file)
        .join('')
        .matchAll(/alertname="(\w+)"/g),
    ].map(([, name]) => name);
    expect(named).toContain(alert);
  });

  it('asks for metrics that there are, by labels they carry', () => {
    for (const [, name, of] of expr.matchAll(/(rampart_[a-z_]+)(?:\{([^}]*)\})?/g)) {
      expect(Object.keys(METRICS), `${name}`).toContain(name);
      for (const [, label] of (of ?? '').matchAll(/(\w+)[=!]~?"/g))
        expect(specOf(name as MetricName).labels, `${name} ${label}`).toContain(label);
    }
  });

  it('says what to do, by a command that exists, and where more is written', async () => {
    const cli = await program();
    expect(annotations.summary && annotations.description).toBeTruthy();
    expect(['critical', 'warning']).toContain(labels.severity);
    const line = annotations.command.replace(/\{\{ \$labels\.(\w+) \}\}/g, '$1');
    expect(problemOf(cli, line)).toBeNull();
    const [page, anchor] = annotations.runbook_url.split('#') as [string, string];
    expect(existsSync(join(repositoryRoot(), page))).toBe(true);
    const headings = readFileSync(join(repositoryRoot(), page), 'utf8').match(/^#+ .*$/gm)!;
    expect(headings.map((heading) => heading.replace(/^#+ /, '').toLowerCase())).toContain(anchor);
    expect(anchor).toBe(alert.toLowerCase());
  });
});
