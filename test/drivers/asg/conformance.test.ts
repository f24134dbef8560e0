import { describeWorkload } from '../../conformance/workload/workload-suite.ts';
import { makeAsgWorld } from './world.ts';

describeWorkload('asg, whose standby stops', () => makeAsgWorld('stop'), { standby: 'everything', counts: 'units' });
