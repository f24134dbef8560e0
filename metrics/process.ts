/** The metrics of this process. Activities and workers count here; workflows in workflows/metrics.ts. */
import { Registry } from './registry.ts';

export const metrics = new Registry();
