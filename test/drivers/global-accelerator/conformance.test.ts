import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeAcceleratorWorld } from './world.ts';

describeRouter('Global Accelerator, dials', () => makeAcceleratorWorld('dial'));
describeRouter('Global Accelerator, weights', () => makeAcceleratorWorld('weight'));
