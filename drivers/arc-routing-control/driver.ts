/**
 * Routing controls of AWS's Application Recovery Controller as a router: switches that turn regions on and off through
 * the cluster's data plane, which is built to work when a region, or AWS's control planes, do not. What clients get is
 * decided by the DNS records whose health checks follow the controls.
 */
import type { Component } from '../../topology/model.ts';
import { assertCurrent, claimToWrite, isOfRun } from '../claims.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Finding, Json, Receipt, Router, RouterObservation, Weights } from '../ports.ts';
import { CALLS } from './calls.ts';
import { type Answer, misnamedIn, nobody, openCluster, type Survey } from './cluster.ts';
import { type ArcConfig, configSchema, controlsOf, nodeSchema, validateArc } from './config.ts';
import { escapeCommands } from './escape.ts';
import { findingsOf } from './preflight.ts';
import { alone, readRecord, type SwitchRecord, writeRecord } from './record.ts';
import { regionsOn, type States, sameStates, showStates, showWeights, statesFor, weightsFor } from './states.ts';
import { bring, describe } from './switch.ts';

/** A change that was sent and never read back is suspected to be on its way for this long, in milliseconds. */
const PENDING_MS = 600_000;
/** Beyond the deadline of the attempt that holds the lock, in milliseconds. */
const LOCK_MARGIN_MS = 5_000;

export const arcRoutingControl: Driver<'router'> = {
  type: 'arc-routing-control',
  role: 'router',
  summary: 'Routing controls of ARC (Route 53): regions on or off through five regional endpoints',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [CALLS],
  capabilities(config) {
    const { clientTtl, deadline } = config as unknown as ArcConfig;
    return {
      role: 'router',
      kind: 'onOff',
      resolutionPercent: 100,
      ttlMs: clientTtl,
      applyMs: deadline,
      preflight: true,
      verify: 'readback',
      unverifiable: [
        'whether this worker may switch: a right to change is seen only when it is used',
        'what clients get: the DNS records whose health checks follow the routing controls decide it, and are not read here',
        'the parts in which regions share the traffic while more than one is on: they are shown as equal',
        'that no worker elsewhere switches it as well: the claim is kept by the worker that switches, routing controls have no place for it',
      ],
    };
  },
  local: () => false,
  validate: validateArc,
  open: openArc,
};

