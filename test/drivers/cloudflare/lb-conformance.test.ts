import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeLbWorld } from './lb-world.ts';

describeRouter('cloudflare-lb, weighted', () => makeLbWorld('weighted'));
describeRouter('cloudflare-lb, onOff', () => makeLbWorld('onOff'));
