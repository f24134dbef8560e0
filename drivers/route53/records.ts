/** What a zone's records say about the component, and which of them would have to change. Pure. */
import type { Change, ResourceRecordSet } from '@aws-sdk/client-route-53';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import { digestOf, type Route53Claim, readClaimRecord } from './claim.ts';
import { type RecordType, type Route53Config, type Side, valuesOf } from './config.ts';
import { type NameRecords, plainName } from './zone.ts';

/** One record set that the driver changes; `side` is `null` for a simple record, which has no region of its own. */
export interface Managed {
  type: RecordType;
  side: Side | null;
  set: ResourceRecordSet;
}

export interface Problem {
  code: 'recordMissing' | 'recordPolicy' | 'recordTarget';
  region: RegionName | null;
  message: string;
}

export interface NameState {
  managed: Managed[];
  /** Why the records are not the topology's: with any of these nothing is changed. */
  problems: Problem[];
  /** Of the types that are moved, but of no region of the component. */
  strangers: ResourceRecordSet[];
  /** Of other types that clients ask for. */
  otherTypes: ResourceRecordSet[];
  claim: Route53Claim | null;
  claimSet: ResourceRecordSet | null;
}

/** A record set before and after; both stand in one batch. */
export interface Edit {
  before: ResourceRecordSet;
  after: ResourceRecordSet;
}

const FIELD = { weighted: 'Weight', failover: 'Failover', latency: 'Region' } as const;
const ADDRESS_TYPES = ['A', 'AAAA', 'CNAME', 'HTTPS', 'SVCB'];

export function readState(config: Route53Config, sides: readonly Side[], found: NameRecords): NameState {
  const managed: Managed[] = [];
  const problems: Problem[] = [];
  for (const type of config.types) {
    const sets = found.sets.filter((set) => set.Type === type);
    if (config.policy === 'simple') {
      const set = sets.find((one) => one.SetIdentifier === undefined);
      if (set !== undefined) managed.push({ type, side: null, set });
      else problems.push(missing(config, type, null));
      continue;
    }
    const field = FIELD[config.policy];
    for (const side of sides) {
      const set = sets.find((one) => one.SetIdentifier === side.setIdentifier);
      if (set === undefined) problems.push(missing(config, type, side));
      else {
        managed.push({ type, side, set });
        problems.push(...wrong(config, type, side, set, field));
      }
    }
  }
  const known = new Set(managed.map(({ set }) => set));
  const others = found.sets.filter((set) => !known.has(set));
  const claim = readClaimRecord(found.claim);
  return {
    managed,
    problems,
    strangers: others.filter((set) => config.types.includes(set.Type as RecordType)),
    otherTypes: others.filter(
      (set) => ADDRESS_TYPES.includes(set.Type ?? '') && !config.types.includes(set.Type as RecordType),
    ),
    claim,
    claimSet: found.claim,
  };
}

function missing(config: Route53Config, type: RecordType, side: Side | null): Problem {
  const which = side === null ? 'simple record' : `record "${side.setIdentifier}" of ${side.region}`;
  return {
    code: 'recordMissing',
    region: side?.region ?? null,
    message: `${config.name} has no ${type} ${which} in ${config.hostedZone}`,
  };
}

function wrong(config: Route53Config, type: RecordType, side: Side, set: ResourceRecordSet, field: string): Problem[] {
  const which = `${config.name} ${type} "${side.setIdentifier}"`;
  if (!(field in set) || set[field as keyof ResourceRecordSet] === undefined) {
    const message = `${which} is no ${config.policy} record`;
    return [{ code: 'recordPolicy', region: side.region, message }];
  }
  const says = valuesIn(set);
  const wanted = wantedValues(side, type);
  if (says.join() === wanted.join()) return [];
  const message = `${which} answers ${says.join(', ')}; by the topology ${side.region} is ${wanted.join(', ')}`;
  return [{ code: 'recordTarget', region: side.region, message }];
}

/** What a record answers, in one form whoever wrote it. */
export function valuesIn(set: ResourceRecordSet): string[] {
  if (set.AliasTarget !== undefined) return [aliasName(set.AliasTarget.DNSName ?? '')];
  return (set.ResourceRecords ?? []).map(({ Value }) => plainValue(Value ?? '')).sort();
}

function wantedValues(side: Side, type: RecordType): string[] {
  const values = valuesOf(side, type);
  return side.aliasZone === null ? values.map(plainValue).sort() : values.map(aliasName);
}

