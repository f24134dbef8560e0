/** `status -w` and `start --wait`: follows a run to its end, live on a terminal, as lines in a log, as JSON for programs. */

import { within } from '../../drivers/within.ts';
import type { Temporal } from '../connection.ts';
import { follow, type View } from '../follow.ts';
import { endedWell, queryEvidence, type RunRef } from '../runs.ts';
import type { Cli } from './cli.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { ProgressLines } from './render/progress-lines.ts';
import { endingLines, runLines } from './render/run.ts';
import { runAnswer } from './render/run-json.ts';
import { Screen } from './render/screen.ts';

const INTERVAL_MS = 500;

export interface WatchOptions {
  service: string;
  /** Milliseconds after which to stop watching; the run goes on. */
  timeoutMs?: number;
}

/** @returns done or failed as the run ended; waiting when the time is over; interrupted on Ctrl-C */
export async function watch(cli: Cli, temporal: Temporal, run: RunRef, options: WatchOptions): Promise<ExitCode> {
  const { service, timeoutMs } = options;
  const signal = timeoutMs === undefined ? cli.io.signal : within(timeoutMs, cli.io.signal);
  const show = presenter(cli, temporal, service);
  let last: View | null = null;
  try {
    for await (const view of follow(temporal, run, { intervalMs: INTERVAL_MS, signal })) {
      last = view;
      await show.view(view);
    }
  } finally {
    show.end();
  }
  if (last?.ending) {
    cli.print('');
    for (const line of endingLines(last.ending, { ...last.run, service }, cli.paint, Date.now())) cli.print(line);
    return endedWell(last.ending.outcome) ? EXIT.done : EXIT.failed;
  }
  if (cli.io.signal.aborted) {
    cli.note(`No longer watching; the run goes on: rampart status ${service} -w`);
    return EXIT.interrupted;
  }
  cli.note(`Not over after ${(timeoutMs ?? 0) / 1000} s; the run goes on: rampart status ${service} -w`);
  return EXIT.waiting;
}

interface Presenter {
  view(view: View): Promise<void>;
  end(): void;
}

function presenter(cli: Cli, temporal: Temporal, service: string): Presenter {
  if (cli.json) return jsonPresenter(cli, temporal, service);
  return cli.io.tty.out ? screenPresenter(cli) : linePresenter(cli, temporal);
}

function screenPresenter(cli: Cli): Presenter {
  const screen = new Screen(cli.io);
  return {
    async view({ status, seenAt, trouble }) {
      const now = Date.now();
      const lines =
        status === null ? [cli.paint.dim('waiting for the first answer of the run')] : runLines(status, cli.paint, now);
      if (trouble !== null) {
        const age = seenAt === null ? '' : `; what is shown is ${Math.round((now - seenAt) / 1000)} s old`;
        lines.unshift(cli.paint.yellow(`${trouble}${age}`));
      }
      screen.draw(lines);
    },
    end: () => screen.end(),
  };
}

function linePresenter(cli: Cli, temporal: Temporal): Presenter {
  const lines = new ProgressLines(cli.paint);
  return {
    async view({ run, status, trouble }) {
      // A status holds only the newest lines of the log; after a pause of ours the record has the rest.
      const whole =
        status !== null && lines.missed(status) ? await queryEvidence(temporal, run).catch(() => null) : null;
      for (const line of lines.next(status, trouble, Date.now(), whole?.log ?? status?.log)) cli.print(line);
    },
    end: () => undefined,
  };
}

/** One document per change; the last one has `state: "closed"`. */
function jsonPresenter(cli: Cli, temporal: Temporal, service: string): Presenter {
  let last = '';
  return {
    async view(view) {
      const { now: _now, ...said } = view.status ?? { now: 0 };
      const key = JSON.stringify([said, view.trouble, view.ending?.outcome]);
      if (key === last) return;
      last = key;
      cli.answer(runAnswer(temporal, service, view));
    },
    end: () => undefined,
  };
}
