/** Gauges beside Temporal's own on `/metrics`. */
import { Runtime } from '@temporalio/worker';

/** @param name with the prefix `rampart_` */
export function gauge(name: string, description: string) {
  return Runtime.instance().metricMeter.createGauge(name, 'float', '', description);
}
