/**
 * Traefik as a router: the split of a weighted HTTP service, or the one region a TCP service points at. A change is
 * one rename in the folder that Traefik's file provider watches, and counts when Traefik's API shows it.
 */
import { queuesOfPlace } from '../../topology/components.ts';
import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Driver, DriverContext, Receipt, Router, RouterObservation, Weights } from '../ports.ts';
import { contradictions, takeSample } from '../sample.ts';
import { openApi, type TraefikApi } from './api.ts';
import { changeFile, readIfThere } from './atomic-file.ts';
import { assertMayWrite, assertOurs, nextClaim } from './claim.ts';
import { configSchema, nodeSchema, serversOf, type TraefikConfig, validateTraefik } from './config.ts';
import { escapeCommands } from './escape.ts';
import { changeWeights, readFileState, renderTraefikFile, weightsInFile, withClaim } from './file.ts';
import { preflight } from './preflight.ts';
import { checkedWeights, type Layout, type Reading, sameWeights, showWeights } from './weights.ts';

/** Pause between two looks at the API, in milliseconds. A switch of the writer endpoint is part of the freeze. */
const LOOK_EVERY_MS = 1;
const HEARTBEAT_EVERY_MS = 500;

export const traefik: Driver<'router'> = {
  type: 'traefik',
  role: 'router',
  summary: 'Traefik: weighted HTTP services, and TCP services that point at one region',
  config: configSchema,
  node: nodeSchema,
  secrets: ['apiAuthorization'],
  capabilities(config) {
    const { kind, sample } = config as unknown as TraefikConfig;
    const endpoint = kind === 'endpoint';
    return {
      role: 'router',
      kind,
      resolutionPercent: endpoint ? 100 : 1,
      ttlMs: 0,
      verify: sample === undefined ? 'readback' : 'sampled',
      preflight: true,
      unverifiable: [
        ...(endpoint ? ['connections that were open before a switch stay at the old region until it closes them'] : []),
        ...(!endpoint && sample === undefined ? ['the split as clients see it: no `sample` is configured'] : []),
      ],
    };
  },
  local: () => false,
  validate: validateTraefik,
  open: openTraefik,
};

