/** A step of the team's own that holds a stage until the test lets it go: how faults fall into a chosen stage. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestRun, TestWorld } from './world.ts';

export interface HeldStage {
  /** Waits until the run is held there. */
  reached(run: TestRun): Promise<void>;
  /** Lets the stage go on, now and whenever the step is repeated. */
  release(): void;
}

/** Ends by itself after a minute: the worker that would end it may have been killed. */
const HOLD = 'touch "$0.reached"; i=0; until [ -e "$0" ] || [ $i -gt 3000 ]; do sleep 0.02; i=$((i + 1)); done';

let count = 0;

/**
 * Adds the step to the topology; it runs beside the built-in steps of the stage. The freeze begins with `quiesce`.
 * Its command runs again after a kill, as every step may.
 * @param deadline of the step, its repetitions included
 */
export function holdStage(world: TestWorld, stage: string, deadline = '15s'): HeldStage {
  count += 1;
  const file = join(world.lab.dir, `hold-${count}`);
  world.editTopology((topology) => {
    topology.setIn(
      ['services', 'checkout', 'steps'],
      topology.createNode([
        {
          name: 'hold',
          stage,
          summary: `Hold the stage ${stage}`,
          kind: 'command',
          effect: 'none',
          deadline,
          command: ['/bin/sh', '-c', HOLD, file],
        },
      ]),
    );
  });
  return {
    reached: async (run) => {
      await run.until(`stage ${stage} is held`, () => existsSync(`${file}.reached`), 60_000);
    },
    release: () => writeFileSync(file, ''),
  };
}
