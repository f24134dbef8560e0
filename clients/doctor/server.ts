/** The Temporal server: reachable, how fast, namespace, search attributes, pollers of every task queue. */
import type { Topology } from '../../topology/model.ts';
import { CONTROL_POINT } from '../../topology/watches.ts';
import { CONTROL_QUEUE, GUARD_QUEUE, SEARCH_ATTRIBUTES, watchQueueOf } from '../../workflows/contract.ts';
import { inTime, pollersOf } from '../ask.ts';
import type { Temporal } from '../connection.ts';
import { registeredSearchAttributes } from '../runs.ts';
import { type Check, finding, ok, reasonOf } from './check.ts';

/** A poll lasts a minute at most; who has not come back after this is gone. In milliseconds. */
const POLLER_FRESH_MS = 75_000;

export interface ServerFacts {
  /** A dev server keeps its data in SQLite. */
  devServer: boolean;
}

export async function checkServer(temporal: Temporal): Promise<{ checks: Check[]; facts: ServerFacts }> {
  const checks: Check[] = [];
  const { address, namespace, connection } = temporal;
  const cluster = await inTime(temporal, () => connection.workflowService.getClusterInfo({})).catch(() => null);
  const devServer = cluster?.persistenceStore === 'sqlite';
  const answerMs = await medianAnswer(temporal);
  const version = cluster?.serverVersion ? `server ${cluster.serverVersion}` : 'server';
  checks.push(
    ok(
      'temporal',
      'server',
      'temporalServer',
      `${version}${devServer ? ' (dev server)' : ''} at ${address}, ${answerMs} ms an answer`,
    ),
  );
  try {
    const found = await inTime(temporal, () => connection.workflowService.describeNamespace({ namespace }));
    const days = Number(found.config?.workflowExecutionRetentionTtl?.seconds ?? 0) / 86_400;
    checks.push(ok('temporal', 'namespace', 'namespace', `${namespace}, keeps closed runs for ${days} days`));
  } catch (error) {
    const create = `temporal operator namespace create --address ${address} --namespace ${namespace}`;
    checks.push(
      finding(
        'error',
        'temporal',
        'namespace',
        'namespace',
        `${namespace}: ${reasonOf(error)}`,
        'Set TEMPORAL_NAMESPACE, or:',
        create,
      ),
    );
  }
  checks.push(await checkSearchAttributes(temporal));
  if (temporal.ui === null) {
    const message = 'its address is not known, so commands print no links';
    checks.push(
      finding(
        'info',
        'temporal',
        'Web UI',
        'webUi',
        message,
        'Set RAMPART_UI=<address of the Web UI>, for workers as well.',
      ),
    );
  } else {
    checks.push(ok('temporal', 'Web UI', 'webUi', temporal.ui));
  }
  return { checks, facts: { devServer } };
}

async function medianAnswer(temporal: Temporal): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    await inTime(temporal, () => temporal.connection.workflowService.getSystemInfo({}));
    times.push(performance.now() - began);
  }
  return Math.round(times.sort((a, b) => a - b)[2]! * 10) / 10;
}

const CLI_TYPES = { KEYWORD: 'Keyword', INT: 'Int', KEYWORD_LIST: 'KeywordList' } as const;

async function checkSearchAttributes(temporal: Temporal): Promise<Check> {
  const { address, namespace } = temporal;
  const subject = 'search attributes';
  const registered = await registeredSearchAttributes(temporal);
  if (registered === null) {
    const message = 'they cannot be listed with these credentials; runs work without, lists cannot filter by them';
    return finding('warning', 'temporal', subject, 'searchAttributes', message);
  }
  const missing = Object.entries(SEARCH_ATTRIBUTES).filter(([name]) => !(name in registered));
  const all = Object.keys(SEARCH_ATTRIBUTES).length;
  if (missing.length === 0) return ok('temporal', subject, 'searchAttributes', `all ${all} registered`);
  const flags = missing.map(([name, type]) => `--name ${name} --type ${CLI_TYPES[type]}`).join(' ');
  return finding(
    'warning',
    'temporal',
    subject,
    'searchAttributes',
    `${missing.length} of ${all} are not registered: ${missing.map(([name]) => name).join(', ')}`,
    `temporal operator search-attribute create --address ${address} --namespace ${namespace} ${flags}`,
    'A control worker with the right registers them by itself at its start.',
  );
}