/** The console puts `dualstack.` before the names of load balancers. */
function aliasName(name: string): string {
  return plainName(name).replace(/^dualstack\./, '');
}

export function plainValue(text: string): string {
  if (!text.includes(':')) return plainName(text);
  return URL.canParse(`http://[${text}]`) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text.toLowerCase();
}

/** @throws PreconditionFailed when the records are not the topology's, or more than those: nothing is changed by guess */
export function assertUnderstood({ problems, strangers }: NameState): void {
  const taking = strangers.filter((set) => set.Weight !== 0).map((set) => `"${set.SetIdentifier ?? 'simple'}"`);
  const more = taking.length === 0 ? [] : [`${taking.join(', ')} takes a share and is no region of the topology`];
  const said = [...problems.map(({ message }) => message), ...more];
  if (said.length === 0) return;
  throw new RampartError('PreconditionFailed', said.join('; '), {
    remedy: 'Correct the records, or the setIdentifier and target of the regions in the topology; are two swapped?',
  });
}

export interface Reading {
  weights: Weights | null;
  detail: string;
}

/**
 * Where the records send clients, in percent.
 * @param off regions whose health check is forced to unhealthy; only for latency
 */
export function weightsIn(
  config: Route53Config,
  sides: readonly Side[],
  state: NameState,
  off: readonly RegionName[],
): Reading {
  const [problem] = state.problems;
  if (problem !== undefined) return { weights: null, detail: problem.message };
  const stranger = state.strangers.find((set) => set.Weight !== 0);
  if (stranger !== undefined) {
    const detail = `${config.name} also has the ${stranger.Type} record "${stranger.SetIdentifier ?? 'simple'}", which is no region of it`;
    return { weights: null, detail };
  }
  const readings = config.types.map((type) => {
    const managed = state.managed.filter((one) => one.type === type);
    switch (config.policy) {
      case 'weighted':
        return split(managed);
      case 'failover':
        return pointing(sides, managed.find(({ set }) => set.Failover === 'PRIMARY')?.side?.region);
      case 'latency':
        return evenly(sides, (region) => !off.includes(region));
      default: {
        const says = valuesIn(managed[0]!.set).join();
        return pointing(sides, sides.find((side) => wantedValues(side, type).join() === says)?.region);
      }
    }
  });
  const [first] = readings;
  if (readings.some((weights) => JSON.stringify(weights) !== JSON.stringify(first)))
    return { weights: null, detail: `the ${config.types.join(' and ')} records of ${config.name} route differently` };
  if (first === null) {
    const says = state.managed.map(({ set }) => set.Failover ?? valuesIn(set).join(', ')).join('; ');
    return { weights: null, detail: `${config.name} points at no region of it (${says})` };
  }
  const sum = Object.values(first!).reduce((total, weight) => total + weight, 0);
  // All zero is not nothing: Route 53 then answers each record equally often.
  if (sum === 0) {
    const detail = `all weights of ${config.name} are 0: Route 53 answers every region equally often`;
    return { weights: evenly(sides, () => true), detail };
  }
  return { weights: first!, detail: '' };
}

function split(managed: readonly Managed[]): Weights {
  const relative = managed.map(({ set }) => set.Weight ?? 0);
  const sum = relative.reduce((total, weight) => total + weight, 0);
  const percents = sum === 0 ? relative : shares(relative, sum);
  return Object.fromEntries(managed.map(({ side }, index) => [side!.region, percents[index]!]));
}

function pointing(sides: readonly Side[], region: RegionName | undefined): Weights | null {
  if (region === undefined) return null;
  return Object.fromEntries(sides.map((side) => [side.region, side.region === region ? 100 : 0]));
}

/** Equal shares for what is on: by latency, who gets how much depends on where clients are. */
export function evenly(sides: readonly Side[], isOn: (region: RegionName) => boolean): Weights {
  const on = sides.map((side) => (isOn(side.region) ? 1 : 0));
  const sum = on.reduce((total: number, one) => total + one, 0);
  const percents = sum === 0 ? on : shares(on, sum);
  return Object.fromEntries(sides.map((side, index) => [side.region, percents[index]!]));
}

