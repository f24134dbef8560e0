import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeLbWorld } from './cloudflare-lb.world.ts';

describeRouter('cloudflare-lb, weighted', () => makeLbWorld('weighted'));
describeRouter('cloudflare-lb, onOff', () => makeLbWorld('onOff'));
