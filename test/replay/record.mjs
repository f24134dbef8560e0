// Exports histories of closed runs into test/replay/histories, for the replay test.
//
//   node test/replay/record.mjs                                   every closed run of the namespace
//   node test/replay/record.mjs failover/checkout                 the latest run of a workflow
//   node test/replay/record.mjs failover/checkout=planned         the same, as histories/planned.json
//   node test/replay/record.mjs guard/checkout@0198…=guard        one run of it, by its run ID
//
// All golden histories anew, from the engine on the model world:
//
//   RAMPART_RECORD=1 npx vitest run test/virtual-time/engine/calibration.test.ts
//   RAMPART_RECORD=1 npx vitest run test/virtual-time/guard/calibration.test.ts
//
// The server is the one that TEMPORAL_ADDRESS, or the profile of the `temporal` CLI, names. Histories hold what
// activities were told and answered: record from a lab, never from a real service.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { loadClientConnectConfig } from '@temporalio/envconfig';

const folder = fileURLToPath(new URL('./histories', import.meta.url));

const { connectionOptions, namespace } = loadClientConnectConfig();
const connection = await Connection.connect(connectionOptions);
const client = new Client({ connection, namespace });
try {
  const runs = process.argv.length > 2 ? process.argv.slice(2).map(named) : await closed();
  if (runs.length === 0) throw new Error('there is no closed run to record');
  mkdirSync(folder, { recursive: true });
  for (const run of runs) await record(run);
} catch (error) {
  console.error(`record: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await connection.close();
}

/** `workflowId`, `workflowId=name of the file` or `workflowId@runId=name of the file`. */
function named(argument) {
  const [run, name = run] = argument.split('=');
  const [workflowId, runId] = run.split('@');
  return { workflowId, runId, name };
}

async function closed() {
  const found = [];
  for await (const { workflowId, runId, type } of client.workflow.list({ query: 'ExecutionStatus != "Running"' }))
    found.push({ workflowId, runId, name: `${type}-${workflowId}-${runId.slice(0, 8)}` });
  return found;
}

async function record({ workflowId, runId, name }) {
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const path = join(folder, `${name.replace(/[^\w.-]+/g, '-')}.json`);
  writeFileSync(path, `${JSON.stringify(anonymous(JSON.parse(historyToJSON(history))))}\n`);
  console.log(`${workflowId}: ${history.events?.length ?? 0} events in ${path}`);
}

/** Without the names and paths of the machines that took part; replay does not look at them. */
function anonymous(value) {
  if (Array.isArray(value)) return value.map(anonymous);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => {
    if (key === 'identity') return [key, 'recorded'];
    return [key, key === 'stackTrace' ? '' : anonymous(inner)];
  });
  return Object.fromEntries(entries);
}
