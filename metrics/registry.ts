/**
 * Metrics of a process in Prometheus' text format. Small on purpose: what sets it apart from Temporal's exporter is that
 * a reading grows old here. A gauge that nobody has read again in its time is left out, because the last value of
 * something that cannot be read any more is a lie.
 */
import {
  type LabelsOf,
  METRICS,
  type MetricName,
  type ProcessCounter,
  type ProcessGauge,
  type ProcessHistogram,
  specOf,
} from './names.ts';

type Labels = Record<string, string>;

interface Series {
  labels: Labels;
  /** A gauge's value or a counter's count; of a histogram, the sum. */
  value: number;
  /** A histogram's observations by bucket; the last one is +Inf. Not cumulative. */
  buckets: number[];
  /** Left out from then on, in milliseconds since the epoch. */
  until: number;
}

export class Registry {
  readonly #series = new Map<MetricName, Map<string, Series>>();
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @param by how many; 0 makes the series known, so that its first event is seen as a rise */
  count<Name extends ProcessCounter>(name: Name, labels: LabelsOf<Name>, by = 1): void {
    this.#of(name, labels).value += by;
  }

  /** @param value in the metric's unit; what is no number is not recorded */
  observe<Name extends ProcessHistogram>(name: Name, labels: LabelsOf<Name>, value: number): void {
    if (!Number.isFinite(value)) return;
    const series = this.#of(name, labels);
    const bounds = specOf(name).buckets ?? [];
    const at = bounds.findIndex((bound) => value <= bound);
    const bucket = at === -1 ? bounds.length : at;
    series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
    series.value += value;
  }

  /** @param freshForMs after this time without another reading the series disappears; absent: it stays */
  set<Name extends ProcessGauge>(name: Name, labels: LabelsOf<Name>, value: number, freshForMs?: number): void {
    if (!Number.isFinite(value)) return;
    const series = this.#of(name, labels);
    series.value = value;
    series.until = freshForMs === undefined ? Number.POSITIVE_INFINITY : this.#now() + freshForMs;
  }

  /** Takes back a gauge's series: those whose labels have these values. */
  clear<Name extends ProcessGauge>(name: Name, where: Partial<LabelsOf<Name>>): void {
    const wanted = Object.entries(where as Labels);
    for (const [key, { labels }] of this.#series.get(name) ?? [])
      if (wanted.every(([label, value]) => labels[label] === value)) this.#series.get(name)!.delete(key);
  }

  /** Everything that is known now, in Prometheus' text format 0.0.4. */
  render(): string {
    const lines: string[] = [];
    for (const name of Object.keys(METRICS) as MetricName[]) {
      const fresh = [...(this.#series.get(name) ?? [])].filter(([key, { until }]) => {
        if (until > this.#now()) return true;
        this.#series.get(name)!.delete(key);
        return false;
      });
      if (fresh.length === 0) continue;
      const { help, type, buckets } = specOf(name);
      lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\')}`, `# TYPE ${name} ${type}`);
      for (const [, series] of fresh)
        lines.push(
          ...(type === 'histogram'
            ? histogram(name, series, buckets ?? [])
            : [`${name}${text(series.labels)} ${series.value}`]),
        );
    }
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  }

  #of(name: MetricName, given: Labels): Series {
    let all = this.#series.get(name);
    if (all === undefined) {
      all = new Map();
      this.#series.set(name, all);
    }
    const labels = Object.fromEntries(specOf(name).labels.map((label) => [label, given[label] ?? '']));
    const key = JSON.stringify(Object.values(labels));
    let series = all.get(key);
    if (series === undefined) {
      series = { labels, value: 0, buckets: [], until: Number.POSITIVE_INFINITY };
      all.set(key, series);
    }
    return series;
  }
}

function histogram(name: string, { labels, value, buckets }: Series, bounds: readonly number[]): string[] {
  let seen = 0;
  const lines = [...bounds.map(String), '+Inf'].map((le, i) => {
    seen += buckets[i] ?? 0;
    return `${name}_bucket${text({ ...labels, le })} ${seen}`;
  });
  return [...lines, `${name}_sum${text(labels)} ${value}`, `${name}_count${text(labels)} ${seen}`];
}

function text(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
