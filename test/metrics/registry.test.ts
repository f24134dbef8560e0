import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import { METRICS, type MetricName, specOf } from '../../metrics/names.ts';
import { Registry } from '../../metrics/registry.ts';
import { sourcesBelow } from '../architecture/imports.ts';

const SERVICE = { service: 'checkout' };
const LAG = { service: 'checkout', component: 'orders-db', region: 'eu-central' };

describe('readings', () => {
  it('disappear when nobody has read them again in time, and come back with the next reading', () => {
    let now = 0;
    const registry = new Registry(() => now);
    registry.set('rampart_replication_lag_seconds', LAG, 3, 15_000);
    registry.set('rampart_guard_watching', SERVICE, 1);
    now = 14_999;
    expect(registry.render()).toContain('rampart_replication_lag_seconds{service="checkout"');
    now = 15_000;
    expect(registry.render()).not.toContain('rampart_replication_lag_seconds');
    expect(registry.render()).toContain('rampart_guard_watching{service="checkout"} 1');
    registry.set('rampart_replication_lag_seconds', LAG, 4, 15_000);
    expect(registry.render()).toContain('region="eu-central"} 4\n');
  });

  it('are taken back by some of their labels, and leave the others', () => {
    const registry = new Registry();
    registry.set('rampart_replication_lag_seconds', LAG, 1);
    registry.set('rampart_replication_lag_seconds', { ...LAG, service: 'search' }, 2);
    registry.clear('rampart_replication_lag_seconds', SERVICE);
    expect(registry.render()).not.toContain('checkout');
    expect(registry.render()).toContain('service="search"');
  });

  it('that are no number are not shown', () => {
    const registry = new Registry();
    registry.set('rampart_replication_lag_seconds', LAG, Number.NaN);
    registry.observe('rampart_alert_delivery_duration_seconds', { source: 'am' }, Number.NaN);
    expect(registry.render()).toBe('');
  });
});

it('a counter is known before its first event, and counts', () => {
  const registry = new Registry();
  registry.count('rampart_alert_deliveries_total', { source: 'am', result: 'accepted' }, 0);
  expect(registry.render()).toContain('rampart_alert_deliveries_total{source="am",result="accepted"} 0\n');
  registry.count('rampart_alert_deliveries_total', { source: 'am', result: 'accepted' });
  registry.count('rampart_alert_deliveries_total', { result: 'accepted', source: 'am' });
  expect(registry.render()).toContain('rampart_alert_deliveries_total{source="am",result="accepted"} 2\n');
});

it('a histogram counts what is at most a bound into its bucket, and everything into +Inf', () => {
  const registry = new Registry();
  for (const seconds of [0.001, 0.05, 0.06, 99])
    registry.observe('rampart_alert_delivery_duration_seconds', { source: 'am' }, seconds);
  const text = registry.render();
  const bucket = (le: string) =>
    Number(
      new RegExp(`rampart_alert_delivery_duration_seconds_bucket\\{source="am",le="${le}"\\} (\\d+)`).exec(text)?.[1],
    );
  expect(['0.001', '0.025', '0.05', '0.1', '2.5', '\\+Inf'].map(bucket)).toEqual([1, 1, 2, 3, 3, 4]);
  expect(text).toContain('rampart_alert_delivery_duration_seconds_count{source="am"} 4\n');
  expect(text).toMatch(/_sum\{source="am"\} 99\.111\n/);
});

it('a name out of a topology cannot break the format', () => {
  const registry = new Registry();
  registry.set('rampart_guard_watching', { service: 'a"b\\c\nd' }, 1);
  expect(registry.render()).toContain('{service="a\\"b\\\\c\\nd"} 1\n');
});

const sources = ['workflows', 'activities', 'workers', 'clients']
  .flatMap((folder) => sourcesBelow(repositoryRoot(), folder))
  .map((path) => readFileSync(join(repositoryRoot(), path), 'utf8'))
  .join('\n');

describe.each(Object.keys(METRICS) as MetricName[])('%s', (name) => {
  const { type, labels, buckets, help } = specOf(name);

  it('is named as Prometheus asks: units and totals at the end', () => {
    expect(name).toMatch(/^rampart(_[a-z]+)+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    expect(help).not.toMatch(/\.$/);
  });

  it('is published by something', () => {
    expect(sources).toContain(`'${name}'`);
  });

  // A label that is new here: are its values words of Rampart's, or names out of the topology?
  it('has no label whose values have no end', () => {
    const bounded =
      /^(action|channel|check|code|comparison|component|from|gate|guarded|kind|mode|objective|place|probe|reader|reason|region|result|service|severity|signal|source|stage|step|tier|version|watch)$/;
    for (const label of labels) expect(label).toMatch(bounded);
  });

  it('has buckets when it is a histogram, in order', () => {
    expect(buckets !== undefined).toBe(type === 'histogram');
    expect([...(buckets ?? [])].sort((a, b) => a - b)).toEqual([...(buckets ?? [])]);
  });
});
