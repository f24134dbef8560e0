/**
 * Amazon Route 53 as a router: the records of one name, moved by weights, roles, health checks or values. A change is
 * one transactional batch in which the claim is compared and set, and counts when Route 53 says that it is in sync and
 * every authoritative server of the zone answers by it.
 */
import type { Component, RegionName } from '../../topology/model.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Receipt, Router, RouterObservation, Weights } from '../ports.ts';
import { unexplained } from '../sample.ts';
import { CALLS } from './calls.ts';
import { changeRecords } from './change.ts';
import { configSchema, nodeSchema, type Route53Config, sideOf, sidesOf, validateRoute53 } from './config.ts';
import { awaitAnswers, awaitInSync, type Confirming } from './confirm.ts';
import { authoritative, problemsOf, regionsByAnswer, sampleServer, surelyWrong, together } from './dns.ts';
import { escapeCommands } from './escape.ts';
import {
  fencedIn,
  isHealthy,
  type Look,
  offIn,
  type RegionHealth,
  readHealth,
  readName,
  switchHealth,
} from './health.ts';
import { preflight } from './preflight.ts';
import { assertUnderstood, weightEdits, weightsIn } from './records.ts';
import { sampleResolvers } from './resolvers.ts';
import { lowerTtls, restoreTtls, savedTtls } from './ttl.ts';
import { checkedWeights, sameWeights, showWeights } from './weights.ts';
import { openZone } from './zone.ts';

/** Questions to each server for a look that must be quick. */
const QUICK_QUESTIONS = 4;
/** Longest wait for servers that agreed before, in milliseconds. */
const VERIFY_MS = 20_000;

export const route53: Driver<'router'> = {
  type: 'route53',
  role: 'router',
  summary: 'Amazon Route 53: weighted, failover, latency and simple records of one name',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [CALLS],
  capabilities(config) {
    const { policy, ttl, verify, deadline, waitForTtl, resolvers } = config as unknown as Route53Config;
    const kind = ({ weighted: 'weighted', latency: 'onOff', failover: 'endpoint', simple: 'endpoint' } as const)[
      policy
    ];
    return {
      role: 'router',
      kind,
      resolutionPercent: kind === 'weighted' ? 1 : 100,
      ttlMs: ttl,
      prepareMs: waitForTtl,
      applyMs: deadline,
      preflight: true,
      lookEveryMs: 30_000,
      // A simple record has no other that could be answered instead.
      ...(policy === 'simple' ? {} : { fences: true }),
      verify: verify === 'dns' ? 'sampled' : 'readback',
      unverifiable: [
        'clients and resolvers that keep an answer longer than its TTL, and connections that are open',
        // Of one record there is nothing else that Route 53 could answer.
        ...(kind === 'onOff' || policy === 'simple'
          ? []
          : [
              'a region with weight 0 or in second place is no fence: Route 53 answers it when the others are unhealthy',
            ]),
        ...(verify === 'dns' || resolvers.length > 0
          ? []
          : ['what DNS answers: neither the authoritative servers nor `resolvers` are asked']),
      ],
    };
  },
  local: () => false,
  validate: validateRoute53,
  open: openRoute53,
};

