import { ScheduleNotFoundError } from '@temporalio/client';
import { setPaused } from '../../drills/schedules.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode, failed } from '../exit.ts';
import { speaker, withTemporal } from '../session.ts';

interface PauseOptions {
  by?: string;
  reason?: string;
}

/** `rampart drills pause` and `rampart drills resume`: a drill that is on is not touched by it. */
function set(paused: boolean) {
  return async (cli: Cli, args: string[], options: PauseOptions): Promise<ExitCode> => {
    const [name] = args as [string];
    const by = speaker(cli, options.by);
    const note = `${paused ? 'paused' : 'resumed'} by ${by}${options.reason === undefined ? '' : `: ${options.reason}`}`;
    return withTemporal(cli, undefined, async (temporal) => {
      try {
        await setPaused(temporal, name, paused, note);
      } catch (error) {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
        throw failed('failed', `there is no schedule of a drill ${name}`, 'rampart drills list', 'rampart drills sync');
      }
      cli.answer({ drill: name, paused, note });
      cli.print(`${name}: ${note}`);
      return EXIT.done;
    });
  };
}

export const pause = { run: set(true) };
export const resume = { run: set(false) };
