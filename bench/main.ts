/**
 * Measures, prints a table, keeps JSON; `page` makes `docs/performance.md` of it.
 *
 *   node dist/bench/main.js <benchmark> [--runs N] [--alone] [--note TEXT] [--quiet]
 *   node dist/bench/main.js page
 */
import { parseArgs } from 'node:util';
import { clouds } from './clouds.ts';
import { crash } from './crash.ts';
import { guard } from './guard.ts';
import { guards } from './guards.ts';
import { overhead } from './overhead.ts';
import { writePage } from './page.ts';
import { plan } from './plan.ts';
import { returning } from './returning.ts';
import { type BenchOptions, type Result, rowsOf, save, tableText } from './statistics.ts';
import { storm } from './storm.ts';
import { switchover } from './switchover.ts';

interface Benchmark {
  about: string;
  /** Runs that count unless told otherwise. */
  runs: number;
  measure: (options: BenchOptions) => Promise<Result>;
}

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  switchover: { about: 'write gap of a planned failover, beside Patroni', runs: 10, measure: switchover },
  crash: { about: 'from the decision to the first write after a crash, beside Patroni', runs: 5, measure: crash },
  overhead: { about: "the orchestrator's own share of a run", runs: 10, measure: overhead },
  guard: { about: "the guard's own time for one look", runs: 10, measure: guard },
  guards: {
    about: '500 guards on one server: memory, CPU, actions an hour; a run is five minutes',
    runs: 3,
    measure: guards,
  },
  returning: { about: 'how long an old primary that comes back takes writes', runs: 3, measure: returning },
  storm: {
    about: '10,000 alerts of one incident at rampart serve, with Temporal away in the middle; a run is a minute',
    runs: 3,
    measure: storm,
  },
  clouds: { about: '100 components of AWS observed at once, beside the slowest of them', runs: 5, measure: clouds },
  plan: { about: 'topology of 1,000 services, a plan for each', runs: 5, measure: plan },
};

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string' },
      alone: { type: 'boolean' },
      note: { type: 'string' },
      quiet: { type: 'boolean' },
    },
  });
  const name = positionals[0] ?? '';
  if (name === 'page') {
    console.log(writePage(Object.keys(BENCHMARKS)));
    return 0;
  }
  const benchmark = BENCHMARKS[name];
  const runs = Number(values.runs ?? benchmark?.runs);
  if (benchmark === undefined || !Number.isInteger(runs) || runs < 1) {
    console.error('node dist/bench/main.js <benchmark> [--runs N] [--alone] [--note TEXT] [--quiet]');
    for (const [known, { about, runs: usual }] of Object.entries(BENCHMARKS))
      console.error(`  ${known.padEnd(12)} ${about} (${usual} runs)`);
    console.error('  page         docs/performance.md from the results');
    return 2;
  }
  const say = values.quiet ? () => {} : (line: string) => console.error(line);
  const result = await benchmark.measure({ runs, alone: values.alone === true, say });
  // What a reader must know of the machine at that time.
  if (values.note !== undefined) result.notes.push(values.note);
  console.log(`\n${result.benchmark}: ${result.about}\n\n${tableText(rowsOf(result.measures))}\n`);
  for (const note of result.notes) console.log(`- ${note}`);
  console.error(`\nkept in ${save(result)}`);
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