/** Largest remainder: whole percents that add up to 100. */
function shares(values: readonly number[], sum: number): number[] {
  const exact = values.map((value) => (value * 100) / sum);
  const whole = exact.map(Math.floor);
  const byRemainder = [...exact.keys()].sort((a, b) => exact[b]! - whole[b]! - (exact[a]! - whole[a]!));
  const missing = 100 - whole.reduce((total, value) => total + value, 0);
  for (const index of byRemainder.slice(0, missing)) whole[index]! += 1;
  return whole;
}

/** What has to change so that the records send clients there. A weight is the percent itself: exact, in steps of 1. */
export function weightEdits(config: Route53Config, sides: readonly Side[], state: NameState, wanted: Weights): Edit[] {
  const to = sides.find((side) => wanted[side.region] === 100);
  return config.types.flatMap((type) => {
    const managed = state.managed.filter((one) => one.type === type);
    if (config.policy === 'weighted' && saysExactly(managed, wanted)) return [];
    return managed.flatMap(({ side, set }): Edit[] => {
      const after = { ...set };
      if (config.policy === 'weighted') after.Weight = wanted[side!.region]!;
      if (config.policy === 'failover') after.Failover = side === to ? 'PRIMARY' : 'SECONDARY';
      if (config.policy === 'simple' && valuesIn(set).join() !== wantedValues(to!, type).join())
        point(after, to!, type, config);
      return same(set, after) ? [] : [{ before: set, after }];
    });
  });
}

/** The shares are these already, in whatever numbers; 1 and 0 stay as somebody wrote them. */
function saysExactly(managed: readonly Managed[], wanted: Weights): boolean {
  const sum = managed.reduce((total, { set }) => total + (set.Weight ?? 0), 0);
  return sum > 0 && managed.every(({ side, set }) => (set.Weight ?? 0) * 100 === wanted[side!.region]! * sum);
}

function point(set: ResourceRecordSet, to: Side, type: RecordType, config: Route53Config): void {
  const values = valuesOf(to, type);
  if (to.aliasZone === null) {
    delete set.AliasTarget;
    set.TTL ??= config.ttl / 1000;
    set.ResourceRecords = values.map((Value) => ({ Value }));
    return;
  }
  const EvaluateTargetHealth = set.AliasTarget?.EvaluateTargetHealth ?? false;
  delete set.TTL;
  delete set.ResourceRecords;
  set.AliasTarget = { HostedZoneId: to.aliasZone, DNSName: values[0]!, EvaluateTargetHealth };
}

/** By what a record's TTL is kept: `A.eu-west`. */
export function ttlKey({ type, set }: Managed): string {
  return `${type}.${set.SetIdentifier ?? ''}`;
}

/** TTLs of the records, in seconds; alias records have the TTL of what they point at, and are not in it. */
export function ttlsOf(state: NameState): Record<string, number> {
  return Object.fromEntries(
    state.managed.flatMap((one) => (one.set.TTL === undefined ? [] : [[ttlKey(one), one.set.TTL] as const])),
  );
}

/** @param wanted the TTL that a record is to have, in seconds; `undefined`: as it is */
export function ttlEdits(state: NameState, wanted: (key: string, ttl: number) => number | undefined): Edit[] {
  return state.managed.flatMap((one) => {
    const { TTL } = one.set;
    const to = TTL === undefined ? undefined : wanted(ttlKey(one), TTL);
    return to === undefined || to === TTL ? [] : [{ before: one.set, after: { ...one.set, TTL: to } }];
  });
}

export function afterEdits(state: NameState, edits: readonly Edit[]): ResourceRecordSet[] {
  return state.managed.map(({ set }) => edits.find(({ before }) => before === set)?.after ?? set);
}

/**
 * One batch: everything that goes, exactly as it was read, then everything that comes. Route 53 does it in a single
 * operation, or refuses all of it when one record is not what was read (ChangeResourceRecordSets, API reference).
 */
export function batchOf(
  edits: readonly Edit[],
  claim: { before: ResourceRecordSet | null; after: ResourceRecordSet },
): Change[] {
  const gone = [...edits.map(({ before }) => before), ...(claim.before === null ? [] : [claim.before])];
  const come = [...edits.map(({ after }) => after), claim.after];
  return [
    ...gone.map((ResourceRecordSet) => ({ Action: 'DELETE' as const, ResourceRecordSet })),
    ...come.map((ResourceRecordSet) => ({ Action: 'CREATE' as const, ResourceRecordSet })),
  ];
}

function same(a: ResourceRecordSet, b: ResourceRecordSet): boolean {
  return digestOf([a]) === digestOf([b]);
}
