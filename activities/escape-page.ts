/** The page of manual commands for the day when nothing of this runs. Refreshed by every run, best effort. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DriverContext, StoreEscape } from '../drivers/ports.ts';
import { notMade } from '../plan/escape-note.ts';
import { guardNote } from '../plan/guard-note.ts';
import type { Plan } from '../plan/model.ts';
import type { Component } from '../topology/model.ts';
import type { EscapePageCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';

export function escapePagePath(stateDir: string, service: string): string {
  return join(stateDir, 'escape', `${service}.md`);
}

/** @returns where the page was written */
export async function writeEscapePage(
  deps: ActivityDeps,
  call: EscapePageCall,
  context: DriverContext,
): Promise<{ path: string }> {
  const { plan, service } = call;
  const lines = [
    `# ${plan.service}: by hand`,
    '',
    `Written ${new Date(context.now()).toISOString()} in phase ${call.phase} of ${call.run.workflowId} (run ${call.run.runId}).`,
    `State then: ${plan.facts.classified.text}. Check each command's precondition before you run it.`,
    '',
  ];
  const guard = plan.from === null ? [] : guardNote(service, plan.from, plan.to);
  if (guard.length > 0) lines.push(`## The guard of ${plan.service}`, '', ...guard, '');
  const later: string[] = [];
  for (const component of Object.values(plan.components).sort((a, b) => place(a) - place(b))) {
    const commands = await commandsOf(deps, plan, component, context).catch((error: unknown) => {
      if (context.signal.aborted) throw error;
      // The page is for the day on which something cannot be read: the others' commands are needed then.
      return { now: notMade(error), later: [] };
    });
    const title = `${component.name} (${component.type})`;
    if (commands.now.length > 0) lines.push(`## ${title}`, '', ...commands.now, '');
    if (commands.later.length > 0) later.push(`## Later, when clients are served: ${title}`, '', ...commands.later, '');
  }
  lines.push(...later);
  const path = escapePagePath(deps.stateDir, plan.service);
  await mkdir(dirname(path), { recursive: true });
  // Renamed into place, so that a crash never leaves half a page.
  await writeFile(`${path}.${process.pid}`, lines.join('\n'));
  await rename(`${path}.${process.pid}`, path);
  return { path };
}

/** In the order of a run: capacity, data, the writer endpoint, traffic. */
function place({ role, capabilities }: Component): number {
  if (role === 'workload') return 0;
  if (role === 'store') return 1;
  return capabilities.kind === 'endpoint' ? 2 : 3;
}

async function commandsOf(
  deps: ActivityDeps,
  plan: Plan,
  component: Component,
  context: DriverContext,
): Promise<StoreEscape> {
  if (component.role === 'store' && plan.from !== null)
    return open(deps, component, 'store', context).escape(plan.from, plan.to);
  const now = async (): Promise<string[]> => {
    if (component.role === 'router') return open(deps, component, 'router', context).escape(plan.to);
    if (component.role === 'workload') return open(deps, component, 'workload', context).escape(plan.to, 'active');
    return [];
  };
  return { now: await now(), later: [] };
}
