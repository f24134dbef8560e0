import { describeWorkload } from '../../conformance/workload/workload-suite.ts';
import { makeEcsWorld } from './world.ts';

describeWorkload('ecs', () => makeEcsWorld('keep'), { standby: 'nothing', counts: 'units' });
