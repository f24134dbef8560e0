/**
 * Every metric of Rampart, in one place: docs/metrics.md is made of it, rules and dashboards are checked against it,
 * and nothing else can be published. Plain data, because workflow code uses it too.
 *
 * A label's values are a closed set, or names out of the topology; never a run's ID, a person, an alert or a message.
 */

export interface MetricSpec {
  type: 'counter' | 'gauge' | 'histogram';
  /**
   * `workflow`: recorded by workflow code, once, by the control worker that took the step. `worker`: by any worker
   * process. `serve`: by `rampart serve`.
   */
  from: 'workflow' | 'worker' | 'serve';
  labels: readonly string[];
  /** A sentence without its full stop. */
  help: string;
  /** Upper bounds of a histogram's buckets. */
  buckets?: readonly number[];
}

const MINUTE = 60;
const HOUR = 3_600;
/** Steps: from a look to a rebuild, in seconds. */
const STEP_SECONDS = [0.1, 0.5, 1, 2, 5, 10, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR] as const;
/** Runs, and people: from an instant to a week, in seconds. */
const RUN_SECONDS = [
  1, 5, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, 24 * HOUR, 168 * HOUR,
] as const; // biome-ignore format: a list
/** Answers to webhooks, in seconds. */
const ANSWER_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

const RUN = ['service', 'action', 'mode', 'result'] as const;

