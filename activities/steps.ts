/** The verbs of plans. Each is generic over drivers: it opens the component's port and asks for a desired state. */
import { activityInfo } from '@temporalio/activity';
import { RampartError } from '../drivers/errors.ts';
import { type OwnCommand, runOwnCommand } from '../drivers/own-steps/command.ts';
import { type OwnHttp, runOwnHttp } from '../drivers/own-steps/http.ts';
import type { OwnStepFacts } from '../drivers/own-steps/step.ts';
import { poll } from '../drivers/poll.ts';
import type {
  At,
  DriverContext,
  FenceReceipt,
  FenceStrength,
  Finding,
  Json,
  NodeObservation,
  Receipt,
  Store,
  Weights,
} from '../drivers/ports.ts';
import { metrics } from '../metrics/process.ts';
import { MOVE, WEIGHTS } from '../plan/adopted.ts';
import type { StepCall } from '../plan/model.ts';
import { analyse, lineOf } from './analyse.ts';
import type { StepActivities } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { assertMayReceive } from './guard.ts';
import { open, perform } from './perform.ts';
import { preflightOf } from './preflight.ts';
import { onThisClock, samplesOf } from './samples.ts';

/** How long a check that must pass is asked again before it counts as failed, in milliseconds, unless the step says so. */
const CHECK_WAIT_MS = 10_000;

/** A command that is ended gets two seconds to clean up. */
const OWN_STEP_MARGIN_MS = 3_000;
/** Older proofs are no proofs, in milliseconds. */
const PROOF_AGE_MS = 5_000;

type Work = (call: StepCall, context: DriverContext) => Promise<Receipt>;
type StoreWork = (store: Store, call: StepCall, context: DriverContext) => Promise<Receipt>;

