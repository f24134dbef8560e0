/**
 * AWS Global Accelerator as a router: the traffic dials of endpoint groups, one per region of AWS, or the weights of
 * endpoints inside one group.
 *
 * A dial is no share of the traffic. It is what an endpoint group takes of the clients that are nearest to it; the rest
 * goes on to the next best group. And it is no fence: a group at 0 still gets traffic when no other is healthy.
 */
import type { Component, RegionName } from '../../topology/model.ts';
import { assertCurrent, claimToWrite, isOfRun, sameClaim } from '../claims.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Finding, Json, Receipt, Router, RouterObservation, Weights } from '../ports.ts';
import { openAccelerator, type Reading } from './api.ts';
import { CALLS } from './calls.ts';
import { type AcceleratorConfig, configSchema, nodeSchema, unitsOf, validateAccelerator } from './config.ts';
import { escapeCommands } from './escape.ts';
import { findingsOf } from './preflight.ts';
import type { TurnRecord } from './record.ts';
import { faultsIn, unhealthyIn, valuesIn } from './state.ts';
import { awaitHealth, turn } from './turn.ts';
import {
  checkedWeights,
  percentOf,
  sameValues,
  sameWeights,
  showValues,
  showWeights,
  type Values,
  valuesFor,
} from './values.ts';

/** A change that was sent and never read back is suspected to be on its way for this long, in milliseconds. */
const PENDING_MS = 600_000;

export const globalAccelerator: Driver<'router'> = {
  type: 'global-accelerator',
  role: 'router',
  summary: 'AWS Global Accelerator: traffic dials of regions, or weights of endpoints',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [CALLS],
  capabilities(config) {
    const { by, deadline, healthWait } = config as unknown as AcceleratorConfig;
    return {
      role: 'router',
      kind: 'weighted',
      resolutionPercent: 1,
      ttlMs: 0,
      applyMs: deadline + healthWait,
      preflight: true,
      lookEveryMs: 15_000,
      verify: 'readback',
      ...(by === 'dial' ? { nominal: 'traffic dial' } : {}),
      unverifiable: [
        ...(by === 'dial'
          ? [
              'the shares that regions get: a traffic dial is the percentage that a region takes of the clients nearest to it, the others go on to the next best region',
            ]
          : ['the shares that endpoints get: nothing counts them']),
        'where a region at 0 stays free of traffic: Global Accelerator sends some there when it finds nothing healthy elsewhere, so this is no fence',
        'connections that are open: they stay where they are until they end',
      ],
    };
  },
  local: () => false,
  validate: validateAccelerator,
  open: openGlobalAccelerator,
};