function openRoute53(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as Route53Config;
  const sides = sidesOf(component);

  async function confirming(atMost = config.deadline): Promise<Confirming> {
    context.signal.throwIfAborted();
    const zone = await openZone(config, component.name, context);
    const end = clock.monotonic() + Math.min(config.deadline, atMost);
    return { config, sides, component: component.name, context, zone, end };
  }

  /** Where the name sends clients. */
  function reading(state: Look) {
    return weightsIn(config, sides, state, offIn(state.health));
  }

  async function observe(): Promise<RouterObservation> {
    const found = await look().catch((error: unknown) => {
      context.signal.throwIfAborted();
      if (error instanceof RampartError) return error;
      throw error;
    });
    const observedAt = context.now();
    if (found instanceof RampartError)
      return { reachable: false, weights: null, applied: false, observedAt, detail: found.message, claim: null };
    const { state, weights, details } = found;
    const claim = state.claim && {
      epoch: state.claim.epoch,
      runId: state.claim.runId,
      seq: state.claim.seq,
      at: state.claim.at,
    };
    const edited = state.edited ? [`changed by somebody else after run ${state.claim?.runId} wrote it`] : [];
    const detail = [...details.said, ...edited].filter(Boolean).join('; ');
    return { reachable: true, weights, applied: weights !== null && details.applied, observedAt, detail, claim };
  }

  async function look() {
    const of = await confirming();
    const state = await readName(of);
    const { weights, detail } = reading(state);
    if (weights === null || config.verify === 'readback')
      return { state, weights, details: { applied: weights !== null, said: [detail] } };
    const quick = await quickLook(of, weights).catch((error: unknown) => {
      context.signal.throwIfAborted();
      if (error instanceof RampartError) return [error.message];
      throw error;
    });
    return { state, weights, details: { applied: quick.length === 0, said: [detail, ...quick] } };
  }

  /** What contradicts the weights at the authoritative servers after a few questions. */
  async function quickLook(of: Confirming, weights: Weights): Promise<string[]> {
    const [servers, regions] = await Promise.all([
      authoritative(config, of.zone, context),
      regionsByAnswer(config, sides, context),
    ]);
    const said = await Promise.all(
      servers.map(async (server) => {
        const sample = await sampleServer(config, regions, server, QUICK_QUESTIONS, context.signal);
        return surelyWrong(sample, weights).map((problem) => `${server.name}: ${problem}`);
      }),
    );
    return said.flat();
  }

  async function setWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(config, sides, asked);
    const shown = showWeights(wanted);
    const of = await confirming();
    const seen: { before: Weights | null; health: RegionHealth[] } = { before: null, health: [] };
    const latency = config.policy === 'latency';
    const isOn = (region: RegionName) => wanted[region]! > 0;
    const changed = await changeRecords(of, {
      edits: (state) => weightEdits(config, sides, state, wanted),
      isOn,
      async meanwhile(state) {
        seen.before ??= reading(state).weights;
        if (latency) assertChecks(state.health);
        seen.health = latency ? state.health : await readHealth(of.zone, state, isOn);
      },
    });
    // By latency the checks are the switch. Elsewhere a region that gets traffic is let out of a fence, whole or half; and
    // one that somebody began may still come in: a new version of the check refuses it.
    const late = changed.claim?.busy === true;
    const health = latency ? seen.health : fencedIn(seen.health, late);
    // Read before the claim was written: a check that somebody has changed since refuses.
    const switched = await switchHealth(of, health, isOn, latency || late);
    const change = await changed.settled(of);
    await awaitInSync(of, change, shown);
    const samples = await awaitAnswers(of, shown, (sample) => problemsOf(config, sample, wanted));
    await readBack(of, wanted, shown);
    const already = changed.edits.length === 0 && switched === 0;
    const by = samples === null ? 'by its API (DNS was not asked)' : `at ${samples.length} authoritative servers`;
    const summary = `${component.name}: Route 53 ${already ? 'already answered' : 'answers'} ${shown} ${by}`;
    return receipt(already, summary, { before: seen.before, after: wanted, change });
  }

  function assertChecks(health: readonly RegionHealth[]): void {
    const without = sides.filter((side) => !health.some((one) => one.side === side)).map((side) => side.region);
    if (without.length === 0) return;
    throw new RampartError(
      'PreconditionFailed',
      `${config.name}: the latency records of ${without.join(', ')} have no health check`,
      {
        remedy: 'Give every latency record a health check of its own: regions are taken off by it.',
      },
    );
  }

  /** What is configured, asked once more after everything. */
  async function readBack(of: Confirming, wanted: Weights, shown: string): Promise<Look> {
    const state = await readName(of);
    const { weights, detail } = reading(state);
    if (sameWeights(weights, wanted)) return state;
    const observed = weights === null ? detail : showWeights(weights);
    throw new RampartError(
      'NotApplied',
      `${component.name}: wanted ${shown}, observed ${observed} in ${config.hostedZone}`,
      {
        remedy: 'Somebody else changed it, or the change was lost. It is looked at again by itself.',
        details: { wanted },
      },
    );
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(config, sides, asked);
    const shown = showWeights(wanted);
    // The change is made and was seen: what differs now does not get better by long waiting.
    const of = await confirming(VERIFY_MS);
    const state = await readBack(of, wanted, shown);
    const samples = await awaitAnswers(of, shown, (sample) => problemsOf(config, sample, wanted));
    const resolvers = await sampleResolvers(of, state, wanted, shown);
    const agreeing = Object.values(resolvers).filter((one) => typeof one === 'object').length;
    const all = config.resolvers.length;
    const recursive = all === 0 ? '' : `; ${agreeing} of ${all} resolvers agree`;
    if (samples === null)
      return receipt(true, `${component.name}: Route 53 has ${shown} (servers not asked)${recursive}`, {
        by: 'readback',
        observed: wanted,
        resolvers,
      });
    const { requests, observed } = together(samples);
    const summary = `${component.name}: ${requests} answers of ${samples.length} authoritative servers gave ${showWeights(observed)}${recursive}`;
    return receipt(true, summary, { by: 'sampled', requests, observed, resolvers });
  }

  async function fence(region: RegionName): Promise<Receipt> {
    const side = sideOf(sides, region);
    const of = await confirming();
    const seen: { health: RegionHealth[] } = { health: [] };
    const changed = await changeRecords(of, {
      edits: () => [],
      isOn: (one) => one !== region && !offIn(seen.health).includes(one),
      busy: true,
      async meanwhile(state) {
        seen.health = await readHealth(of.zone, state);
        await assertFenceable(of, seen.health, side.region);
        assertServedElsewhere(reading(state).weights, side.region);
      },
    });
    const own = seen.health.filter((one) => one.side === side);
    const switched = await switchHealth(of, own, () => false, true);
    await awaitInSync(of, await changed.settled(of), `${region} fenced`);
    const samples = await awaitAnswers(of, `nothing to ${region}`, (sample) => [
      ...((sample.counts[region] ?? 0) === 0 ? [] : [`still ${region}`]),
      ...unexplained(sample),
    ]);
    const how = samples === null ? 'DNS was not asked' : 'no authoritative server answers it';
    return receipt(switched === 0, `${component.name}: ${region} is unhealthy by its health check; ${how}`, { region });
  }

  /** Without a check there is nothing to fence by; and when all are unhealthy, Route 53 answers as if all were well. */
  async function assertFenceable(of: Confirming, all: readonly RegionHealth[], region: RegionName): Promise<void> {
    const refuse = (message: string, remedy: string) => {
      throw new RampartError('PreconditionFailed', `${config.name}: ${message}`, { remedy });
    };
    if (!all.some((one) => one.side.region === region))
      refuse(
        `the records of ${region} have no health check, so they cannot be fenced`,
        'Give them one; weight 0 is no fence.',
      );
    const withCheck = new Set(all.map((one) => one.side.region));
    const others = all.filter((one) => one.side.region !== region);
    const well = await Promise.all(others.map((one) => isHealthy(of.zone, one)));
    if (!well.some((answer) => answer === true) && sides.every((side) => withCheck.has(side.region)))
      refuse(
        `no region but ${region} is known to be healthy`,
        'Bring another region up first: with none healthy, Route 53 answers all of them.',
      );
  }

  /** A fence cuts off what is left of a region. It moves nothing: the region that serves is not taken away by it. */
  function assertServedElsewhere(weights: Weights | null, region: RegionName): void {
    if (weights === null || Object.keys(weights).some((one) => one !== region && weights[one]! > 0)) return;
    throw new RampartError('PreconditionFailed', `${config.name}: nobody would serve clients without ${region}`, {
      remedy: 'Give another region the traffic first.',
    });
  }

  function receipt(already: boolean, summary: string, facts: Receipt['facts']): Receipt {
    return { already, at: context.now(), summary, facts };
  }

  return {
    observe,
    preflight: async (mode, _from, to) => preflight(await confirming(), mode, to),
    setWeights,
    verifyWeights,
    async save() {
      const of = await confirming();
      const state = await readName(of);
      assertUnderstood(state);
      const ttls = savedTtls(state, config);
      const text = Object.entries(ttls).map(([key, ttl]) => `${key} ${ttl} s`);
      return receipt(true, `${component.name}: TTLs are ${text.join(', ') || 'those of the alias targets'}`, { ttls });
    },
    async prepare(options = { wait: true }) {
      const { already, summary, facts } = await lowerTtls(await confirming(), options.wait);
      return receipt(already, summary, facts);
    },
    async restore(saved) {
      const { already, summary, facts } = await restoreTtls(await confirming(), saved);
      return receipt(already, summary, facts);
    },
    // A simple record has no other that could be answered instead.
    ...(config.policy === 'simple' ? {} : { fence }),
    async escape(to) {
      const wanted = checkedWeights(config, sides, { [to]: 100 });
      return escapeCommands(await confirming(), wanted);
    },
  };
}
