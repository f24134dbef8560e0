import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeArcWorld } from './world.ts';

describeRouter('ARC routing controls', () => makeArcWorld());