/** @returns the activities of every worker; which of them a worker is asked for depends on its task queue */
export function createStepActivities(deps: ActivityDeps): StepActivities {
  const step = (work: Work) => (call: StepCall) => {
    const { attempt, activityType } = activityInfo();
    if (attempt > 1) metrics.count('rampart_step_retries_total', { service: call.run.service, step: activityType });
    return perform(deps, call.run, call.token, (context) => work(call, { ...context, overrides: call.overrides }));
  };
  const store = (work: StoreWork) =>
    step((call, context) => work(open(deps, componentOf(call), 'store', context), call, context));

  return {
    ping: step(async (_call, context) => receipt(context, `build ${deps.build} answers`, { build: deps.build })),

    preflightStep: step(async (call, context) => {
      const direction = { mode: call.mode, from: fromOf(call), to: toOf(call) };
      return judge(context, await preflightOf(deps, componentOf(call), context, direction), call);
    }),
    runCheck: step(async (call, context) => {
      const check = open(deps, componentOf(call), 'check', context);
      const region = regionOf(call);
      const name = componentOf(call).name;
      let result = await check.run(region);
      await poll(
        {
          signal: context.signal,
          deadlineMs: Number(call.input.waitMs ?? CHECK_WAIT_MS),
          intervalMs: 100,
          maxIntervalMs: 1_000,
        },
        async () => {
          if (result.outcome !== 'pass') result = await check.run(region);
          return result.outcome === 'pass' ? true : undefined;
        },
      );
      if (result.outcome !== 'pass' && call.input.must !== false && !call.overrides.includes('targetCheck'))
        throw new RampartError('PreconditionFailed', `check ${lineOf(name, result)} in ${region}`, {
          remedy: `Look at ${name} in ${region}; when it passes, retry.`,
        });
      return receipt(context, lineOf(name, result), {
        outcome: result.outcome,
        observed: result.observed,
        threshold: result.threshold,
      });
    }),

    readClaim: store((port, call) => port.readClaim(at(call))),
    claim: store((port, call, context) => {
      const token = call.token!;
      const saved = Object.fromEntries(
        Object.entries(call.given).filter(([name, value]) => name.startsWith('save:') && value !== null),
      );
      return port.claim(at(call), {
        runId: call.run.runId,
        workflowId: call.run.workflowId,
        epoch: token.epoch,
        service: call.run.service,
        component: componentOf(call).name,
        saved: { ...saved, [MOVE]: moveOf(call) },
        fencedAt: null,
        freezeBudgetMs: Number(call.input.freezeBudgetMs),
        lastTouched: context.now(),
        open: true,
      });
    }),
    closeJournal: store((port, call) => port.journal(at(call), { open: false })),
    converge: store((port, call) =>
      port.converge(fromOf(call), toOf(call), call.input.limit as { ms: number; bytes: number }),
    ),
    fence: store((port, call) => port.fence(at(call))),
    unfence: store((port, call) => port.unfence(at(call), { to: toOf(call), deadline: call.deadline })),
    prove: store((port, call) => port.prove(at(call))),
    awaitCatchUp: store((port, call) =>
      port.awaitCatchUp(bestFence(call), at(call), samplesOf(deps, componentOf(call).name)),
    ),
    promote: store((port, call, context) =>
      port.promote(at(call), fromOf(call), proofFor(call, context.now()), { timeline: call.token!.expectedTimeline }),
    ),
    revokePromote: store((port, call) => port.revokePromote(at(call))),
    switchover: store(async (port, call) => {
      if (port.switchover === undefined)
        throw new RampartError('InvalidInput', `${componentOf(call).name} does not switch in one call`);
      return port.switchover(fromOf(call), toOf(call), call.mode);
    }),
    verifyWritable: store((port, call) => port.verifyWritable(at(call), fromOf(call))),
    leftBehind: store(async (port, call, context) => {
      const primary = String(call.input.primary ?? toOf(call));
      if (port.leftBehind !== undefined) return port.leftBehind(at(call), primary);
      const summary = `${componentOf(call).type} does not tell what ${regionOf(call)} holds alone`;
      return receipt(context, summary, { leftBehind: [] });
    }),
    rejoin: store((port, call) => port.rejoin(at(call), String(call.input.primary ?? toOf(call)))),
    rebuild: store((port, call) => port.rebuild(at(call), String(call.input.primary ?? toOf(call)))),
    release: store((port, call) => port.release(at(call))),
    finalObservation: store(async (port, call, context) => {
      const regions = Object.keys(componentOf(call).sides);
      const nodes = (await Promise.all(regions.map((region) => port.observe({ region })))).flat();
      const writable = nodes.filter((n) => n.state === 'writable');
      if (writable.length !== 1)
        throw new RampartError(
          writable.length === 0 ? 'PreconditionFailed' : 'SplitBrain',
          `${writable.length} writable nodes at the end: ${nodes.map(nodeText).join('; ')}`,
          {
            remedy: `\`rampart plan failover\` shows the present state; \`rampart escape ${call.run.service}\` the manual commands.`,
          },
        );
      return receipt(context, nodes.map(nodeText).join('; '), {
        writable: writable[0]!.node,
        region: writable[0]!.region,
      });
    }),

    saveRouter: step(async (call, context) => {
      const port = open(deps, componentOf(call), 'router', context);
      const [saved, { reachable, weights }] = await Promise.all([port.save(), port.observe()]);
      // Beside the settings, not among them: a driver puts back what it has read itself.
      return reachable && weights !== null ? { ...saved, [WEIGHTS]: weights } : saved;
    }),
    prepareRouter: step((call, context) =>
      open(deps, componentOf(call), 'router', context).prepare({ wait: call.input.wait !== false }),
    ),
    restoreRouter: step((call, context) => open(deps, componentOf(call), 'router', context).restore(savedOf(call))),
    fenceRouter: step((call, context) => {
      const { name, type } = componentOf(call);
      const port = open(deps, componentOf(call), 'router', context);
      if (port.fence === undefined) throw new RampartError('InvalidInput', `${name}: ${type} cannot fence a region`);
      return port.fence(regionOf(call));
    }),
    setWeights: step(async (call, context) => {
      const weights = call.input.weights as Weights;
      await assertMayReceive(deps, call, weights, context);
      const found = call.input.saved as Record<string, Json> | undefined;
      return open(deps, componentOf(call), 'router', context).setWeights(weights, found);
    }),
    verifyWeights: step(async (call, context) => {
      const seen = await open(deps, componentOf(call), 'router', context).verifyWeights(call.input.weights as Weights);
      showObserved(call, seen);
      return seen;
    }),

    saveWorkload: step((call, context) => open(deps, componentOf(call), 'workload', context).save(regionOf(call))),
    scaleWorkload: step((call, context) =>
      open(deps, componentOf(call), 'workload', context).scale(regionOf(call), { wait: call.input.wait !== false }),
    ),
    quiesceWorkload: step((call, context) =>
      open(deps, componentOf(call), 'workload', context).quiesce(regionOf(call)),
    ),
    drainWorkload: step((call, context) => open(deps, componentOf(call), 'workload', context).drain(regionOf(call))),
    restoreWorkload: step((call, context) =>
      open(deps, componentOf(call), 'workload', context).restore(regionOf(call), savedOf(call)),
    ),
    analyse: step((call, context) => analyse(deps, call, context)),

    ownCommand: step((call, context) => runOwnCommand(call.input as unknown as OwnCommand, context, ownFacts(call))),
    ownHttp: step((call, context) => runOwnHttp(call.input as unknown as OwnHttp, context, ownFacts(call))),
  };
}

/** What clients got, for as long as it may still be so. A read-back alone is no observation. */
const OBSERVED_MS = 300_000;

function showObserved(call: StepCall, { facts }: Receipt): void {
  if (facts.by !== 'sampled') return;
  const of = { service: call.run.service, component: componentOf(call).name };
  for (const [region, percent] of Object.entries((facts.observed ?? {}) as Weights))
    metrics.set('rampart_traffic_weight_observed_percent', { ...of, region }, percent, OBSERVED_MS);
}

export function receipt(
  context: Pick<DriverContext, 'now'>,
  summary: string,
  facts: Record<string, Json>,
  already = true,
): Receipt {
  return { already, at: context.now(), summary, facts };
}

