/** Plays seeds one after the other and adds up what they showed. */
import type { Rule } from '../judge/judge.ts';
import { drawScenario } from './draw.ts';
import { bundleFor, MUTATIONS, type Mutation } from './mutations.ts';
import type { Scenario } from './scenario.ts';
import { type Options, type Result, simulate } from './simulate.ts';

/** What one seed showed, or many. */
export interface Tally {
  seeds: number;
  /** Runs by how they ended: `failover planned: completed`. */
  ends: Record<string, number>;
  /** Traces in which a rule had something to judge. */
  judged: Partial<Record<Rule, number>>;
  /** `fault at verb`. */
  struck: Record<string, number>;
  failures: Failure[];
}

export interface Failure {
  seed: number;
  /** A rule, or `crash` when the simulation itself broke. */
  rule: Rule | 'crash';
  text: string;
}

/** Every so many seeds a scenario is played with every run replayed from its own history at the end. */
const REPLAY_EVERY = 16;

export const emptyTally = (): Tally => ({ seeds: 0, ends: {}, judged: {}, struck: {}, failures: [] });

export function addTally(sum: Tally, next: Tally): Tally {
  const add = (a: Record<string, number>, b: Record<string, number>): void => {
    for (const [key, n] of Object.entries(b)) a[key] = (a[key] ?? 0) + n;
  };
  sum.seeds += next.seeds;
  add(sum.ends, next.ends);
  add(sum.judged as Record<string, number>, next.judged as Record<string, number>);
  add(sum.struck, next.struck);
  sum.failures.push(...next.failures);
  return sum;
}

export async function optionsOf(mutation: Mutation | null): Promise<Options> {
  if (mutation === null) return {};
  const bundle = await bundleFor(mutation);
  return { ...(bundle && { bundle }), ...(mutation.wrap && { wrap: mutation.wrap }) };
}

export function mutationNamed(name: string | null): Mutation | null {
  if (name === null) return null;
  const mutation = MUTATIONS.find((m) => m.name === name);
  if (mutation === undefined)
    throw new Error(`there is no mutation ${name}: ${MUTATIONS.map((m) => m.name).join(', ')}`);
  return mutation;
}

/** The scenario of a seed; under a mutation with its occasion in it. */
export function scenarioOf(seed: number, mutation: Mutation | null): Scenario {
  const drawn = drawScenario(seed);
  const focus = mutation?.focus;
  if (focus === undefined) return drawn;
  // One that names its seed is a whole scenario, to be played as it was found.
  const more = focus.seed === undefined ? drawn.faults.slice(0, 1) : [];
  return { ...drawn, ...focus, faults: [...(focus.faults ?? []), ...more] };
}

/** Plays a scenario under a mutation, which also may change what drivers do. */
export async function play(scenario: Scenario, mutation: Mutation | null, options: Options): Promise<Result> {
  mutation?.enter?.();
  try {
    return await simulate(scenario, options);
  } finally {
    mutation?.leave?.();
  }
}

export async function playSeed(seed: number, mutation: Mutation | null, options: Options): Promise<Tally> {
  const tally = emptyTally();
  tally.seeds = 1;
  try {
    const result = await play(scenarioOf(seed, mutation), mutation, { ...options, replay: seed % REPLAY_EVERY === 0 });
    for (const end of result.ends) {
      const kind = end.split(':').slice(0, 2).join(':');
      tally.ends[kind] = (tally.ends[kind] ?? 0) + 1;
    }
    for (const rule of result.judged) tally.judged[rule] = 1;
    tally.struck = result.struck;
    tally.failures = result.violations.map(({ rule, text }) => ({ seed, rule, text }));
    // A mutation is caught by what is right without it.
    if (mutation !== null && tally.failures.length > 0) {
      const { violations } = await play(scenarioOf(seed, mutation), null, {});
      const known = new Set(violations.map(({ rule }) => rule));
      tally.failures = tally.failures.filter(({ rule }) => rule === 'crash' || !known.has(rule));
    }
  } catch (error) {
    tally.failures = [
      { seed, rule: 'crash', text: error instanceof Error ? (error.stack ?? error.message) : String(error) },
    ];
  }
  return tally;
}
