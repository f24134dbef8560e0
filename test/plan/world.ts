/** A checkout service in two regions and the states it can be found in, as plain data. */
import type { Json, NodeObservation, NodeState, Position } from '../../drivers/ports.ts';
import type { CompileInput, Observations, Request } from '../../plan/model.ts';
import type { ApprovalPolicy, Component, GateName, Node, Service } from '../../topology/model.ts';

export const NOW = Date.parse('2026-11-21T03:12:00Z');
export const A = 'eu-west';
export const B = 'eu-central';

export function position(order: number, timeline = 1): Position {
  return { text: `0/${order.toString(16).toUpperCase()}`, order: String(order), timeline };
}

export function approvals(required: number): Record<GateName, ApprovalPolicy> {
  const policy: ApprovalPolicy = {
    required,
    approvers: [],
    fourEyes: false,
    timeoutMs: 1_800_000,
    onTimeout: 'hold',
    escalateTo: [],
  };
  return { cutover: policy, promote: policy, rebuild: policy, loss: policy, needsHuman: policy };
}

/** A component with one node per region unless told otherwise; nodes run at their region's queue. */
export function component(
  name: string,
  role: Component['role'],
  regions: readonly string[],
  capabilities: Partial<Component['capabilities']> = {},
  nodesPerSide = 1,
): Component {
  const node = (region: string, i: number): Node => {
    const place = nodesPerSide > 1 ? `p${i + 1}` : undefined;
    const queue = role === 'store' ? `rampart.${region}${place === undefined ? '' : `.${place}`}` : 'rampart';
    const config: Record<string, Json> = { host: `${name}.${region}`, port: 5432 + i };
    return {
      name: `${name}-${region}${i === 0 ? '' : `-${i + 1}`}`,
      ...(place === undefined ? {} : { place }),
      queue,
      config,
    };
  };
  return {
    name,
    type: { store: 'postgres', router: 'traefik', workload: 'http-contract', check: 'http' }[role],
    role,
    queue: 'rampart',
    config: {},
    sides: Object.fromEntries(
      regions.map((region) => [
        region,
        { region, nodes: Array.from({ length: nodesPerSide }, (_, i) => node(region, i)) },
      ]),
    ),
    capabilities: { role, ...capabilities },
  };
}

export const checkout: Service = {
  name: 'checkout',
  tier: { name: 'critical', rtoMs: 300_000, rpoMs: 60_000, freezeBudgetMs: 30_000, fenceProof: 'sessions' },
  owner: 'payments',
  home: A,
  standby: [B],
  dependsOn: [],
  components: ['orders-db', 'writer', 'edge', 'shop'],
  checks: ['ready'],
  ramp: {
    steps: [10, 25, 50, 100],
    bakeMs: 2_000,
    intervalMs: 500,
    analysis: ['ready'],
    failureLimit: 0,
    onFailure: 'rollback',
    unplanned: 'jump',
  },
  approvals: approvals(1),
  writes: 'global',
  cutoverLag: { ms: 1_000, bytes: 16_777_216 },
  onFailure: { planned: 'rollback', unplanned: 'hold' },
  steps: [],
};

export function components(): Record<string, Component> {
  const both = [A, B];
  return {
    'orders-db': component('orders-db', 'store', both, { cutover: 'staged', rewind: true }),
    writer: component('writer', 'router', both, { kind: 'endpoint', verify: 'readback' }),
    edge: component('edge', 'router', both, { kind: 'weighted', resolutionPercent: 1, verify: 'sampled' }),
    shop: component('shop', 'workload', both),
    ready: component('ready', 'check', both),
  };
}

/** One node as it would be observed. */
export function nodeSeen(
  node: string,
  region: string,
  state: NodeState,
  rest: Partial<NodeObservation> = {},
): NodeObservation {
  const dark = state === 'unreachable' || state === 'unknown';
  return {
    node,
    region,
    state,
    via: state === 'fenced' || state === 'stopped' ? 'local' : 'network',
    observedAt: NOW - 200,
    systemId: dark ? null : '7571',
    timeline: dark ? null : 1,
    position: dark ? null : position(0x3054458),
    received: state === 'replica' ? position(0x3054458) : null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: state === 'fenced' ? { strength: 'stopped', finalPosition: position(0x3054458), durable: true } : null,
    sync: state === 'writable' ? { enabled: false, cancelledWaiters: 'none' } : null,
    claim: null,
    journal: null,
    detail: state === 'unreachable' ? 'connection refused' : '',
    ...rest,
  };
}

/** A replica that follows a node. */
export function replicaOf(node: string, region: string, upstream: string, rest: Partial<NodeObservation> = {}) {
  return nodeSeen(node, region, 'replica', {
    upstream: { address: `${upstream}:5432`, node: upstream, streaming: true },
    lag: { bytes: 0, seconds: 0, measuredAt: NOW - 200, freshnessMs: 50, fresh: true },
    ...rest,
  });
}

const DB_A = `orders-db-${A}`;
const DB_B = `orders-db-${B}`;