/** Every task queue that plans of this topology use, with what polls it. */
export function queuesOf(topology: Topology): Array<{ queue: string; why: string; command: string | null }> {
  const queues = new Map<string, { why: string; command: string | null }>();
  queues.set(CONTROL_QUEUE, { why: 'workflows and the control place', command: 'rampart worker' });
  const add = (queue: string, why: string): void => {
    const [, region, place] = queue.startsWith(`${CONTROL_QUEUE}.`) ? queue.split('.') : [];
    const command =
      region === undefined
        ? null
        : `rampart worker --region ${region}${place === undefined ? '' : ` --place ${place}`}`;
    if (!queues.has(queue)) queues.set(queue, { why, command });
  };
  for (const component of Object.values(topology.components)) {
    add(component.queue, component.name);
    for (const side of Object.values(component.sides)) {
      for (const node of side.nodes) add(node.queue, `${component.name} in ${side.region}`);
    }
  }
  for (const service of Object.values(topology.services)) {
    if (service.guard?.enabled) queues.set(GUARD_QUEUE, { why: 'the guards of services', command: 'rampart worker' });
    for (const step of service.steps) {
      if (step.taskQueue !== undefined) add(step.taskQueue, `own step ${step.name} of ${service.name}`);
    }
  }
  for (const { name, from } of Object.values(topology.watches))
    for (const point of from) {
      const command = point === CONTROL_POINT ? 'rampart worker' : `rampart worker --region ${point}`;
      const queue = watchQueueOf(point);
      if (!queues.has(queue)) queues.set(queue, { why: `${point} as a vantage point of the watch ${name}`, command });
    }
  return [...queues].map(([queue, rest]) => ({ queue, ...rest }));
}

/** What stands still while nobody polls it. */
function waitsFor(queue: string): string {
  if (queue === GUARD_QUEUE) return 'nothing is guarded until another one is there';
  if (queue.startsWith(watchQueueOf(CONTROL_POINT))) return 'what it sees is unknown until another one is there';
  return 'a run waits for it';
}

/** Whether somebody takes the work of every task queue. */
export async function checkQueues(temporal: Temporal, topology: Topology): Promise<Check[]> {
  return Promise.all(
    queuesOf(topology).map(async ({ queue, why, command }) => {
      const subject = `task queue ${queue}`;
      const kinds = queue === CONTROL_QUEUE ? (['workflow', 'activity'] as const) : (['activity'] as const);
      const pollers = await Promise.all(kinds.map((kind) => pollersOf(temporal, queue, kind)));
      const counts = pollers.map(
        (list) =>
          new Set(list.filter(({ lastAccess }) => Date.now() - lastAccess < POLLER_FRESH_MS).map((p) => p.identity))
            .size,
      );
      const fewest = Math.min(...counts);
      const start = command === null ? 'Start a worker of the team that owns it.' : `Start one: ${command}`;
      if (fewest === 0) {
        return finding('error', 'workers', subject, 'noWorker', `no worker polls it (needed for ${why})`, start);
      }
      if (fewest === 1) {
        const waits = waitsFor(queue);
        const message = `1 worker: when it dies, ${waits}`;
        const two = command === null ? 'Start a second one.' : `Start a second one, on another machine: ${command}`;
        return finding('warning', 'workers', subject, 'oneWorker', message, two);
      }
      return ok('workers', subject, 'workers', `${fewest} workers`);
    }),
  );
}