function openTraefik(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as TraefikConfig;
  const layout: Layout = {
    kind: config.kind,
    service: config.service,
    servers: serversOf(component, config.kind),
  };

  async function withApi<T>(work: (api: TraefikApi) => Promise<T>): Promise<T> {
    const api = await openApi(config, layout, context);
    try {
      return await work(api);
    } finally {
      api.close();
    }
  }

  async function observe(): Promise<RouterObservation> {
    const text = await readIfThere(config.file);
    const state = text === null ? null : readFileState(text);
    const written: Reading =
      state === null ? { weights: null, detail: `there is no file ${config.file}` } : weightsInFile(state.body, layout);
    const shown = await withApi((api) => api.shown()).catch((error: unknown) => {
      if (error instanceof RampartError) return error;
      throw error;
    });
    const reachable = !(shown instanceof RampartError);
    const weights = reachable ? shown.weights : null;
    // Who only looks may be on another machine than the file: what Traefik shows is then all that is known.
    const elsewhere = text === null && !queuesOfPlace(context.place).includes(component.queue);
    const applied = elsewhere ? reachable : sameWeights(weights, written.weights);
    const details = [
      reachable ? shown.detail : `${shown.message}; the file says ${showWeights(written.weights)}`,
      elsewhere ? `its file is read by the workers of ${component.queue}` : '',
      reachable && !applied ? `the file says ${showWeights(written.weights)} ${written.detail}`.trim() : '',
      state?.edited ? `edited by hand after run ${state.claim?.runId} wrote it` : '',
    ];
    const { component: _, ...claim } = state?.claim ?? { component: '' };
    return {
      reachable,
      weights,
      applied,
      observedAt: context.now(),
      detail: details.filter(Boolean).join('; '),
      claim: 'epoch' in claim ? claim : null,
    };
  }

  async function setWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(layout, asked);
    return withApi(async (api) => {
      // Asked first: a change that could not be read back afterwards is not begun.
      const before = (await api.shown()).weights;
      const applied = sameWeights(before, wanted);
      const base = await readIfThere(config.file);
      let already = false;
      await changeFile(config.file, context.signal, (present) => {
        assertOurs(config.file, base, present, context);
        const state = readFileState(present ?? firstFile(wanted));
        const body = changeWeights(state.body, layout, wanted);
        const fits = present !== null && body === state.body;
        assertMayWrite(config.file, component.name, state, fits, context);
        already = fits && applied;
        // Written also when only the claim is newer, so that an older attempt finds it and is refused; and when Traefik
        // does not show what the file says, so that it is told once more.
        const text = withClaim(body, nextClaim(component.name, state, context));
        return text === present && applied ? null : text;
      });
      await readBack(api, wanted);
      const summary = `${component.name}: Traefik ${already ? 'already showed' : 'shows'} ${showWeights(wanted)}`;
      return receipt(already, summary, { before, after: wanted });
    });
  }

  function inFile(body: string, wanted: Weights): boolean {
    return sameWeights(weightsInFile(body, layout).weights, wanted);
  }

  function firstFile(weights: Weights): string {
    if (config.entryPoint === undefined) {
      throw new RampartError('PreconditionFailed', `there is no file ${config.file}`, {
        remedy: 'Put the file in place, or set `entryPoint` (and `rule`) so that Rampart can write a first one.',
      });
    }
    const { entryPoint, router, rule } = config;
    return renderTraefikFile({ ...layout, entryPoint, router, rule, weights });
  }

  /** Waits until the API shows the weights and, for every region with traffic, the right servers. */
  async function readBack(api: TraefikApi, wanted: Weights): Promise<void> {
    let last = 'nothing yet';
    let heartbeatAt = 0;
    const serving = Object.keys(wanted).filter((region) => wanted[region]! > 0);
    const polling = { signal: context.signal, deadlineMs: config.deadline, intervalMs: LOOK_EVERY_MS };
    const shown = await poll(polling, async () => {
      try {
        const reading = await api.shown();
        last = reading.weights === null ? reading.detail : showWeights(reading.weights);
        if (sameWeights(reading.weights, wanted)) {
          const wrong = await api.wrongServers(serving);
          if (wrong.length === 0) return true;
          last = `other servers than the topology's for ${wrong.join(', ')}`;
        }
      } catch (error) {
        if (!(error instanceof RampartError) || error.type !== 'ProviderUnavailable') throw error;
        last = error.message;
      }
      if (performance.now() > heartbeatAt) {
        heartbeatAt = performance.now() + HEARTBEAT_EVERY_MS;
        context.heartbeat({ component: component.name, wanted, observed: last });
      }
      return undefined;
    });
    if (shown) return;
    const text = await readIfThere(config.file);
    const message = `${component.name}: wanted ${showWeights(wanted)}, observed after ${config.deadline} ms: ${last}`;
    if (text === null || !inFile(readFileState(text).body, wanted)) {
      const remedy = `Somebody else changed ${config.file} meanwhile. See who, then start again.`;
      throw new RampartError('Conflict', message, { remedy });
    }
    throw new RampartError('NotApplied', message, {
      remedy: `The file is written. See Traefik's log: one broken file in ${config.file.replace(/[^/]+$/, '')} makes it ignore all of them.`,
      details: { wanted },
    });
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(layout, asked);
    const { weights, detail } = await withApi((api) => api.shown());
    if (!sameWeights(weights, wanted)) {
      const observed = weights === null ? detail : showWeights(weights);
      const message = `${component.name}: Traefik shows ${observed}, wanted ${showWeights(wanted)}`;
      throw new RampartError('NotApplied', message, { remedy: `See ${config.file} and Traefik's log.` });
    }
    if (config.sample === undefined) {
      return receipt(true, `${component.name}: Traefik shows ${showWeights(wanted)} (not sampled)`, {
        by: 'readback',
        observed: wanted,
      });
    }
    const sample = await takeSample(config.sample, context.signal);
    const problems = contradictions(sample, wanted);
    if (problems.length > 0) {
      throw new RampartError('NotApplied', `${component.name}: clients get ${problems.join('; ')}`, {
        remedy: `See that every region answers at ${config.sample.url} with the header ${config.sample.header}.`,
        details: { ...sample },
      });
    }
    return receipt(true, `${component.name}: ${sample.requests} requests gave ${showWeights(sample.observed)}`, {
      by: 'sampled',
      ...sample,
    });
  }

  /** Traefik has no TTL or other setting to change before a move: there is nothing to save or put back. */
  async function nothingToPrepare(): Promise<Receipt> {
    const { weights } = await observe();
    return receipt(true, `${component.name}: nothing to prepare, clients keep no old answer`, { ttlMs: 0, weights });
  }

  function receipt(already: boolean, summary: string, facts: Receipt['facts']): Receipt {
    return { already, at: context.now(), summary, facts };
  }

  return {
    observe,
    setWeights,
    verifyWeights,
    save: nothingToPrepare,
    prepare: nothingToPrepare,
    restore: nothingToPrepare,
    preflight: (mode, _from, to) =>
      preflight({ component: component.name, file: config.file }, mode, async () => {
        const wanted = checkedWeights(layout, { [to]: 100 });
        const state = readFileState((await readIfThere(config.file)) ?? firstFile(wanted));
        return withClaim(changeWeights(state.body, layout, wanted), state.claim);
      }),
    async escape(to) {
      return escapeCommands(config, layout, checkedWeights(layout, { [to]: 100 }), await readIfThere(config.file));
    },
  };
}
