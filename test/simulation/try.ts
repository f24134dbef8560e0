import { simulate } from './simulate.ts';
import { storyOf } from './story.ts';
import type { Scenario } from './scenario.ts';
const scenario: Scenario = {
  seed: 1, actions: [{ type: 'failover', request: { to: 'eu-central' } }, { type: 'failback', request: {} }], faults: [],
  people: { delayMs: 2000, rejects: false, twice: false, wrongGate: false, lateMs: 0, atHold: 'retry' },
  stores: ['orders-db'], lagMs: 50, approvals: 1, gateMs: 60000, onTimeout: 'hold', onFailure: 'rollback', rampFails: 'rollback',
  unplannedRamp: 'jump', writes: 'global', eager: false, batching: 'together',
};
const r = await simulate(scenario, { replay: true });
console.log(storyOf(r)); console.log(r.hash, r.judged, r.trace.events.length);
const t0 = performance.now(); for (let i = 0; i < 20; i++) { const x = await simulate(scenario); if (x.hash !== r.hash) console.log('DIFFERENT', x.hash); }
console.log((performance.now() - t0) / 20, 'ms per scenario');
