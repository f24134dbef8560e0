/** What the guard itself takes for one look at a service: everything but the systems' own time. */
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { ActivityDeps } from '../activities/deps.ts';
import { createGuardingActivities, guardedIn } from '../activities/guarding.ts';
import type { Driver } from '../drivers/ports.ts';
import { drivers } from '../drivers/registry.ts';
import { repositoryRoot } from '../lab/paths.ts';
import { EMPTY_MEMORY } from '../plan/health/judge.ts';
import { loadTopology } from '../topology/load.ts';
import { instant } from './instant.ts';
import type { BenchOptions, Result } from './statistics.ts';

/** Looks of one run; the first ones warm the code up and do not count. */
const LOOKS = 40;
const WARM = 10;

export async function guard({ runs, say }: BenchOptions): Promise<Result> {
  const values: number[] = [];
  for (let run = 1; run <= runs; run += 1) {
    const looks = (await lookOften()).slice(WARM).sort((a, b) => a - b);
    values.push(looks[Math.floor(looks.length / 2)]!);
    say(`run ${run}: ${values.at(-1)!.toFixed(2)} ms`);
  }
  return {
    benchmark: 'guard',
    about: 'One look at the service of examples/checkout.yaml, its systems answering at once.',
    measures: [{ name: "one look, without the systems' own time", subject: 'guard', unit: 'ms', values, aim: '< 50' }],
    notes: [
      `Each value is the median of ${LOOKS - WARM} looks. In a real look the systems answer in parallel: the slowest one's time comes on top.`,
    ],
  };
}

async function lookOften(): Promise<number[]> {
  const { topology } = await loadTopology({ path: join(repositoryRoot(), 'examples/checkout.yaml') }, drivers);
  const service = { ...topology!.services.checkout!, guard: { enabled: true, intervalMs: 0, proofAgeMs: 1e12 } };
  const found = guardedIn({ ...topology!, services: { checkout: service } }, 'checkout')!;
  const looks: number[] = [];
  const environment = new MockActivityEnvironment();
  const { watchService } = createGuardingActivities(depsWith(instant(Object.values(found.components))), {
    topology: async () => ({ ...topology!, services: { checkout: service } }),
    lastTopology: () => Promise.reject(new Error('not asked')),
    lock: async () => ({ run: null, lastProof: null }),
    publish: (_service, health, look) => {
      if (health !== null) looks.push(look.ms);
    },
    tell: async () => {},
    tellTriggers: async () => {},
  });
  let shown = null;
  let memory = EMPTY_MEMORY;
  while (looks.length < LOOKS) {
    const call = { guarded: { ...found, searchAttributes: [] }, shown, memory, local: {}, forMs: 1_000 };
    const answer = (await environment.run(watchService, call)) as Awaited<ReturnType<typeof watchService>>;
    shown = answer.health;
    memory = answer.memory;
  }
  return looks.slice(0, LOOKS);
}

function depsWith(known: ReadonlyMap<string, Driver>): ActivityDeps {
  const quiet = () => {};
  return {
    place: { region: null, place: null },
    stateDir: '/nonexistent',
    build: 'bench',
    drivers: known,
    topology: () => Promise.reject(new Error('not asked')),
    searchAttributes: async () => [],
    cancelRun: async () => {},
    halt: async () => null,
    samples: () => [],
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    namespace: 'default',
    ui: null,
  };
}