export function observations(
  orders: NodeObservation[],
  weights: { writer?: string; edge?: Record<string, number> } = {},
): Observations {
  const writer = weights.writer ?? A;
  const router = (of: Record<string, number>) => ({
    reachable: true,
    weights: of,
    applied: true,
    observedAt: NOW - 100,
    detail: '',
    claim: null,
  });
  const workload = (region: string) => ({
    region,
    reachable: true,
    state: 'active' as const,
    ready: true,
    inflight: 0,
    capacity: { present: 2, wanted: 2 },
    observedAt: NOW - 100,
    detail: '',
  });
  const pass = { outcome: 'pass' as const, observed: '200', threshold: '200', at: NOW - 100, detail: '' };
  const at = { build: '0.1.0', at: NOW - 50 };
  return {
    stores: { 'orders-db': orders },
    routers: {
      writer: router({ [A]: writer === A ? 100 : 0, [B]: writer === B ? 100 : 0 }),
      edge: router(weights.edge ?? { [A]: 100, [B]: 0 }),
    },
    workloads: { shop: [workload(A), workload(B)] },
    checks: { ready: { [A]: pass, [B]: pass } },
    places: { rampart: at, [`rampart.${A}`]: at, [`rampart.${B}`]: at },
    preflight: {},
    samples: {},
  };
}

const journal = (region: string) => ({
  runId: 'run-1',
  workflowId: 'failover/checkout',
  epoch: 3,
  service: 'checkout',
  component: 'orders-db',
  saved: {},
  fencedAt: null,
  freezeBudgetMs: 30_000,
  lastTouched: NOW - 60_000,
  open: region !== '',
});

/** Samples of a writable node, one a second up to `until`, each further by 1 KiB. */
export function samplesOf(node: string, region: string, until: number, count: number, last: number) {
  return Array.from({ length: count }, (_, i) => ({
    node,
    region,
    position: position(last - (count - 1 - i) * 1024),
    state: 'writable' as const,
    at: until - (count - 1 - i) * 1000,
  }));
}

/** Every row of the observation table, with A as the source and B as the target. */
export const WORLDS: Record<string, () => Observations> = {
  'steady(A)': () => observations([nodeSeen(DB_A, A, 'writable'), replicaOf(DB_B, B, DB_A)]),
  'steady(B)': () =>
    observations([replicaOf(DB_A, A, DB_B), nodeSeen(DB_B, B, 'writable')], { writer: B, edge: { [A]: 0, [B]: 100 } }),
  'sourceLost(A)': () => ({
    ...observations([
      nodeSeen(DB_A, A, 'unreachable'),
      replicaOf(DB_B, B, DB_A, { upstream: { address: 'x:1', node: DB_A, streaming: false }, lag: null }),
    ]),
    samples: { 'orders-db': samplesOf(DB_A, A, NOW - 2_000, 5, 0x3054458 + 2048) },
  }),
  'fenced(A)': () =>
    observations([
      nodeSeen(DB_A, A, 'fenced', { journal: { ...journal(A), fencedAt: NOW - 9_000 } }),
      replicaOf(DB_B, B, DB_A, { upstream: { address: 'x:1', node: DB_A, streaming: false } }),
    ]),
  'promoted(B)': () =>
    observations([
      nodeSeen(DB_A, A, 'fenced', { journal: journal(A) }),
      nodeSeen(DB_B, B, 'writable', { timeline: 2 }),
    ]),
  'midRamp(B)': () =>
    observations(
      [nodeSeen(DB_A, A, 'fenced', { journal: journal(A) }), nodeSeen(DB_B, B, 'writable', { timeline: 2 })],
      {
        writer: B,
        edge: { [A]: 75, [B]: 25 },
      },
    ),
  'unsettled(B)': () =>
    observations([nodeSeen(DB_A, A, 'stopped'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })], {
      writer: B,
      edge: { [A]: 0, [B]: 100 },
    }),
  noneWritable: () =>
    observations([
      nodeSeen(DB_A, A, 'replica'),
      replicaOf(DB_B, B, DB_A, { upstream: { address: 'x:1', node: DB_A, streaming: false } }),
    ]),
  twoWritable: () => observations([nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'writable', { timeline: 2 })]),
  'unknown(target)': () => observations([nodeSeen(DB_A, A, 'writable'), nodeSeen(DB_B, B, 'unreachable')]),
  'unknown(source)': () =>
    observations([
      nodeSeen(DB_A, A, 'unknown', { detail: 'password authentication failed' }),
      replicaOf(DB_B, B, DB_A, { upstream: { address: 'x:1', node: DB_A, streaming: false } }),
    ]),
};

export function input(
  seen: Observations,
  request: Partial<Request> = {},
  service: Partial<Service> = {},
): CompileInput {
  return {
    request: { action: 'failover', service: 'checkout', to: B, ...request },
    topologyDigest: 'a'.repeat(64),
    service: { ...checkout, ...service },
    components: components(),
    observations: seen,
    now: NOW,
  };
}

/** A second store beside `orders-db`, for the rows that need two. */
export function withSessions(
  base: CompileInput,
  seen: NodeObservation[],
  cutover: 'staged' | 'atomic' = 'staged',
): CompileInput {
  return {
    ...base,
    service: { ...base.service, components: [...base.service.components, 'sessions-db'] },
    components: { ...base.components, 'sessions-db': component('sessions-db', 'store', [A, B], { cutover }) },
    observations: { ...base.observations, stores: { ...base.observations.stores, 'sessions-db': seen } },
  };
}