function componentOf(call: StepCall) {
  if (call.component === null) throw new RampartError('InvalidInput', `${call.step.id} names no component of its plan`);
  return call.component;
}

function need(value: string | null, what: string, call: StepCall): string {
  if (value === null) throw new RampartError('InvalidInput', `${call.step.id} has no ${what}`);
  return value;
}
const regionOf = (call: StepCall): string => need(call.region, 'region', call);
const fromOf = (call: StepCall): string =>
  need((call.input.from as string | undefined) ?? call.from, 'source region', call);
const toOf = (call: StepCall): string => need((call.input.to as string | undefined) ?? call.to, 'target region', call);

function at(call: StepCall): At {
  return { region: regionOf(call), ...(call.nodes === null ? {} : { nodes: call.nodes }) };
}

/** The move that a journal is about. */
function moveOf({ input, from, to }: StepCall): Json {
  const move = (input.move as Record<string, Json> | undefined) ?? { from, to };
  return input.traffic === true ? { ...move, traffic: true } : move;
}

/** Settings read by a save step; an undo or a settle without them must not guess. */
function savedOf(call: StepCall): Record<string, Json> {
  if (call.input.saved !== undefined) return call.input.saved as Record<string, Json>;
  const saved = call.given.saved as unknown as Receipt | null | undefined;
  if (saved == null)
    throw new RampartError('PreconditionFailed', `${call.step.id}: the settings to put back were never read`, {
      remedy: 'Put them back by hand; the journal beside the data directory may hold them.',
    });
  return saved.facts;
}

/** Of several fenced groups of nodes, the one that knows the final position: the old primary's. */
function bestFence(call: StepCall): FenceReceipt | null {
  const all = fences(call, 'fence');
  return all.find((f) => f.fence.finalPosition !== null) ?? all[0] ?? null;
}

/**
 * The proof a promotion relies on: the weakest over all groups of the source's nodes. `null` tells the driver to
 * promote without one, and is given only when people have accepted a weak fence by name.
 */
function proofFor(call: StepCall, now: number): FenceReceipt | null {
  const groups = Object.keys(call.given).filter((name) => isNamed(name, 'proof'));
  // The run dated them by the server's clock; the driver judges their age by this one.
  const proofs = fences(call, 'proof').map((p) => ({
    ...p,
    fence: { ...p.fence, provenAt: onThisClock(p.fence.provenAt) },
  }));
  const order: FenceStrength[] = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'];
  const weakest = [...proofs].sort(
    (a, b) => order.indexOf(b.fence.cannotWrite) - order.indexOf(a.fence.cannotWrite),
  )[0];
  const complete = proofs.length === groups.length && weakest !== undefined;
  if (!call.overrides.includes('weakFence')) {
    if (complete) return weakest;
    throw new RampartError('NotFenced', `${call.step.id}: not every node of the source is proven fenced`, {
      remedy: 'The gate `promote` asks whether to go on without; approving it needs the override "weakFence".',
    });
  }
  const sound = complete && weakest.fence.cannotWrite !== 'none' && weakest.fence.epoch === call.token!.epoch;
  return sound && now - weakest.fence.provenAt <= PROOF_AGE_MS ? weakest : null;
}

/** `proof`, or `proof.0`, `proof.1`, … where a side's nodes are at several places. */
function isNamed(name: string, prefix: string): boolean {
  return name === prefix || (name.startsWith(`${prefix}.`) && /^\d+$/.test(name.slice(prefix.length + 1)));
}

function fences(call: StepCall, prefix: string): FenceReceipt[] {
  return Object.entries(call.given)
    .filter(([name]) => isNamed(name, prefix))
    .flatMap(([, value]) => (value === null ? [] : [value as unknown as FenceReceipt]))
    .filter((value) => value.fence !== undefined);
}

function judge(context: DriverContext, findings: Finding[], call: StepCall): Receipt {
  const blockers = findings.filter(
    (f) => f.severity === 'blocker' && !(f.override !== undefined && call.overrides.includes(f.override)),
  );
  // Overridable blockers are asked about at the gate; only what nobody may accept stops here.
  const final = blockers.filter((f) => f.override === undefined);
  if (final.length > 0)
    throw new RampartError('PreconditionFailed', final.map((f) => f.message).join('; '), {
      remedy: final.map((f) => f.remedy).join(' '),
    });
  const text = findings.length === 0 ? 'no findings' : findings.map((f) => `${f.severity}: ${f.message}`).join('; ');
  return receipt(context, text, { findings: findings.map((f) => f.code) });
}

function nodeText(n: NodeObservation): string {
  return `${n.node} in ${n.region}: ${n.state}${n.timeline === null ? '' : ` on timeline ${n.timeline}`}`;
}

function ownFacts(call: StepCall): OwnStepFacts {
  // A little less than Temporal's own limit, so that the step's exact error arrives before the bare time-out.
  const deadlineMs = Math.max(activityInfo().startToCloseTimeoutMs - OWN_STEP_MARGIN_MS, 500);
  return { step: call.step.id, region: call.region, from: call.from, to: call.to, mode: call.mode, deadlineMs };
}
