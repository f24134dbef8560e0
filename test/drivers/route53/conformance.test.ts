import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeFakeWorld } from './world.ts';

// One server each: that all of them are asked is shown in driver.test.ts, with the other two policies, which change
// their records as weights are changed.
describeRouter('route53, weighted', () => makeFakeWorld('weighted', 1));
describeRouter('route53, latency', () => makeFakeWorld('latency', 1));
