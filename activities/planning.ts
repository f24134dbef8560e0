/** Everything that is not a step of a plan: reading the request, observing, compiling, and the page for bad days. */

import { clock } from '../drivers/clock.ts';
import { drivers as registered } from '../drivers/registry.ts';
import { compilePlan } from '../plan/compile.ts';
import { assess } from '../plan/facts.ts';
import type { CompileInput } from '../plan/model.ts';
import { thin } from '../plan/readings.ts';
import { notifyViewOf } from '../topology/channels.ts';
import { type Component, lockOf } from '../topology/model.ts';
import type { ObserveCall, PlanningActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { writeEscapePage } from './escape-page.ts';
import { open, perform } from './perform.ts';
import { preflightOf } from './preflight.ts';
import { readRequest, refuseDrill } from './request.ts';
import { samplesOf } from './samples.ts';
import { watchFacts } from './watch.ts';

/** Identity of activities that run before a service is known. */
const NOBODY = { workflowId: '', runId: '', service: '', by: null };

export function createPlanningActivities(deps: ActivityDeps): PlanningActivities {
  const at = (call: ObserveCall) => ({ region: call.region!, ...(call.nodes === null ? {} : { nodes: call.nodes }) });
  return {
    resolveRequest: (raw) =>
      perform(deps, { ...NOBODY, workflowId: raw.workflowId }, null, async () => {
        const topology = await deps.topology();
        const { request, service } = readRequest(raw, topology);
        if (raw.drill === true) refuseDrill(service, await deps.halt(service));
        const names = [...service.components, ...service.checks, ...service.ramp.analysis];
        const components: Record<string, Component> = {};
        for (const name of names) components[name] = topology.components[name]!;
        const notify = notifyViewOf(topology.notifications, service.name);
        return {
          request,
          service,
          components,
          topologyDigest: topology.digest,
          lock: lockOf(service),
          searchAttributes: await deps.searchAttributes(),
          ui: deps.ui,
          namespace: deps.namespace,
          ...(notify === null ? {} : { notify }),
        };
      }),
    observeStore: (call) =>
      perform(deps, call.run, null, (context) => open(deps, call.component, 'store', context).observe(at(call))),
    observeRouter: (call) =>
      perform(deps, call.run, null, (context) => open(deps, call.component, 'router', context).observe()),
    observeWorkload: (call) =>
      perform(deps, call.run, null, (context) => open(deps, call.component, 'workload', context).observe(call.region!)),
    observeCheck: (call) =>
      perform(deps, call.run, null, (context) => open(deps, call.component, 'check', context).run(call.region!)),
    preflightStore: (call) =>
      perform(deps, call.run, null, (context) => preflightOf(deps, call.component, context, call)),
    readSamples: async (call) => thin(samplesOf(deps, call.component.name)),
    cancelRun: (call) => deps.cancelRun(call.workflowId, call.runId),
    openHalt: ({ service }) => perform(deps, { ...NOBODY, service: service.name }, null, () => deps.halt(service)),
    probePlace: async () => ({ build: deps.build, at: clock.now() }),
    findDirection: async (input) => {
      const { from, to, mode } = compilePlan(input);
      return { from, to, mode };
    },
    compilePlan: async (input: CompileInput) => compilePlan(await withHalt(deps, input)),
    assessFacts: async (input: CompileInput) => assess(await withHalt(deps, input)),
    watchFacts: (call) => perform(deps, call.run, null, (context) => watchFacts(deps, call, context)),
    writeEscapePage: (call) => perform(deps, call.run, null, (context) => writeEscapePage(deps, call, context)),
  };
}

/** Looked up where the plan is compiled, so that nothing in the workflow depends on when a halt began. */
async function withHalt(deps: ActivityDeps, input: CompileInput): Promise<CompileInput> {
  return { ...input, halt: await deps.halt(input.service) };
}

/** The drivers of this build; a worker may be given others in tests. */
export const builtInDrivers = registered;