export const METRICS = {
  rampart_info: { type: 'gauge', from: 'worker', labels: ['version', 'place'], help: '1 for a process that runs' },
  rampart_service_info: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'tier', 'guarded'],
    help: '1 for each service of the topology',
  },
  rampart_objective_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'objective'],
    help: "What the service's tier promises: rto, rpo, freeze",
  },
  rampart_reading_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'reader'],
    help: 'When the gauges of a reader (guard, runs) were last read; readings that grow old disappear, this one stays',
  },

  rampart_runs_total: { type: 'counter', from: 'workflow', labels: RUN, help: 'Runs that ended' },
  rampart_run_duration_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: RUN,
    help: 'From start to end: the next two together',
    buckets: RUN_SECONDS,
  },
  rampart_run_progression_duration_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: RUN,
    help: 'Time in which the run was at work',
    buckets: RUN_SECONDS,
  },
  rampart_run_manual_wait_duration_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: RUN,
    help: 'Time in which the run did nothing but wait for people',
    buckets: RUN_SECONDS,
  },
  rampart_detection_delay_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: ['service'],
    help: 'From the start of an alert to the moment at which Rampart heard of it, for runs that alerts started',
    buckets: RUN_SECONDS,
  },
  rampart_step_duration_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: ['service', 'stage', 'step', 'result'],
    help: "Time of a step, Temporal's own retries included",
    buckets: STEP_SECONDS,
  },
  rampart_step_failures_total: {
    type: 'counter',
    from: 'workflow',
    labels: ['service', 'step', 'reason'],
    help: 'Steps that failed for good',
  },
  rampart_approval_wait_seconds: {
    type: 'histogram',
    from: 'workflow',
    labels: ['service', 'gate', 'result'],
    help: 'From the opening of a gate to its answer',
    buckets: RUN_SECONDS,
  },
  rampart_analysis_runs_total: {
    type: 'counter',
    from: 'workflow',
    labels: ['service', 'result'],
    help: 'Bakes of a ramp: the analysis at one weight',
  },
  rampart_compensations_total: {
    type: 'counter',
    from: 'workflow',
    labels: ['service', 'step', 'result'],
    help: 'Undos of steps that had been done',
  },
  rampart_objective_breaches_total: {
    type: 'counter',
    from: 'workflow',
    labels: ['service', 'objective'],
    help: 'Objectives that a run has missed',
  },

  rampart_step_retries_total: {
    type: 'counter',
    from: 'worker',
    labels: ['service', 'step'],
    help: 'Attempts of an activity after its first',
  },
  rampart_analysis_measurements_total: {
    type: 'counter',
    from: 'worker',
    labels: ['service', 'check', 'result'],
    help: 'Single measurements of a check during a bake',
  },
  rampart_notifications_total: {
    type: 'counter',
    from: 'worker',
    labels: ['channel', 'result'],
    help: 'Messages to people',
  },

  rampart_run_active: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'action', 'mode'],
    help: '1 while a run is open',
  },
  rampart_run_waiting: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'reason'],
    help: '1 while the open run waits for people: at a gate, holding, or paused',
  },
  rampart_approval_pending: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'gate'],
    help: '1 while the gate is open',
  },
  rampart_last_run_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'action', 'result'],
    help: 'End of the last run of the service that did anything, or tried to',
  },
  rampart_recovery_time_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'mode'],
    help: 'Recovery time achieved by the last run that moved the service',
  },
  rampart_recovery_point_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'mode'],
    help: 'Recovery point achieved by the last run that moved the service: the upper bound of what was lost',
  },
  rampart_objective_met: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'objective'],
    help: 'Whether the last run that moved the service met the objective; absent when nobody knows',
  },
  rampart_compensations_failed: {
    type: 'gauge',
    from: 'worker',
    labels: ['service'],
    help: 'Undos of the last run that failed and that nobody has made good by a later run',
  },
  rampart_protection_debt: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'code'],
    help: 'What the last run left unprotected, and that no later run has made good',
  },
  rampart_preflight_status: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'check'],
    help: '0 for what blocked the last plan of the service; `all` is 1 when nothing did',
  },
  rampart_last_drill_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'kind'],
    help: 'End of the last drill',
  },
  rampart_last_drill_pass_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'kind'],
    help: 'End of the last drill that has passed, as far as Temporal remembers',
  },
  rampart_drill_overdue_after_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'kind'],
    help: 'Age of the last pass from which a drill of the topology is overdue',
  },
  rampart_last_drill_success: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'kind'],
    help: '1 when the last drill has passed',
  },

  rampart_writable_sides: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component'],
    help: 'Writable sides of a store; more than 1 is a split brain',
  },
  rampart_active_region: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'region'],
    help: '1 where the writable side is',
  },
  rampart_replication_lag_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'region'],
    help: 'Replication lag, from fresh readings of both sides only',
  },
  rampart_replication_lag_bytes: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'region'],
    help: 'Replication lag, from fresh readings of both sides only',
  },
  rampart_alarm: {
    type: 'gauge',
    from: 'worker',
    labels: ['kind', 'service', 'component'],
    help: '1 while the watchdog alarms: noneWritable, twoWritable, fenceForgotten',
  },
  rampart_traffic_weight_percent: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'region'],
    help: 'Share of the traffic, as the router is set',
  },
  rampart_traffic_weight_observed_percent: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'region'],
    help: 'Share of the traffic, as counted at the edge after the last change of weights',
  },
  rampart_guard_watching: {
    type: 'gauge',
    from: 'worker',
    labels: ['service'],
    help: '1 in the process that watches the service',
  },
  rampart_guard_finding: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'component', 'code', 'severity'],
    help: '1 while the guard finds it',
  },
  rampart_guard_look_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service'],
    help: "The guard's last look, the systems' own time included",
  },
  rampart_probe_failing: {
    type: 'gauge',
    from: 'worker',
    labels: ['watch', 'from', 'probe', 'region', 'signal'],
    help: '1 while a probe is failing, errorRate or latency by what this vantage point sees, 0 while it is not; unknown is absent',
  },
  rampart_divergence_keys: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'comparison', 'kind'],
    help: 'Keys that differed for good in the last round: missing, firstWriteWins or conflict',
  },
  rampart_divergence_lag_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'comparison'],
    help: 'How far one region was behind the other at least, by what was on its way in the last round',
  },
  rampart_divergence_lag_objective_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'comparison'],
    help: 'How far one region may be behind the other',
  },
  rampart_divergence_compared_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service', 'comparison'],
    help: 'End of the last round',
  },
  rampart_last_proof_timestamp_seconds: {
    type: 'gauge',
    from: 'worker',
    labels: ['service'],
    help: 'End of the last completed failover or failback',
  },

  rampart_serve_info: { type: 'gauge', from: 'serve', labels: ['version'], help: '1 while `rampart serve` runs' },
  rampart_alert_deliveries_total: {
    type: 'counter',
    from: 'serve',
    labels: ['source', 'result'],
    help: 'Messages to the webhooks; the source is empty when there is none of that name',
  },
  rampart_alert_delivery_duration_seconds: {
    type: 'histogram',
    from: 'serve',
    labels: ['source'],
    help: 'From the headers of a message to its answer',
    buckets: ANSWER_SECONDS,
  },
  rampart_alert_last_delivery_timestamp_seconds: {
    type: 'gauge',
    from: 'serve',
    labels: ['source'],
    help: 'When the source last sent something that was taken',
  },
} as const satisfies Record<`rampart_${string}`, MetricSpec>;

export type MetricName = keyof typeof METRICS;

type Named<From, Type> = {
  [Name in MetricName]: (typeof METRICS)[Name] extends { from: From; type: Type } ? Name : never;
}[MetricName];

/** What workflow code counts, and measures. */
export type WorkflowCounter = Named<'workflow', 'counter'>;
export type WorkflowHistogram = Named<'workflow', 'histogram'>;
/** What a process counts, measures and shows. */
export type ProcessCounter = Named<'worker' | 'serve', 'counter'>;
export type ProcessHistogram = Named<'worker' | 'serve', 'histogram'>;
export type ProcessGauge = Named<'worker' | 'serve', 'gauge'>;

export type LabelsOf<Name extends MetricName> = Record<(typeof METRICS)[Name]['labels'][number], string>;

export const specOf = (name: MetricName): MetricSpec => METRICS[name];
