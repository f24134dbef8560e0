import { describeWorkload } from '../../conformance/workload/workload-suite.ts';
import { makeContractWorld } from './world.ts';

describeWorkload('http-contract', makeContractWorld);
