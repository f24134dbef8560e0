/** How the demo tells its story: a live screen on a terminal, plain lines in a log. */

import type { Paint } from '../../clients/cli/cli.ts';
import type { Io } from '../../clients/cli/io.ts';
import { ProgressLines } from '../../clients/cli/render/progress-lines.ts';
import { runLines } from '../../clients/cli/render/run.ts';
import { Screen } from '../../clients/cli/render/screen.ts';
import type { View } from '../../clients/follow.ts';
import type { WindowReport } from '../load/ledger.ts';

export interface Narrator {
  /** A line of the story. */
  say(line: string): void;
  chapter(title: string): void;
  /** Where a run stands, with what clients see meanwhile. */
  show(view: View, load: LoadView): void;
  /** The run is over: leaves its last picture. */
  endRun(): void;
}

export interface LoadView {
  /** The last second. */
  now: WindowReport;
  /** Since the run began. */
  run: WindowReport;
}

export function createNarrator(io: Io, paint: Paint, quiet: boolean): Narrator {
  // With --json the answer alone belongs on standard output.
  const out = quiet ? { ...io, out: io.err } : io;
  const live = !quiet && io.tty.out;
  const began = Date.now();
  const print = (line: string): void => out.out(`${line}\n`);
  let screen: Screen | null = null;
  let lines = new ProgressLines(paint);
  let lastLoad = 0;
  return {
    say: (line) => print(`${paint.dim(`${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s`)}  ${line}`),
    chapter: (title) => print(`\n${paint.bold(title)}`),
    show(view, load) {
      const { status, trouble } = view;
      if (live) {
        screen ??= new Screen(out);
        const run = status === null ? [paint.dim('planning')] : runLines(status, paint, Date.now());
        screen.draw([...run, '', loadLine(load, paint)]);
        return;
      }
      for (const line of lines.next(status, trouble, Date.now())) print(`         ${line}`);
      // A log gets the load now and then, not at every look.
      if (Date.now() - lastLoad < 3_000) return;
      lastLoad = Date.now();
      print(`         ${loadLine(load, paint)}`);
    },
    endRun() {
      screen?.end();
      screen = null;
      lines = new ProgressLines(paint);
    },
  };
}

function loadLine({ now, run }: LoadView, paint: Paint): string {
  const answers = Object.values(now.regions).reduce((sum, count) => sum + count, 0);
  const split = Object.entries(now.regions)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([region, count]) => `${region} ${Math.round((100 * count) / Math.max(1, answers))} %`);
  const errors = run.errors > 0 ? paint.yellow(`${run.errors} errors`) : '0 errors';
  return `load  ${now.perSecond} answers/s (${split.join(', ') || 'none'}), ${errors}, longest write gap ${Math.round(run.writeGapMs)} ms`;
}
