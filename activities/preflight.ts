/** What a component's driver itself says before a plan, whatever its role. */
import type { DriverContext, Finding, Role } from '../drivers/ports.ts';
import type { Component, RegionName } from '../topology/model.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';

type Asking = Extract<Role, 'store' | 'router' | 'workload'>;

/** @returns the driver's own findings; none for a driver that has no preflight */
export async function preflightOf(
  deps: ActivityDeps,
  component: Component,
  context: DriverContext,
  direction: { mode: 'planned' | 'unplanned'; from: RegionName; to: RegionName },
): Promise<Finding[]> {
  const { mode, from, to } = direction;
  const port = open(deps, component, component.role as Asking, context);
  return (await port.preflight?.(mode, from, to)) ?? [];
}
