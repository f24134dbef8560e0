/** The workflows by their wire names. The only file the worker bundles from. */
export { compare } from './compare.ts';
export { drill } from './drill.ts';
export { drillTurn } from './drill-turn.ts';
export { failback } from './failback.ts';
export { failover } from './failover.ts';
export { guard } from './guard.ts';
export { halt } from './halt.ts';
export { plan } from './plan.ts';
export { refence } from './refence.ts';
export { release } from './release.ts';
export { reprotect } from './reprotect.ts';
export { scheduledDrill } from './scheduled-drill.ts';
export { trafficRamp } from './traffic-ramp.ts';
export { trigger } from './trigger.ts';
export { watch } from './watch.ts';
