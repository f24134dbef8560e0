import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeTraefikWorld } from './world.ts';

describeRouter('traefik, weighted', () => makeTraefikWorld('weighted'));
describeRouter('traefik, endpoint', () => makeTraefikWorld('endpoint'));
