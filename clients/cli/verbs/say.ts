import { TaskFails } from '../../ask.ts';
import { runLink } from '../../connection.ts';
import { asSignal, MessageNotTaken, MessageRefused, type MessageVerb, sendMessage } from '../../messages.ts';
import { queryStatus } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { readCodes } from '../options.ts';
import { openRun, runName, speaker, withTemporal } from '../session.ts';

export interface SayOptions {
  by?: string;
  reason?: string;
  to?: string;
  override?: string[];
  done?: string;
}

/** A verb that tells a run one thing: pause, resume, skip, retry, abort, escalate, withdraw, note. */
export function say(verb: MessageVerb) {
  return async (cli: Cli, args: string[], options: SayOptions): Promise<ExitCode> => {
    const [service, step] = args as [string, string | undefined];
    if (verb === 'skip' && !options.reason) {
      throw badInput(
        '--reason must say why it is safe to skip',
        `rampart skip ${service} ${step} --reason 'its host is gone'`,
      );
    }
    if (options.done !== undefined && !/^[1-9]\d{0,2}$/.test(options.done))
      throw badInput('--done must be the number of an item of the checklist', `rampart note ${service} --done 1`);
    if (verb === 'note' && !options.reason && options.done === undefined)
      throw badInput('--reason must hold what is to be written down', `rampart note ${service} --reason 'INC-4711'`);
    const override = readCodes(options.override);
    const input = {
      by: speaker(cli, options.by),
      ...(step === undefined ? {} : { step }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
      ...(options.to === undefined ? {} : { to: options.to }),
      ...(override.length > 0 ? { override } : {}),
      ...(options.done === undefined ? {} : { done: Number(options.done) }),
    };
    return withTemporal(cli, service, async (temporal) => {
      const run = await openRun(cli, temporal, service);
      // Beside the word, not before it: whoever stops a run must not wait for whose it is.
      const asked = queryStatus(temporal, run).then(
        ({ service: owner }) => owner,
        () => null,
      );
      try {
        const answer = await sendMessage(temporal, run, verb, input);
        const owner = await asked;
        cli.answer({
          service,
          runOf: owner,
          verb,
          workflowId: run.workflowId,
          runId: run.runId,
          applied: answer.applied,
          text: answer.text,
          link: runLink(temporal, run.workflowId, run.runId),
        });
        cli.print(`${runName(service, owner)}: ${answer.text}`);
        if (answer.applied) cli.print(`Watch it: rampart status ${service} -w`);
        return answer.applied ? EXIT.done : EXIT.failed;
      } catch (error) {
        if (error instanceof MessageRefused) throw failed('refused', error.message);
        if (error instanceof MessageNotTaken || error instanceof TaskFails) {
          throw failed(
            error instanceof TaskFails ? 'taskFails' : 'noWorker',
            error.message,
            'Look again with: rampart status',
            'A signal waits in the run until a worker is back:',
            asSignal(run.workflowId, verb, input),
          );
        }
        throw error;
      }
    });
  };
}
