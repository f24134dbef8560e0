/** The page of manual commands for the day when nothing of this runs. Refreshed by every run, best effort. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DriverContext } from '../drivers/ports.ts';
import type { Plan, StepCall } from '../plan/model.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';

export function escapePagePath(stateDir: string, service: string): string {
  return join(stateDir, 'escape', `${service}.md`);
}

/** @returns where the page was written */
export async function writeEscapePage(
  deps: ActivityDeps,
  call: { plan: Plan; phase: string; run: StepCall['run'] },
  context: DriverContext,
): Promise<{ path: string }> {
  const { plan } = call;
  const lines = [
    `# ${plan.service}: by hand`,
    '',
    `Written ${new Date(context.now()).toISOString()} in phase ${call.phase} of ${call.run.workflowId} (run ${call.run.runId}).`,
    `State then: ${plan.facts.classified.text}. Check each command's precondition before you run it.`,
    '',
  ];
  for (const component of Object.values(plan.components)) {
    const commands = await commandsOf(deps, plan, component, context);
    if (commands.length > 0) lines.push(`## ${component.name} (${component.type})`, '', ...commands, '');
  }
  const path = escapePagePath(deps.stateDir, plan.service);
  await mkdir(dirname(path), { recursive: true });
  // Renamed into place, so that a crash never leaves half a page.
  await writeFile(`${path}.${process.pid}`, lines.join('\n'));
  await rename(`${path}.${process.pid}`, path);
  return { path };
}

async function commandsOf(
  deps: ActivityDeps,
  plan: Plan,
  component: Plan['components'][string],
  context: DriverContext,
): Promise<string[]> {
  if (component.role === 'store' && plan.from !== null)
    return open(deps, component, 'store', context).escape(plan.from, plan.to);
  if (component.role === 'router') return open(deps, component, 'router', context).escape(plan.to);
  if (component.role === 'workload') return open(deps, component, 'workload', context).escape(plan.to, 'active');
  return [];
}
