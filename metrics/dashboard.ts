/**
 * The Grafana dashboard, in the classic JSON model: deploy/grafana/dashboards/rampart.json is written from here by
 * RAMPART_UPDATE_DOCS=1, and a test compares them.
 */

/** Several workers read the same: the greatest of their readings. */
const worst = (metric: string, by: string): string => `max by (${by}) (${metric}{service=~"$service"})`;
const lowest = (metric: string, by: string): string => `min by (${by}) (${metric}{service=~"$service"})`;

interface Query {
  expr: string;
  legend: string;
  /** Only the value of now. */
  instant?: boolean;
}

interface PanelSpec {
  title: string;
  type: 'stat' | 'timeseries' | 'table' | 'state-timeline';
  description: string;
  queries: Query[];
  /** Columns of 24. */
  width: number;
  height?: number;
  unit?: string;
  /** Value from which it is yellow, and red; `null`: never. */
  thresholds?: readonly [yellow: number | null, red: number | null];
  /** Bad is low. */
  inverted?: boolean;
}

interface Row {
  title: string;
  panels: PanelSpec[];
}

const ROWS: Row[] = [
  {
    title: 'Readiness',
    panels: [
      {
        title: 'Active region',
        type: 'state-timeline',
        description: 'Where the writable side is. Two of one component at one time are a split brain.',
        queries: [
          {
            expr: `${worst('rampart_active_region', 'service, component, region')} == 1`,
            legend: '{{service}} {{component}} in {{region}}',
          },
        ],
        width: 12,
      },
      {
        title: 'What the guard finds',
        type: 'table',
        description: 'rampart guard <service> says what it means and what to do first.',
        queries: [
          {
            expr: `${worst('rampart_guard_finding', 'service, component, code, severity')} == 1`,
            legend: '',
            instant: true,
          },
        ],
        width: 12,
      },
      {
        title: 'Last plan',
        type: 'stat',
        description: '1: nothing blocked the last plan of the service.',
        queries: [{ expr: lowest('rampart_preflight_status', 'service, check'), legend: '{{service}} {{check}}' }],
        width: 6,
        thresholds: [null, 1],
        inverted: true,
      },
      {
        title: 'Since the last proof',
        type: 'stat',
        description: 'Since the last completed failover or failback.',
        queries: [
          { expr: `time() - ${worst('rampart_last_proof_timestamp_seconds', 'service')}`, legend: '{{service}}' },
        ],
        width: 6,
        unit: 's',
        thresholds: [60 * 86_400, 90 * 86_400],
      },
      {
        title: 'Since the last passed drill',
        type: 'stat',
        description: 'Overdue by the topology when the alert RampartDrillOverdue fires.',
        queries: [
          {
            expr: `time() - ${worst('rampart_last_drill_pass_timestamp_seconds', 'service, kind')}`,
            legend: '{{service}} {{kind}}',
          },
        ],
        width: 6,
        unit: 's',
      },
      {
        title: 'Age of the readings',
        type: 'stat',
        description: 'Readings that grow old disappear from the other panels.',
        queries: [
          {
            expr: `time() - ${worst('rampart_reading_timestamp_seconds', 'service, reader')}`,
            legend: '{{service}} {{reader}}',
          },
        ],
        width: 6,
        unit: 's',
        thresholds: [60, 120],
      },
    ],
  },
  {
    title: 'Current run',
    panels: [
      {
        title: 'Open runs',
        type: 'stat',
        description: 'rampart status <service> shows where it stands.',
        queries: [
          {
            expr: `${worst('rampart_run_active', 'service, action, mode')} or on () vector(0)`,
            legend: '{{service}} {{action}} {{mode}}',
          },
        ],
        width: 6,
      },
      {
        title: 'Waits for people',
        type: 'stat',
        description: 'At a gate, holding, or paused.',
        queries: [
          {
            expr: `${worst('rampart_run_waiting', 'service, reason')} or on () vector(0)`,
            legend: '{{service}} {{reason}}',
          },
          { expr: worst('rampart_approval_pending', 'service, gate'), legend: '{{service}} gate {{gate}}' },
        ],
        width: 6,
        thresholds: [1, null],
      },
      {
        title: 'Traffic',
        type: 'timeseries',
        description: 'As the router is set; dots are what clients were counted at after a change.',
        queries: [
          {
            expr: worst('rampart_traffic_weight_percent', 'service, component, region'),
            legend: '{{component}} {{region}}',
          },
          {
            expr: worst('rampart_traffic_weight_observed_percent', 'service, component, region'),
            legend: '{{component}} {{region}} observed',
          },
        ],
        width: 12,
        unit: 'percent',
      },
      {
        title: 'Slowest steps',
        type: 'timeseries',
        description: '95th percentile by step.',
        queries: [
          {
            expr: 'histogram_quantile(0.95, sum by (le, step) (rate(rampart_step_duration_seconds_bucket{service=~"$service"}[$__rate_interval])))',
            legend: '{{step}}',
          },
        ],
        width: 12,
        unit: 's',
      },
      {
        title: 'Failures, retries, undos',
        type: 'timeseries',
        description: 'Steps that failed for good, further attempts, and undos that failed.',
        queries: [
          {
            expr: 'sum by (step, reason) (increase(rampart_step_failures_total{service=~"$service"}[$__rate_interval]))',
            legend: '{{step}} {{reason}}',
          },
          {
            expr: 'sum by (step) (increase(rampart_step_retries_total{service=~"$service"}[$__rate_interval]))',
            legend: '{{step}} again',
          },
          {
            expr: 'sum by (step, result) (increase(rampart_compensations_total{service=~"$service"}[$__rate_interval]))',
            legend: 'undo of {{step}} {{result}}',
          },
        ],
        width: 12,
      },
      {
        title: 'Analysis',
        type: 'timeseries',
        description: 'Measurements of checks during bakes, and what became of the bakes.',
        queries: [
          {
            expr: 'sum by (check, result) (increase(rampart_analysis_measurements_total{service=~"$service"}[$__rate_interval]))',
            legend: '{{check}} {{result}}',
          },
          {
            expr: 'sum by (result) (increase(rampart_analysis_runs_total{service=~"$service"}[$__rate_interval]))',
            legend: 'bake {{result}}',
          },
        ],
        width: 12,
      },
      {
        title: 'Left unprotected',
        type: 'table',
        description: 'What the last run left to be done, and undos of it that failed.',
        queries: [
          { expr: worst('rampart_protection_debt', 'service, code'), legend: '', instant: true },
          { expr: `${worst('rampart_compensations_failed', 'service')} > 0`, legend: '', instant: true },
        ],
        width: 12,
      },
    ],
  },
  {
    title: 'History',
    panels: [
      {
        title: 'Runs that ended',
        type: 'timeseries',
        description: 'As the workers counted them since they started.',
        queries: [
          {
            expr: 'sum by (action, mode, result) (increase(rampart_runs_total{service=~"$service"}[$__interval]))',
            legend: '{{action}} {{mode}} {{result}}',
          },
        ],
        width: 12,
      },
      {
        title: 'Last runs',
        type: 'table',
        description: 'End of the last run of each service, and how it ended.',
        queries: [
          {
            expr: `${worst('rampart_last_run_timestamp_seconds', 'service, action, result')} * 1000`,
            legend: '',
            instant: true,
          },
        ],
        width: 12,
        unit: 'dateTimeAsIso',
      },
      {
        title: 'Machine or people?',
        type: 'timeseries',
        description: 'Mean time of the runs that ended: at work, and waiting for people.',
        queries: [
          { expr: mean('rampart_run_progression_duration_seconds'), legend: 'at work' },
          { expr: mean('rampart_run_manual_wait_duration_seconds'), legend: 'waiting for people' },
          { expr: mean('rampart_run_duration_seconds'), legend: 'total' },
          { expr: mean('rampart_approval_wait_seconds'), legend: 'one gate' },
        ],
        width: 12,
        unit: 's',
      },
      {
        title: 'Drills',
        type: 'stat',
        description: '1: the last drill has passed.',
        queries: [{ expr: lowest('rampart_last_drill_success', 'service, kind'), legend: '{{service}} {{kind}}' }],
        width: 12,
        thresholds: [null, 1],
        inverted: true,
      },
    ],
  },
  {
    title: 'Objectives',
    panels: [
      {
        title: 'Recovery time',
        type: 'timeseries',
        description: 'Achieved by the last run that moved the service, against what its tier promises.',
        queries: [
          { expr: worst('rampart_recovery_time_seconds', 'service, mode'), legend: '{{service}} {{mode}}' },
          {
            expr: `max by (service) (rampart_objective_seconds{service=~"$service", objective="rto"})`,
            legend: '{{service}} RTO',
          },
        ],
        width: 8,
        unit: 's',
      },
      {
        title: 'Recovery point',
        type: 'timeseries',
        description: 'Upper bound of what the last run that moved the service lost, against what its tier promises.',
        queries: [
          { expr: worst('rampart_recovery_point_seconds', 'service, mode'), legend: '{{service}} {{mode}}' },
          {
            expr: `max by (service) (rampart_objective_seconds{service=~"$service", objective="rpo"})`,
            legend: '{{service}} RPO',
          },
        ],
        width: 8,
        unit: 's',
      },
      {
        title: 'Met by the last run',
        type: 'stat',
        description: '1: met. What nobody knows is not shown.',
        queries: [{ expr: lowest('rampart_objective_met', 'service, objective'), legend: '{{service}} {{objective}}' }],
        width: 8,
        thresholds: [null, 1],
        inverted: true,
      },
    ],
  },
  {
    title: 'Lag',
    panels: [
      {
        title: 'Replication lag',
        type: 'timeseries',
        description: 'Only what is freshly measured: a gap means that nobody knows.',
        queries: [
          {
            expr: worst('rampart_replication_lag_seconds', 'service, component, region'),
            legend: '{{service}} {{component}} in {{region}}',
          },
        ],
        width: 12,
        unit: 's',
      },
      {
        title: 'Replication lag in bytes',
        type: 'timeseries',
        description: 'Only what is freshly measured: a gap means that nobody knows.',
        queries: [
          {
            expr: worst('rampart_replication_lag_bytes', 'service, component, region'),
            legend: '{{service}} {{component}} in {{region}}',
          },
        ],
        width: 12,
        unit: 'bytes',
      },
    ],
  },
  {
    title: 'Alerts taken',
    panels: [
      {
        title: 'Deliveries',
        type: 'timeseries',
        description: 'Messages to the webhooks, by source and answer.',
        queries: [
          {
            expr: 'sum by (source, result) (increase(rampart_alert_deliveries_total[$__rate_interval]))',
            legend: '{{source}} {{result}}',
          },
        ],
        width: 8,
      },
      {
        title: 'Time to the answer',
        type: 'timeseries',
        description: '99th percentile.',
        queries: [
          {
            expr: 'histogram_quantile(0.99, sum by (le, source) (rate(rampart_alert_delivery_duration_seconds_bucket[$__rate_interval])))',
            legend: '{{source}}',
          },
        ],
        width: 8,
        unit: 's',
      },
      {
        title: 'From an alert to Rampart',
        type: 'timeseries',
        description: 'Mean time from the start of an alert to the moment at which Rampart heard of it.',
        queries: [{ expr: mean('rampart_detection_delay_seconds'), legend: 'detection' }],
        width: 8,
        unit: 's',
      },
    ],
  },
];

