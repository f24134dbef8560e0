/** How long it takes to read a topology of 1,000 services and to compile a plan for each. Pure: nothing is touched. */
import type { NodeObservation, Position } from '../drivers/ports.ts';
import { drivers } from '../drivers/registry.ts';
import { compilePlan } from '../plan/compile.ts';
import type { CompileInput, Observations } from '../plan/model.ts';
import type { Component, Service, Topology } from '../topology/model.ts';
import { parseTopology } from '../topology/parse.ts';
import type { BenchOptions, Result } from './statistics.ts';

const SERVICES = 1_000;
const FROM = 'eu-west';
const TO = 'eu-central';

export async function plan({ runs, say }: BenchOptions): Promise<Result> {
  const text = topologyText(SERVICES);
  const validated: number[] = [];
  const compiled: number[] = [];
  let components = 0;
  let steps = 0;
  for (let run = 0; run <= runs; run += 1) {
    const started = performance.now();
    const topology = read(text);
    const read_ = performance.now();
    const inputs = Object.values(topology.services).map((service) => inputFor(topology, service));
    const ready = performance.now();
    const plans = inputs.map(compilePlan);
    const done = performance.now();
    components = Object.keys(topology.components).length;
    steps = plans.reduce((sum, { stages }) => sum + stages.reduce((n, stage) => n + stage.steps.length, 0), 0);
    const blocked = plans.find(({ facts }) => facts.blockers.length > 0);
    if (blocked !== undefined) throw new Error(`a plan is blocked: ${blocked.facts.blockers[0]!.message}`);
    say(`run ${run}: validate ${Math.round(read_ - started)} ms, compile ${Math.round(done - ready)} ms`);
    if (run === 0) continue;
    validated.push(read_ - started);
    compiled.push(done - ready);
  }
  const subject = 'Rampart';
  return {
    benchmark: 'plan',
    about: `A topology of ${SERVICES} services with ${components} components (${Math.round(text.length / 1024)} KiB of YAML), read and validated; then a failover plan compiled for each service.`,
    measures: [
      { name: 'read and validate the topology', subject, unit: 'ms', values: validated, aim: '< 1000' },
      { name: 'compile a plan for every service', subject, unit: 'ms', values: compiled, aim: '< 1000' },
    ],
    notes: [`The plans have ${steps} steps in all, with their digests and facts.`],
  };
}

function read(text: string): Topology {
  const { topology, problems } = parseTopology(text, { path: 'bench.yaml', drivers });
  if (topology === undefined) throw new Error(problems.map(({ message }) => message).join('; '));
  return topology;
}

/** Five components a service: a store, a writer endpoint, an edge, the app and its check. */
export function topologyText(services: number): string {
  const parts = Array.from({ length: services }, (_, i) => {
    const side = (region: string, line: string): string => `      ${region}: { ${line} }\n`;
    const sides = (line: (host: string) => string): string =>
      `    sides:\n${[FROM, TO].map((region) => side(region, line(`s${i}.${region}.internal`))).join('')}`;
    const service = `  service-${i}:
    tier: critical
    owner: team-${i % 40}
    home: ${FROM}
    standby: [${TO}]${i % 10 === 0 ? '' : `\n    dependsOn: [service-${i - (i % 10)}]`}
    components: [db-${i}, writer-${i}, edge-${i}, app-${i}]
    checks: [ready-${i}]
    ramp: { steps: [10, 25, 50, 100], bake: 2s, interval: 500ms, analysis: [ready-${i}] }
`;
    const router = (name: string, kind: string, key: string): string =>
      `  ${name}-${i}:\n    type: traefik\n    kind: ${kind}\n    file: /routes/${name}-${i}.yml\n    api: http://traefik.internal:8080\n    service: ${name}-${i}\n    entryPoint: ${name}\n${sides((host) => `${key}${host}:8000`)}`;
    const components = [
      `  db-${i}:\n    type: postgres\n    database: app\n    user: rampart\n    password: \${env:DB_PASSWORD}\n${sides((host) => `host: ${host}, port: 5432, dataDir: /data/${i}`)}`,
      router('writer', 'endpoint', 'address: '),
      router('edge', 'weighted', 'url: http://'),
      `  app-${i}:\n    type: http-contract\n${sides((host) => `url: http://${host}/rampart`)}`,
      `  ready-${i}:\n    type: http\n${sides((host) => `url: http://${host}/readyz`)}`,
    ];
    return { service, components };
  });
  return `version: 1
regions:
  ${FROM}: {}
  ${TO}: {}
tiers:
  critical: { rto: 5m, rpo: 1m, freezeBudget: 30s, fenceProof: stopped }
services:
${parts.map(({ service }) => service).join('')}components:
${parts.flatMap(({ components }) => components).join('')}`;
}

/** A healthy service with its home active: the plan has every stage. */
function inputFor(topology: Topology, service: Service): CompileInput {
  const names = [...service.components, ...service.checks];
  const components = Object.fromEntries(names.map((name) => [name, topology.components[name]!]));
  const now = Date.now();
  const at = { build: 'bench', at: now };
  const seen: Observations = {
    stores: {},
    routers: {},
    workloads: {},
    checks: {},
    places: { rampart: at, [`rampart.${FROM}`]: at, [`rampart.${TO}`]: at },
    preflight: {},
    samples: {},
  };
  for (const component of Object.values(components)) observe(seen, component, now);
  return {
    request: { action: 'failover', service: service.name, to: TO, reason: 'bench' },
    topologyDigest: '0'.repeat(64),
    service,
    components,
    observations: seen,
    now,
  };
}

function observe(seen: Observations, component: Component, now: number): void {
  const { name, role } = component;
  if (role === 'store') {
    const source = component.sides[FROM]!.nodes[0]!.name;
    seen.stores[name] = [
      nodeSeen(source, FROM, 'writable', now),
      {
        ...nodeSeen(component.sides[TO]!.nodes[0]!.name, TO, 'replica', now),
        upstream: { address: 'source:5432', node: source, streaming: true },
        lag: { bytes: 0, seconds: 0, measuredAt: now, freshnessMs: 50, fresh: true },
      },
    ];
  } else if (role === 'router') {
    const weights = { [FROM]: 100, [TO]: 0 };
    seen.routers[name] = { reachable: true, weights, applied: true, observedAt: now, detail: '', claim: null };
  } else if (role === 'workload') {
    seen.workloads[name] = [FROM, TO].map((region) => ({
      region,
      reachable: true,
      state: region === FROM ? 'active' : 'standby',
      ready: true,
      inflight: 0,
      capacity: { present: 2, wanted: 2 },
      observedAt: now,
      detail: '',
    }));
  } else {
    const pass = { outcome: 'pass' as const, observed: '200', threshold: '200', at: now, detail: '' };
    seen.checks[name] = { [FROM]: pass, [TO]: pass };
  }
}

function nodeSeen(node: string, region: string, state: 'writable' | 'replica', now: number): NodeObservation {
  const position: Position = { text: '0/3054458', order: String(0x3054458), timeline: 1 };
  return {
    node,
    region,
    state,
    via: 'network',
    observedAt: now,
    systemId: '7571',
    timeline: 1,
    position,
    received: state === 'replica' ? position : null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: null,
    sync: state === 'writable' ? { enabled: false, cancelledWaiters: 'none' } : null,
    claim: null,
    journal: null,
    detail: '',
  };
}
