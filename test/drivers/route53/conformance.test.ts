import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeFakeWorld } from './world.ts';

describeRouter('route53, weighted', () => makeFakeWorld('weighted'));
describeRouter('route53, failover', () => makeFakeWorld('failover'));
describeRouter('route53, latency', () => makeFakeWorld('latency'));
describeRouter('route53, simple', () => makeFakeWorld('simple'));