function openArc(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as ArcConfig;
  const controls = controlsOf(component);
  const { name } = component;
  const weights = (states: States): Weights | null => {
    const on = regionsOn(controls, states);
    return on === null ? null : weightsFor(controls, on);
  };
  /** Enough endpoints say the same. */
  const agree = (answers: readonly Answer[]) =>
    answers.length >= config.confirm && answers.every(({ states }) => sameStates(states, answers[0]!.states));

  async function observe(): Promise<RouterObservation> {
    const record = await readRecord(context, name);
    const cluster = await openCluster(name, config, controls, context);
    const survey = await cluster.survey(agree);
    const [first] = survey.answers;
    const same = first !== undefined && survey.answers.every(({ states }) => sameStates(states, first.states));
    const misnamed = misnamedIn(survey);
    const states = same && misnamed.length === 0 ? first.states : null;
    const details = [
      first === undefined ? nobody(name, survey.silent).message : describe(survey, { controls }),
      ...misnamed,
      same || first === undefined ? '' : 'the endpoints do not agree',
      same && survey.answers.length < config.confirm ? 'too few endpoints answer to be sure' : '',
      states !== null && regionsOn(controls, states) === null ? 'the routing controls of one region differ' : '',
      states !== null && regionsOn(controls, states)?.length === 0 ? 'no region is on' : '',
    ];
    const pending = pendingFor(record, states);
    if (pending !== null) details.push(pending);
    return {
      reachable: first !== undefined,
      weights: states === null ? null : weights(states),
      applied: states !== null && survey.answers.length >= config.confirm && pending === null,
      observedAt: context.now(),
      detail: details.filter(Boolean).join('; '),
      claim: record?.claim ?? null,
    };
  }

  async function preflight(mode: 'planned' | 'unplanned'): Promise<Finding[]> {
    const cluster = await openCluster(name, config, controls, context);
    return findingsOf(name, mode, config, controls, await cluster.survey(() => false));
  }

  /** A change that was sent not long ago and does not show. */
  function pendingFor(record: SwitchRecord | null, states: States | null): string | null {
    if (record === null || record.confirmed || states === null || sameStates(states, record.wanted)) return null;
    if (context.now() - record.claim.at > PENDING_MS) return null;
    return `run ${record.claim.runId} asked for ${showStates(controls, record.wanted)}, which does not show`;
  }

  async function setWeights(asked: Weights): Promise<Receipt> {
    context.signal.throwIfAborted();
    // Wrong in itself: said before anybody is asked. Whatever is on now, these are weights.
    statesFor(
      name,
      controls,
      asked,
      controls.map(({ region }) => region),
    );
    const cluster = await openCluster(name, config, controls, context);
    return alone(context, name, config.deadline + LOCK_MARGIN_MS, async () => {
      const record = await readRecord(context, name);
      assertCurrent(name, record?.claim ?? null, context);
      const survey = await cluster.survey(agree);
      const before = presentIn(survey);
      const wanted = statesFor(name, controls, asked, regionsOn(controls, before) ?? []);
      assertNotByHand(record, before, wanted);
      const already = sameStates(before, wanted) && agree(survey.answers);
      const claim = claimToWrite(record?.claim ?? null, context);
      await writeRecord(context, name, { claim, before, wanted, confirmed: already });
      context.signal.throwIfAborted();
      const facts = { before: weights(before), after: weights(wanted) };
      if (already) {
        const summary = `${name}: ${describe(survey, { controls })} already`;
        return receipt(true, summary, { ...facts, shownBy: survey.answers.map(({ at }) => at) });
      }
      const answered = survey.answers.map(({ at }) => at);
      const rest = config.endpoints.map(({ region }) => region).filter((region) => !answered.includes(region));
      const shown = { before: showStates(controls, before), wanted: showWeights(weights(wanted)!) };
      const mayOverride = context.overrides?.includes('safetyRule') ?? false;
      const seen = survey.answers.map(({ states }) => states);
      const wish = {
        component: name,
        controls,
        before: seen,
        wanted,
        shown,
        order: [...answered, ...rest],
        mayOverride,
      };
      const switched = await bring(cluster, config, wish, context);
      await writeRecord(context, name, { claim, before, wanted, confirmed: true });
      return receipt(false, summaryOf(wanted, switched), { ...facts, ...switched });
    });
  }

  /** What the controls say before a change: the most that is known, and nothing that is doubtful. */
  function presentIn(survey: Survey): States {
    const [first] = survey.answers;
    if (first === undefined) throw nobody(name, survey.silent);
    const misnamed = misnamedIn(survey);
    if (misnamed.length > 0) {
      throw new RampartError('PreconditionFailed', `${name}: ${misnamed.join('; ')}`, {
        remedy: 'Are regions swapped in the topology? Correct `routingControl` or `control`.',
      });
    }
    // Endpoints that are behind show what was before: what most of them show is where the change begins.
    const votes = survey.answers.map(({ states }) => survey.answers.filter((o) => sameStates(o.states, states)).length);
    return survey.answers[votes.indexOf(Math.max(...votes))]!.states;
  }

  /** A person who switches after this run's own change meant it; a run that starts afterwards takes it as its base. */
  function assertNotByHand(record: SwitchRecord | null, present: States, wanted: States): void {
    if (record === null || !isOfRun(record.claim, context) || sameStates(present, wanted)) return;
    const own = record.confirmed ? [record.wanted] : [record.before, record.wanted];
    if (own.some((states) => sameStates(present, states))) return;
    const message = `${name} was switched by somebody else after run ${record.claim.runId} did: ${showStates(controls, present)}`;
    throw new RampartError('Conflict', message, {
      remedy: 'Switch it back, or end this run; a new run takes it as it finds it.',
    });
  }

  function summaryOf(wanted: States, { shownBy, silent, overridden }: Awaited<ReturnType<typeof bring>>): string {
    const not = silent.length === 0 ? '' : `; no answer from ${silent.join(', ')}`;
    const rules = overridden.length === 0 ? '' : `; overridden by a person's word: ${overridden.join(', ')}`;
    const by = `shown by ${shownBy.length} of ${config.endpoints.length} endpoints (${shownBy.join(', ')})`;
    return `${name}: ${showStates(controls, wanted)}, ${by}${not}${rules}`;
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const cluster = await openCluster(name, config, controls, context);
    const survey = await cluster.survey(agree);
    const present = presentIn(survey);
    const wanted = statesFor(
      name,
      controls,
      asked,
      controls.map(({ region }) => region),
    );
    if (!survey.answers.every(({ states }) => sameStates(states, wanted))) {
      const message = `${name}: ${describe(survey, { controls })}, wanted ${showStates(controls, wanted)}`;
      throw new RampartError('NotApplied', message, { remedy: 'See who else switches the routing controls.' });
    }
    return receipt(true, `${name}: ${describe(survey, { controls })}`, { by: 'readback', observed: weights(present) });
  }

  /** Switching a routing control needs nothing lowered or raised first: there is nothing to save or put back. */
  async function nothingToPrepare(): Promise<Receipt> {
    return receipt(true, `${name}: nothing to prepare, a routing control has no settings`, { ttlMs: config.clientTtl });
  }

  function receipt(already: boolean, summary: string, facts: Record<string, Json>): Receipt {
    return { already, at: context.now(), summary, facts };
  }

  return {
    observe,
    preflight,
    setWeights,
    verifyWeights,
    save: nothingToPrepare,
    prepare: nothingToPrepare,
    restore: nothingToPrepare,
    async escape(to) {
      return escapeCommands(config, statesFor(name, controls, { [to]: 100 }, []));
    },
  };
}
