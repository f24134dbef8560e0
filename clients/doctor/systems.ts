/** Every endpoint and credential of the topology, tried from this machine; and rights that are missing. */

import type { Driver, Json } from '../../drivers/ports.ts';
import type { MissingGrants } from '../../drivers/postgres/grants.ts';
import type { Component, Topology } from '../../topology/model.ts';
import type { Env } from '../connection.ts';
import { localContext, openPort, resolveSecret } from '../local-context.ts';
import { type Check, finding, ok, reasonOf } from './check.ts';

/** Longest time for one component, in milliseconds. */
const COMPONENT_MS = 8_000;

export interface SystemsInput {
  topology: Topology;
  drivers: ReadonlyMap<string, Driver>;
  env: Env;
  /** `component/node` that the workers could read: what is unreachable from here only is no fault then. */
  readable: ReadonlySet<string>;
}

export async function checkSystems(input: SystemsInput): Promise<Check[]> {
  const components = Object.values(input.topology.components);
  return (await Promise.all(components.map((component) => checkComponent(input, component)))).flat();
}

async function checkComponent(input: SystemsInput, component: Component): Promise<Check[]> {
  const secrets = await checkSecrets(input.env, component);
  const context = () => localContext(input.env, '', AbortSignal.timeout(COMPONENT_MS));
  const regions = Object.keys(component.sides).sort();
  const each = async (work: (region: string) => Promise<Check[]>): Promise<Check[]> =>
    (
      await Promise.all(regions.map((region) => work(region).catch((error) => [failedCheck(component, region, error)])))
    ).flat();
  switch (component.role) {
    case 'store': {
      const nodes = await each(async (region) => {
        const seen = await openPort<'store'>(input.drivers, component, context()).observe({ region });
        return seen.map((node) => {
          const subject = `${component.name}, ${node.node === region ? '' : `${node.node} in `}${region}`;
          if (node.state !== 'unreachable' && node.state !== 'unknown') {
            return ok('systems', subject, 'storeReachable', `${node.state}: ${node.detail}`);
          }
          const seenByWorkers = input.readable.has(`${component.name}/${node.node}`);
          const text = `${node.state} from this machine: ${node.detail}`;
          return seenByWorkers
            ? finding('info', 'systems', subject, 'storeReachable', `${text}; the workers can read it`)
            : finding('error', 'systems', subject, 'storeReachable', text, remedyFor(node.detail));
        });
      });
      return [...secrets, ...nodes, ...(await checkGrantsOf(component, context()))];
    }
    case 'router': {
      const router = await openPort<'router'>(input.drivers, component, context())
        .observe()
        .then((seen) => {
          if (!seen.reachable)
            return finding('error', 'systems', component.name, 'routerReachable', seen.detail, remedyFor(seen.detail));
          const shares = Object.entries(seen.weights ?? {}).map(([region, weight]) => `${region} ${weight} %`);
          if (seen.weights === null || !seen.applied) {
            return finding(
              'warning',
              'systems',
              component.name,
              'routerApplied',
              seen.detail || 'its weights cannot be read',
            );
          }
          return ok('systems', component.name, 'routerReachable', shares.join(', '));
        })
        .catch((error: unknown) => failedCheck(component, null, error));
      return [...secrets, router];
    }
    case 'workload': {
      const workloads = await each(async (region) => {
        const seen = await openPort<'workload'>(input.drivers, component, context()).observe(region);
        const subject = `${component.name} in ${region}`;
        if (seen.reachable) return [ok('systems', subject, 'workloadReachable', seen.detail || seen.state)];
        return [finding('error', 'systems', subject, 'workloadReachable', seen.detail, remedyFor(seen.detail))];
      });
      return [...secrets, ...workloads];
    }
    case 'check': {
      // A command belongs to the worker's machine: running it here would say nothing about there.
      if (component.type === 'command') return secrets;
      const results = await each(async (region) => {
        const result = await openPort<'check'>(input.drivers, component, context()).run(region);
        const subject = `${component.name} in ${region}`;
        const text = `${result.outcome}: ${result.observed}${result.threshold === '' ? '' : ` (wanted ${result.threshold})`}`;
        if (result.outcome === 'pass') return [ok('systems', subject, 'check', text)];
        return [
          finding('warning', 'systems', subject, 'check', text, ...(result.detail === '' ? [] : [result.detail])),
        ];
      });
      return [...secrets, ...results];
    }
  }
}

function failedCheck(component: Component, region: string | null, error: unknown): Check {
  const subject = region === null ? component.name : `${component.name} in ${region}`;
  const remedy = (error as { remedy?: string }).remedy || remedyFor(reasonOf(error));
  return finding('error', 'systems', subject, `${component.role}Reachable`, reasonOf(error), remedy);
}

/** What usually mends an endpoint that does not answer as it should. */
function remedyFor(detail: string): string {
  if (/password|authentication|denied|401|403|credential/i.test(detail)) {
    return 'Look at the user and the secret that the topology names.';
  }
  if (/not set on this machine|cannot be read on this machine/.test(detail)) {
    return 'Give this machine the secret as the workers have it.';
  }
  if (/no such host|ENOTFOUND|EAI_AGAIN/i.test(detail)) return 'Look at the host name in the topology.';
  return 'Look whether it runs, at the address in the topology, and at the firewall between.';
}

/** Secrets that the topology refers to and that this machine does not have. */
async function checkSecrets(env: Env, component: Component): Promise<Check[]> {
  const references = new Set<string>();
  const collect = (value: Json): void => {
    if (typeof value === 'string' && /^\$\{(env|file):[^}]+\}$/.test(value)) references.add(value);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect);
  };
  collect(component.config);
  for (const side of Object.values(component.sides)) for (const node of side.nodes) collect(node.config);
  const checks = await Promise.all(
    [...references].map(async (reference) => {
      try {
        await resolveSecret(reference, env);
        return ok('systems', component.name, 'secret', `${reference} is there`);
      } catch (error) {
        const remedy = 'Workers need it; this machine only for doctor, status and escape.';
        return finding('warning', 'systems', component.name, 'secret', reasonOf(error), remedy);
      }
    }),
  );
  return checks;
}

/** Rights that the role lacks on a PostgreSQL node, with the SQL that gives them. */
async function checkGrantsOf(component: Component, context: ReturnType<typeof localContext>): Promise<Check[]> {
  if (component.type !== 'postgres') return [];
  const { checkGrants } = await import('../../drivers/postgres/grants.ts');
  const nodes = await checkGrants(component, context).catch(() => [] as MissingGrants[]);
  // Rights live in the database and are replicated: what the primary lacks, all lack. Said once.
  const statements = new Map<string, { why: string; database: string | undefined }>();
  let asked = 0;
  for (const { problem, missing } of nodes) {
    if (problem === null) asked += 1;
    for (const { sql, why, database } of missing) statements.set(sql, { why, database });
  }
  if (asked === 0) return [];
  if (statements.size === 0) return [ok('systems', component.name, 'grants', `the role has every right it needs`)];
  const lines = [...statements].map(
    ([sql, { why, database }]) => `${sql}  -- ${why}${database === undefined ? '' : `; in database ${database}`}`,
  );
  const message = `the role lacks ${statements.size} rights`;
  return [finding('error', 'systems', component.name, 'grants', message, 'As a superuser on the primary:', ...lines)];
}