/** Of a histogram, over the shown interval. */
function mean(metric: string): string {
  const of = (part: string): string => `sum(increase(${metric}_${part}{service=~"$service"}[$__range]))`;
  return `${of('sum')} / ${of('count')}`;
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const HEIGHT = 7;

/** @returns the dashboard as Grafana reads it */
export function dashboard(): Record<string, unknown> {
  const panels: Array<Record<string, unknown>> = [];
  let y = 0;
  for (const { title, panels: specs } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { h: 1, w: 24, x: 0, y },
    });
    y += 1;
    let x = 0;
    for (const spec of specs) {
      if (x + spec.width > 24) {
        x = 0;
        y += HEIGHT;
      }
      panels.push(panel(spec, panels.length + 1, { h: HEIGHT, w: spec.width, x, y }));
      x += spec.width;
    }
    y += HEIGHT;
  }
  return {
    uid: 'rampart',
    title: 'Rampart',
    tags: ['rampart'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '10s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    templating: { list: VARIABLES },
    annotations: { list: [RUN_STARTS] },
    panels,
  };
}

const VARIABLES = [
  { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', current: {}, hide: 0 },
  {
    name: 'service',
    label: 'Service',
    type: 'query',
    datasource: DATASOURCE,
    query: { query: 'label_values(rampart_service_info, service)', refId: 'service' },
    refresh: 2,
    includeAll: true,
    multi: true,
    current: { text: 'All', value: '$__all' },
    sort: 1,
  },
];

const RUN_STARTS = {
  name: 'Runs',
  datasource: DATASOURCE,
  enable: true,
  iconColor: 'orange',
  expr: 'max by (service, action, mode) (rampart_run_active{service=~"$service"}) == 1',
  titleFormat: '{{action}} of {{service}} ({{mode}})',
  step: '10s',
};

function panel(spec: PanelSpec, id: number, gridPos: object): Record<string, unknown> {
  const { title, type, description, queries, unit = 'short', thresholds = [null, null], inverted = false } = spec;
  const [yellow, red] = thresholds;
  const colours = inverted
    ? [
        { color: 'red', value: null },
        { color: 'green', value: red },
      ]
    : [
        { color: 'green', value: null },
        { color: 'yellow', value: yellow },
        { color: 'red', value: red },
      ];
  const steps = colours.filter(({ value }, i) => i === 0 || value !== null);
  return {
    id,
    type,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, thresholds: { mode: 'absolute', steps } }, overrides: [] },
    options: type === 'stat' ? { colorMode: 'background', textMode: 'value_and_name', graphMode: 'none' } : {},
    targets: queries.map(({ expr, legend, instant = false }, i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      instant,
      range: !instant,
      ...(instant ? { format: 'table' } : {}),
    })),
  };
}
