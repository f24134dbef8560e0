import { describeStore } from '../../conformance/store/store-suite.ts';
import { startRds } from './world.ts';

// A way back is a new replica, that is a base backup, each time: the cells that only repeat the move are left out.
describeStore('rds', async () => (await startRds()).world, { short: true });
