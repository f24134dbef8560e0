import type { Component } from '../../topology/model.ts';
import { lazyStore } from '../lazy-store.ts';
import type { Capabilities, Driver } from '../ports.ts';
import { CLOUDWATCH_CALLS, RDS_CALLS } from './calls.ts';
import { globalConfigSchema, globalNodeSchema, regionalConfigSchema, regionalNodeSchema } from './config.ts';

const capabilities = (unverifiable: string[]): Capabilities => ({
  role: 'store',
  lookEveryMs: 10_000,
  cutover: 'atomic',
  fenceProofs: ['provider'],
  rewind: true,
  unverifiable,
});

const open: Driver<'store'>['open'] = (component, context) =>
  lazyStore(
    () => import('./store.ts').then(({ openStore }) => openStore(component, context)),
    ['switchover', 'leftBehind'],
  );

/** Aurora Global Database: clusters in several regions of AWS, one of which is the writer. */
export const auroraGlobal: Driver<'store'> = {
  type: 'aurora-global',
  role: 'store',
  summary: 'Aurora PostgreSQL Global Database: planned switchover, unplanned failover',
  config: globalConfigSchema,
  node: globalNodeSchema,
  capabilities: () =>
    capabilities(['whether a lost region still accepts writes: Aurora fences its storage as best it can']),
  local: () => false,
  secrets: ['password'],
  calls: [RDS_CALLS, CLOUDWATCH_CALLS],
  validate: (component) => [...oneNodePerSide(component), ...differ(component, 'awsRegion', 'aurora_region_twice')],
  open,
};

/**
 * One Aurora cluster: the sides are its instances in different availability zones of one region. It protects against
 * the loss of an instance or a zone, not of the region.
 */
export const aurora: Driver<'store'> = {
  type: 'aurora',
  role: 'store',
  summary: 'Aurora PostgreSQL within one region: failover between its instances',
  config: regionalConfigSchema,
  node: regionalNodeSchema,
  capabilities: () => capabilities(['whether the old writer instance still runs: its volume takes writes of one only']),
  local: () => false,
  secrets: ['password'],
  calls: [RDS_CALLS],
  validate: (component) => differ(component, 'instance', 'aurora_instance_twice'),
  open,
};

type Problem = { path: (string | number)[]; message: string; code: string };

function oneNodePerSide({ sides }: Component): Problem[] {
  return Object.values(sides)
    .filter(({ nodes }) => nodes.length !== 1)
    .map(({ region, nodes }) => ({
      path: ['sides', region],
      message: `${region} has ${nodes.length} nodes: a side of a global database is one cluster`,
      code: 'aurora_one_cluster',
    }));
}

function differ({ sides }: Component, field: string, code: string): Problem[] {
  const nodes = Object.values(sides).flatMap((side) => side.nodes.map((node) => ({ region: side.region, node })));
  return nodes
    .filter(({ node }, i) => nodes.findIndex((other) => other.node.config[field] === node.config[field]) !== i)
    .map(({ region, node }) => ({
      path: ['sides', region],
      message: `${field} ${String(node.config[field])} is another side's already`,
      code,
    }));
}
