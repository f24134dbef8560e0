/**
 * `npm run simulate -- --seeds N [--seed S] [--from S] [--mutation NAME | --mutations] [--jobs J] [--keep]`
 *
 * Plays seeds on every core. A failing seed is made shorter, and its story printed; `--seed S` plays one and prints it.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATIONS } from './mutations.ts';
import { addTally, emptyTally, mutationNamed, optionsOf, play, playSeed, scenarioOf, type Tally } from './play.ts';
import { keepMutations, keepSeeds, type MutationResult, versionsNow } from './results.ts';
import { describe, type Scenario } from './scenario.ts';
import { shrink } from './shrink.ts';
import { storyOf } from './story.ts';

/** Most seeds a mutation may need. */
const MUTATION_SEEDS = 40;
/** A seed takes tenths of a second; one that takes this long, in milliseconds, has workflow code in an endless loop. */
const HUNG_MS = 60_000;
/** Failing seeds whose story is printed. */
const STORIES = 3;

interface Job {
  first: number;
  step: number;
  end: number;
  mutation: string | null;
  /** Stop at the first seed that fails. */
  untilFailure: boolean;
}

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    from: { type: 'string', default: '0' },
    mutation: { type: 'string' },
    mutations: { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(availableParallelism()) },
    keep: { type: 'boolean', default: false },
  },
});

if (process.send !== undefined) process.once('message', (job: Job) => void work(job));
else process.exitCode = await main();

async function main(): Promise<number> {
  if (given.seed !== undefined) return showSeed(Number(given.seed), given.mutation ?? null);
  if (given.mutations) return checkMutations();
  const versions = versionsNow();
  const began = performance.now();
  const tally = await spread(Number(given.from), Number(given.seeds), given.mutation ?? null, false);
  const seconds = (performance.now() - began) / 1000;
  const { seeds, failures } = tally;
  const bad = [...new Set(failures.map(({ seed }) => seed))].sort((a, b) => a - b);
  console.log(
    `${seeds} seeds in ${seconds.toFixed(1)} s (${Math.round((seeds / seconds) * 60)} a minute), ${bad.length} with violations`,
  );
  for (const [kind, n] of Object.entries(tally.ends).sort((a, b) => b[1] - a[1]))
    console.log(`${String(n).padStart(7)}  ${kind}`);
  for (const { seed, rule, text } of failures) console.log(`seed ${seed}: ${rule}: ${text.slice(0, 300)}`);
  for (const seed of bad.slice(0, STORIES)) await showSeed(seed, given.mutation ?? null);
  if (given.keep) keepSeeds(versions, Number(given.from), tally, seconds);
  return bad.length === 0 ? 0 : 1;
}

/** Every mutation must be caught. */
async function checkMutations(): Promise<number> {
  const versions = versionsNow();
  const found: MutationResult[] = [];
  for (const { name, what } of MUTATIONS) {
    const tally = await spread(Number(given.from), MUTATION_SEEDS, name, true);
    const first = tally.failures.sort((a, b) => a.seed - b.seed)[0];
    const seeds = first === undefined ? null : first.seed - Number(given.from) + 1;
    found.push({ name, what, seeds, rule: first?.rule ?? null, text: first?.text.slice(0, 300) ?? '' });
    const caught =
      first === undefined
        ? 'NOT CAUGHT'
        : `seed ${first.seed} (${seeds} seeds): ${first.rule}: ${first.text.slice(0, 140)}`;
    console.log(`${name.padEnd(38)} ${caught}`);
  }
  if (given.keep) keepMutations(versions, found);
  return found.every(({ seeds, rule }) => seeds !== null && rule !== 'crash') ? 0 : 1;
}

/** Plays one seed, and a shorter scenario that shows the same, with their stories. */
async function showSeed(seed: number, name: string | null): Promise<number> {
  const mutation = mutationNamed(name);
  const options = await optionsOf(mutation);
  const result = await play(scenarioOf(seed, mutation), mutation, { ...options, replay: true });
  console.log(`\n--- seed ${seed} (trace ${result.hash})\n${storyOf(result)}`);
  const [first] = result.violations;
  if (first === undefined) return 0;
  const fails = async (scenario: Scenario): Promise<boolean> => {
    const { violations } = await play(scenario, mutation, options);
    return violations.some(({ rule }) => rule === first.rule);
  };
  const shorter = await shrink(result.scenario, fails);
  console.log(`\n--- seed ${seed}, made shorter\n${storyOf(await play(shorter, mutation, options))}`);
  console.log(`\nscenario ${JSON.stringify(shorter)}\n${describe(shorter).length} lines`);
  return 1;
}

async function spread(from: number, seeds: number, mutation: string | null, untilFailure: boolean): Promise<Tally> {
  const step = Math.max(1, Math.min(Number(given.jobs), seeds));
  const jobs = Array.from(
    { length: step },
    (_, i): Job => ({
      ...{ first: from + i, step, end: from + seeds, mutation, untilFailure },
    }),
  );
  const tallies = await Promise.all(jobs.map(inChild));
  return tallies.reduce(addTally, emptyTally());
}

function inChild(job: Job): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [] });
    let tally: Tally | null = null;
    let playing = job.first;
    const hung = (): void => {
      child.kill('SIGKILL');
      const failure = { seed: playing, rule: 'end', text: 'workflow code went on for ever without yielding' } as const;
      tally = { ...emptyTally(), seeds: 1, failures: [failure] };
    };
    let guard = setTimeout(hung, HUNG_MS);
    child.on('message', (message: Tally | number) => {
      clearTimeout(guard);
      if (typeof message !== 'number') {
        tally = message;
        return;
      }
      playing = message;
      guard = setTimeout(hung, HUNG_MS);
    });
    child.once('exit', (code) => {
      clearTimeout(guard);
      if (tally !== null) resolve(tally);
      else reject(new Error(`a simulation process ended with ${code} and no result`));
    });
    child.send(job);
  });
}

/** In the child: every so many seeds of the range. */
async function work({ first, step, end, mutation: name, untilFailure }: Job): Promise<void> {
  const mutation = mutationNamed(name);
  const options = await optionsOf(mutation);
  const tally = emptyTally();
  for (let seed = first; seed < end; seed += step) {
    process.send?.(seed);
    addTally(tally, await playSeed(seed, mutation, options));
    if (untilFailure && tally.failures.length > 0) break;
  }
  process.send?.(tally, () => process.exit(0));
}
