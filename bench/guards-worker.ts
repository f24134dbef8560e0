/** A worker process of the benchmark `guards`: the real one, on systems that answer at once. Argument: its region. */
import { drivers } from '../drivers/registry.ts';
import { loadTopology } from '../topology/load.ts';
import { runWorker } from '../workers/main.ts';
import { instant } from './instant.ts';

const { topology } = await loadTopology({ path: process.env.RAMPART_CONFIG! }, drivers);
const region = process.argv[2];
await runWorker({
  drivers: instant(Object.values(topology!.components)),
  ...(region === undefined ? {} : { region }),
});
