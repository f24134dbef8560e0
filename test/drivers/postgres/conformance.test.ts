import { describeStore } from '../../conformance/store/store-suite.ts';
import { startPair } from './pair.ts';

describeStore('postgres 18', async () => (await startPair({ version: 18 })).world);
describeStore('postgres 16', async () => (await startPair({ version: 16 })).world, { short: true });
