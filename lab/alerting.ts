/**
 * Alerts for a world: a real Prometheus that scrapes its apps, a real Alertmanager, and `rampart serve`, to which that
 * one sends. The trigger is written into the world's topology.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { installDebianPart } from './parts/debian.ts';
import { built, repositoryRoot } from './paths.ts';
import { freePorts } from './ports.ts';
import { type ProcessOptions, startProcess } from './processes.ts';
import type { WorldReport } from './world/running.ts';
import { recordOf, type WorldSpec } from './world/spec.ts';
import { untilAnswers } from './world/temporal.ts';

export interface Alerting {
  prometheus: string;
  alertmanager: string;
  /** `rampart serve`. */
  hooks: string;
}

export interface AlertingOptions {
  dir: string;
  world: WorldReport;
  service: string;
  /** Region that the trigger goes to. */
  to: string;
  log: (line: string) => void;
}

/** The alert that the rules fire and the trigger waits for. */
export const ALERT = 'CheckoutCannotWrite';
export const TRIGGER = 'checkout-cannot-write';
const READY_MS = 60_000;

/** Starts all of it beside a world; its processes end with that world. @throws Error when one does not answer */
export async function startAlerting({ dir, world, service, to, log }: AlertingOptions): Promise<Alerting> {
  const folder = join(dir, 'alerting');
  mkdirSync(folder, { recursive: true });
  const [prometheus, alertmanager] = [
    await installDebianPart('prometheus', { log }),
    await installDebianPart('alertmanager', { log }),
  ];
  const [scraper, manager, hooks, counts] = (await freePorts(4)) as [number, number, number, number];
  const token = randomBytes(24).toString('base64url');
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  addTrigger(world.config, service, to);
  const rules = write('rules.yml', RULES);
  const apps = Object.entries(world.regions).map(([region, { app }]) => ({
    targets: [new URL(app).host],
    labels: { region },
  }));
  const scraping = write(
    'prometheus.yml',
    JSON.stringify({
      global: { scrape_interval: '500ms', scrape_timeout: '400ms', evaluation_interval: '500ms' },
      rule_files: [rules, join(repositoryRoot(), 'deploy/prometheus/rules.yml')],
      alerting: {
        // Rampart's own rules are evaluated; what they say is no alert about the service.
        alert_relabel_configs: [{ source_labels: ['alertname'], regex: ALERT, action: 'keep' }],
        alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${manager}`] }] }],
      },
      scrape_configs: [
        { job_name: service, static_configs: apps },
        ...jobsOf(dir),
        { job_name: 'rampart-serve', static_configs: [{ targets: [`127.0.0.1:${counts}`] }] },
      ],
    }),
  );
  const routing = write(
    'alertmanager.yml',
    JSON.stringify({
      route: {
        receiver: 'rampart',
        group_by: ['alertname'],
        group_wait: '0s',
        group_interval: '1s',
        repeat_interval: '1m',
      },
      receivers: [
        {
          name: 'rampart',
          webhook_configs: [
            {
              url: `http://127.0.0.1:${hooks}/hooks/alertmanager`,
              http_config: { authorization: { credentials_file: write('token', token) } },
            },
          ],
        },
      ],
    }),
  );
  const start = (name: string, command: string, args: string[], rest: Pick<ProcessOptions, 'env' | 'cwd'>): void => {
    const files = { log: join(dir, 'logs', `${name}.log`), record: recordOf(dir) };
    startProcess({ name, command, args, cwd: folder, ...rest, ...files });
  };
  const env = {
    RAMPART_CONFIG: world.config,
    RAMPART_LAB_ALERTS: token,
    TEMPORAL_ADDRESS: world.temporal.address,
    TEMPORAL_NAMESPACE: world.temporal.namespace,
  };
  const addresses = ['--address', `127.0.0.1:${hooks}`, '--metrics-address', `127.0.0.1:${counts}`];
  const serve = [built('clients/cli/main.js'), 'serve', ...addresses];
  start('serve', process.execPath, serve, { env });
  const storing = [`--config.file=${routing}`, `--storage.path=${join(folder, 'alertmanager')}`];
  const alone = [`--web.listen-address=127.0.0.1:${manager}`, '--cluster.listen-address='];
  start('alertmanager', alertmanager.bin, [...storing, ...alone], { cwd: alertmanager.cwd });
  const series = [`--config.file=${scraping}`, `--storage.tsdb.path=${join(folder, 'prometheus')}`];
  start('prometheus', prometheus.bin, [...series, `--web.listen-address=127.0.0.1:${scraper}`], {});
  const of = (name: string): string => `${name}; its log is ${join(dir, 'logs', `${name}.log`)}`;
  await Promise.all([
    untilAnswers(`http://127.0.0.1:${scraper}/-/ready`, READY_MS, of('prometheus')),
    untilAnswers(`http://127.0.0.1:${manager}/-/ready`, READY_MS, of('alertmanager')),
    untilAnswers(`http://127.0.0.1:${hooks}/healthz`, READY_MS, of('serve')),
  ]);
  return {
    prometheus: `http://127.0.0.1:${scraper}`,
    alertmanager: `http://127.0.0.1:${manager}`,
    hooks: `http://127.0.0.1:${hooks}`,
  };
}

/** A job for each place, as deploy/prometheus/prometheus.yml has them. */
function jobsOf(dir: string) {
  const spec = JSON.parse(readFileSync(join(dir, 'world.json'), 'utf8')) as WorldSpec;
  const places = ['control', ...spec.regions.map(({ name }) => `region-${name}`)];
  return places.map((place, i) => {
    const ports = spec.metricsPorts.slice(i * spec.workers, (i + 1) * spec.workers);
    return { job_name: `rampart-${place}`, static_configs: [{ targets: ports.map((port) => `127.0.0.1:${port}`) }] };
  });
}

/** Nobody can place an order, from any region. */
const RULES = JSON.stringify({
  groups: [
    {
      name: 'checkout',
      rules: [
        {
          alert: ALERT,
          expr: 'max(shop_writer_up) == 0 or absent(shop_writer_up)',
          for: '1s',
          labels: { severity: 'critical', service: 'checkout' },
          annotations: { summary: 'No region can place orders' },
        },
      ],
    },
  ],
});

function addTrigger(config: string, service: string, to: string): void {
  const file = parseDocument(readFileSync(config, 'utf8'));
  const auth = { bearer: '$' + '{env:RAMPART_LAB_ALERTS}' };
  file.setIn(['alertSources', 'alertmanager'], file.createNode({ type: 'alertmanager', auth }));
  const when = [{ source: 'alertmanager', labels: { alertname: ALERT } }];
  file.setIn(['triggers', TRIGGER], file.createNode({ service, to, when }));
  writeFileSync(config, String(file));
}