function openGlobalAccelerator(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as AcceleratorConfig;
  const units = unitsOf(component);
  const { name } = component;
  const open = () => openAccelerator(name, config, units, context);
  const show = (values: Values) => showValues(config.by, units, values);

  async function observe(): Promise<RouterObservation> {
    const reading = await open()
      .then((accelerator) => accelerator.read())
      .catch((error: unknown) => {
        if (error instanceof RampartError && error.type !== 'MissingPackage') return error;
        throw error;
      });
    const observedAt = context.now();
    if (reading instanceof RampartError) {
      return { reachable: false, weights: null, applied: false, observedAt, detail: reading.message, claim: null };
    }
    const values = valuesIn(units, reading);
    const faults = faultsIn(units, reading);
    const weights = values === null || faults.length > 0 ? null : percentOf(units, values);
    const pending = values === null ? null : pendingFor(reading.record, values);
    const details = [
      ...(values === null ? [] : [show(values)]),
      ...faults.map(({ message }) => message),
      weights === null && faults.length === 0 ? 'the endpoint groups of one region are turned differently' : '',
      reading.deployed ? '' : 'a change is being deployed',
      reading.enabled ? '' : 'the accelerator is disabled',
      pending ?? '',
      ...healthOf(reading, Object.keys(component.sides)),
    ];
    return {
      reachable: true,
      weights,
      applied: weights !== null && reading.deployed && reading.enabled && pending === null,
      observedAt,
      detail: details.filter(Boolean).join('; '),
      claim: reading.record?.claim ?? null,
    };
  }

  function pendingFor(record: TurnRecord | null, values: Values): string | null {
    if (record === null || record.confirmed || sameValues(values, record.wanted)) return null;
    if (context.now() - record.claim.at > PENDING_MS) return null;
    return `run ${record.claim.runId} asked for ${show(record.wanted)}, which does not show`;
  }

  function healthOf(reading: Reading, regions: readonly RegionName[]): string[] {
    return regions.flatMap((region) => {
      const problem = unhealthyIn(region, units, reading, config.by === 'dial');
      return problem === null ? [] : [`${region} is not healthy for Global Accelerator: ${problem}`];
    });
  }

  /** What is turned now. @throws PreconditionFailed when that cannot be told, or regions are swapped */
  function presentIn(reading: Reading): Values {
    // Others that take traffic make weights unknown, and are no reason to leave a dying region alone.
    const [fault] = faultsIn(units, reading).filter(({ code }) => code !== 'acceleratorOthers');
    const values = valuesIn(units, reading);
    if (fault === undefined && values !== null) return values;
    throw new RampartError(
      'PreconditionFailed',
      `${name}: ${fault?.message ?? 'its endpoint groups are not all there'}`,
      {
        remedy: fault?.remedy ?? 'Correct `endpointGroup`.',
      },
    );
  }

  async function setWeights(asked: Weights, found: Record<string, Json> = {}): Promise<Receipt> {
    const weights = checkedWeights(name, units, asked);
    const accelerator = await open();
    const reading = await accelerator.read();
    const { record } = reading;
    assertCurrent(name, record?.claim ?? null, context);
    const before = presentIn(reading);
    const own = record !== null && isOfRun(record.claim, context);
    const began = own && sameKeys(record.began, before) ? record.began : before;
    const earlier = found.values as Values | undefined;
    const base = earlier !== undefined && sameKeys(earlier, before) ? earlier : began;
    const wanted = valuesFor(units, weights, base);
    assertNotByHand(record, before, weights);
    const already = sameWeights(percentOf(units, before), weights) && reading.deployed;
    const claim = claimToWrite(record?.claim ?? null, context);
    const next = { claim, began, before, wanted: already ? before : wanted, confirmed: already };
    const facts = { before: percentOf(units, before), after: weights };
    if (already && record !== null && isSame(record, next)) {
      return receipt(true, `${name}: ${show(before)} already`, facts);
    }
    if (!already) {
      const gaining = units.filter(({ key }) => wanted[key]! > before[key]!).map(({ region }) => region);
      const regions = [...new Set(gaining)];
      const waiting = { component: name, units, regions, strict: config.by === 'dial' };
      const seen = await awaitHealth(accelerator, config, waiting, context);
      // That may have taken minutes, and this run's claim must not go over a newer one.
      assertCurrent(name, seen.record?.claim ?? null, context);
    }
    await accelerator.claim(next);
    context.signal.throwIfAborted();
    if (already) return receipt(true, `${name}: ${show(before)} already`, facts);
    const turning = { component: name, units, before, wanted, record: next, shown: showWeights(weights) };
    await turn(accelerator, config, turning, context);
    await accelerator.claim({ ...next, confirmed: true });
    return receipt(false, `${name}: ${show(wanted)}, deployed`, { ...facts, turned: show(wanted) });
  }

  /** A person who turns it after this run's own change meant it; a run that starts afterwards takes it as its base. */
  function assertNotByHand(record: TurnRecord | null, present: Values, weights: Weights): void {
    if (record === null || !isOfRun(record.claim, context)) return;
    if (!sameKeys(record.wanted, present) || sameWeights(percentOf(units, present), weights)) return;
    const { wanted, before, confirmed } = record;
    const ours = units.every(({ key }) => present[key] === wanted[key] || (!confirmed && present[key] === before[key]));
    if (ours) return;
    const message = `${name} was turned by somebody else after run ${record.claim.runId} did: ${show(present)}`;
    throw new RampartError('Conflict', message, {
      remedy: 'Turn it back, or end this run; a new run takes it as it finds it.',
    });
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const weights = checkedWeights(name, units, asked);
    const accelerator = await open();
    const reading = await accelerator.read();
    const present = presentIn(reading);
    if (!sameWeights(percentOf(units, present), weights) || !reading.deployed || !reading.enabled) {
      const state = `${reading.deployed ? '' : ', still being deployed'}${reading.enabled ? '' : ', the accelerator is disabled'}`;
      throw new RampartError('NotApplied', `${name}: ${show(present)}${state}, wanted ${showWeights(weights)}`, {
        remedy: 'See who else changes the accelerator.',
      });
    }
    const regions = Object.keys(weights).filter((region) => weights[region]! > 0);
    await awaitHealth(accelerator, config, { component: name, units, regions, strict: true }, context);
    const summary = `${name}: ${show(present)}, deployed and healthy; shares are not counted`;
    return receipt(true, summary, { by: 'readback', observed: weights });
  }

  async function preflight(mode: 'planned' | 'unplanned', from: RegionName, to: RegionName): Promise<Finding[]> {
    const reading = await open()
      .then((accelerator) => accelerator.read())
      .catch((error: unknown) => {
        if (error instanceof RampartError) return error;
        throw error;
      });
    if (!(reading instanceof RampartError)) return findingsOf(name, config, units, { mode, from, to }, reading);
    const { message, remedy } = reading;
    const severity = mode === 'planned' ? 'blocker' : 'warning';
    return [{ code: 'acceleratorUnreadable', severity, component: name, region: null, message: `${message}.`, remedy }];
  }

  /** Dials of 100 and 100 and of 50 and 50 are the same weights, and not the same. */
  async function save(): Promise<Receipt> {
    const values = valuesIn(units, await (await open()).read());
    return receipt(
      true,
      `${name}: ${values === null ? 'not all there' : show(values)}`,
      values === null ? {} : { values },
    );
  }

  /** Clients keep fixed addresses and no old answers: there is nothing to put back. */
  async function nothingToPrepare(): Promise<Receipt> {
    return receipt(true, `${name}: nothing to prepare, clients keep fixed addresses`, { ttlMs: 0 });
  }

  function receipt(already: boolean, summary: string, facts: Record<string, Json>): Receipt {
    return { already, at: context.now(), summary, facts };
  }

  return {
    observe,
    preflight,
    setWeights,
    verifyWeights,
    save,
    prepare: nothingToPrepare,
    restore: nothingToPrepare,
    async escape(to) {
      const weights = checkedWeights(name, units, { [to]: 100 });
      const reading = await open()
        .then((accelerator) => accelerator.read())
        .catch(() => null);
      return escapeCommands(config, units, valuesFor(units, weights, null), reading);
    },
  };
}

/** The topology may have changed since a run wrote its record: then the record says nothing about these units. */
const sameKeys = (a: Values, b: Values): boolean => Object.keys(a).sort().join() === Object.keys(b).sort().join();

const isSame = (a: TurnRecord, b: TurnRecord): boolean =>
  a.confirmed && sameClaim(a.claim, b.claim) && sameValues(a.wanted, b.wanted);
