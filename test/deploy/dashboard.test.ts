/** The dashboard and how Grafana and Prometheus are given it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { repositoryRoot } from '../../lab/paths.ts';
import { dashboard } from '../../metrics/dashboard.ts';
import { METRICS, type MetricName, specOf } from '../../metrics/names.ts';

const root = repositoryRoot();
const JSON_FILE = 'deploy/grafana/dashboards/rampart.json';
const file = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets?: Array<{ expr: string; legendFormat: string }>;
}
const { panels, uid, templating } = dashboard() as unknown as {
  panels: Panel[];
  uid: string;
  templating: { list: Array<{ name: string; query: string | { query: string } }> };
};

it('is the file that Grafana is given', () => {
  const written = `${JSON.stringify(dashboard(), null, 2)}\n`;
  if (process.env.RAMPART_UPDATE_DOCS === '1') writeFileSync(join(root, JSON_FILE), written);
  expect(JSON.parse(file(JSON_FILE)), 'RAMPART_UPDATE_DOCS=1 npx vitest run test/deploy/dashboard.test.ts').toEqual(
    JSON.parse(written),
  );
});

it('is found under the same address for ever, and asks for a service', () => {
  expect(uid).toBe('rampart');
  expect(templating.list.map(({ name }) => name)).toContain('service');
  expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual(
    expect.arrayContaining(['Readiness', 'Current run', 'History', 'Objectives', 'Lag']),
  );
});

it('has no two panels in one place', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { h, w, x, y } }) =>
    Array.from({ length: h * w }, (_, i) => `${x + (i % w)}/${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
});

/** `rampart_x_bucket` and the like are series of the histogram. */
function metricOf(series: string): MetricName | undefined {
  const name = series.replace(/_(bucket|sum|count)$/, '');
  const found = [series, name].find((one) => Object.hasOwn(METRICS, one)) as MetricName | undefined;
  return found !== undefined && found !== series && specOf(found).type !== 'histogram' ? undefined : found;
}

describe.each(panels.filter(({ targets }) => targets !== undefined))('$title', ({ targets }) => {
  it.each(targets!)('asks for metrics that there are, by labels they carry: $expr', ({ expr, legendFormat }) => {
    const asked = [...expr.matchAll(/rampart_[a-z_]+/g)].map(([series]) => metricOf(series));
    expect(asked).not.toContain(undefined);
    const labels = new Set(asked.flatMap((name) => specOf(name!).labels).concat('le'));
    for (const [, by] of expr.matchAll(/by \(([^)]*)\)/g))
      for (const label of by!.split(', ')) expect([...labels], label).toContain(label);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect([...labels]).toContain(label);
  });
});

it('shows everything a service has: what is missing is missing on purpose', () => {
  const shown = panels
    .flatMap(({ targets }) => targets ?? [])
    .flatMap(({ expr }) => [...expr.matchAll(/rampart_[a-z_]+/g)].map(([series]) => metricOf(series)));
  const wanted = (Object.keys(METRICS) as MetricName[]).filter((name) => specOf(name).type === 'histogram');
  expect(shown).toEqual(expect.arrayContaining(wanted));
});

it('Grafana finds its data source and the dashboard where the containers have them', () => {
  const { services } = parse(file('deploy/compose/monitoring.yml')) as {
    services: Record<
      string,
      { image: string; volumes: string[]; ports: string[]; environment?: Record<string, string> }
    >;
  };
  const { datasources } = parse(file('deploy/grafana/provisioning/datasources/rampart.yml')) as {
    datasources: Array<{ url: string }>;
  };
  const { providers } = parse(file('deploy/grafana/provisioning/dashboards/rampart.yml')) as {
    providers: Array<{ options: { path: string } }>;
  };
  expect(datasources[0]!.url).toBe('${RAMPART_PROMETHEUS_URL}');
  expect(Object.keys(services.grafana!.environment!)).toContain('RAMPART_PROMETHEUS_URL');
  expect(services.grafana!.volumes).toContain(`./deploy/grafana/dashboards:${providers[0]!.options.path}:ro`);
  const scraped = parse(file('deploy/prometheus/prometheus.yml')) as {
    scrape_configs: Array<{ static_configs: Array<{ targets: string[] }> }>;
  };
  const world = Object.keys((parse(file('docker-compose.yml'), { merge: true }) as { services: object }).services);
  for (const { targets } of scraped.scrape_configs.flatMap((one) => one.static_configs))
    for (const target of targets) expect(world).toContain(target.split(':')[0]);
  for (const { image, ports } of Object.values(services)) {
    expect(image).toMatch(/^[a-z/-]+:v?\d+\.\d+\.\d+$/);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
});
