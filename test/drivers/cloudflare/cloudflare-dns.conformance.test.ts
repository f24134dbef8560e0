import { describeRouter } from '../../conformance/router/router-suite.ts';
import { makeDnsWorld } from './cloudflare-dns.world.ts';

describeRouter('cloudflare-dns', () => makeDnsWorld());
