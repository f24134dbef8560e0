import { parseDuration } from '../../../topology/duration.ts';
import { parseSize } from '../../../topology/size.ts';
import type { GateView, RunStatus } from '../../../workflows/contract.ts';
import { runLink, type Temporal } from '../../connection.ts';
import { MessageNotTaken, MessageRefused, sendMessage } from '../../messages.ts';
import { queryStatus, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { readCodes } from '../options.ts';
import { headline, waitingLines } from '../render/run.ts';
import { openRun, runName, speaker, withTemporal } from '../session.ts';

interface DecideOptions {
  by?: string;
  gate?: string;
  comment?: string;
  maxLoss?: string;
  maxLossBytes?: string;
  override?: string[];
  yes?: boolean;
}

/**
 * `rampart approve` and `rampart reject`: shows what is decided on first. On a terminal an approval asks for a yes;
 * a program has said yes by calling it.
 */
export function decide(verb: 'approve' | 'reject') {
  return async (cli: Cli, args: string[], options: DecideOptions): Promise<ExitCode> => {
    const [service] = args as [string];
    const maxLoss = readMaxLoss(options);
    const by = speaker(cli, options.by);
    return withTemporal(cli, service, async (temporal) => {
      const run = await openRun(cli, temporal, service);
      const status = await queryStatus(temporal, run);
      const gate = openGate(status, options.gate);
      if (!cli.json) showFacts(cli, status);
      if (verb === 'approve' && cli.io.tty.in && !cli.json && options.yes !== true) {
        const answer = await cli.io.ask(
          `Approve gate ${gate.id} of ${runName(service, status.service)} as ${by}? [y/N] `,
        );
        if (!/^y(es)?$/i.test(answer.trim())) {
          cli.note('Not approved; nothing was sent.');
          return EXIT.failed;
        }
      }
      const override = readCodes(options.override);
      const input = {
        gate: gate.id,
        by,
        ...(options.comment === undefined ? {} : { comment: options.comment }),
        ...(maxLoss === null ? {} : { maxLoss }),
        ...(override.length > 0 ? { override } : {}),
      };
      return send(cli, temporal, { run, service, owner: status.service, verb, gate, input });
    });
  };
}

interface Sending {
  run: RunRef;
  service: string;
  owner: string;
  verb: 'approve' | 'reject';
  gate: GateView;
  input: { gate: string; by: string };
}

async function send(cli: Cli, temporal: Temporal, sending: Sending): Promise<ExitCode> {
  const { run, service, owner, verb, gate, input } = sending;
  try {
    // One word of one person for one asking: said twice, it counts once.
    const answer = await sendMessage(temporal, run, verb, input, `${verb}/${gate.id}/${input.by}`);
    cli.answer({
      service,
      runOf: owner,
      verb,
      gate: gate.id,
      by: input.by,
      factsDigest: gate.facts.digest,
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
    if (error instanceof MessageNotTaken)
      throw failed('noWorker', error.message, `Look again with: rampart status ${service}`);
    throw error;
  }
}

/** The gate that is open. A gate named on the command line must be it: facts of another one are not these. */
function openGate(status: RunStatus, named: string | undefined): GateView {
  const { gate, service } = status;
  if (gate === null) throw failed('wrongGate', `nothing of ${service} is waiting for a decision now (${status.phase})`);
  if (named !== undefined && named !== gate.id && named !== gate.name) {
    throw failed('wrongGate', `the open gate is ${gate.id}, not ${named}`, `rampart status ${service} shows its facts`);
  }
  return gate;
}

function showFacts(cli: Cli, status: RunStatus): void {
  cli.print(headline(status, cli.paint));
  for (const line of waitingLines(status, cli.paint, Date.now())) {
    if (line === 'Next:') break;
    cli.print(line);
  }
  cli.print('');
}

/** `--max-loss 30s --max-loss-bytes 16MiB` */
function readMaxLoss({ maxLoss, maxLossBytes }: DecideOptions): { seconds?: number; bytes?: number } | null {
  const result: { seconds?: number; bytes?: number } = {};
  if (maxLoss !== undefined) {
    const ms = parseDuration(maxLoss);
    if (ms === undefined) throw badInput(`--max-loss ${maxLoss}: a duration such as 30s or 2m`);
    result.seconds = ms / 1000;
  }
  if (maxLossBytes !== undefined) {
    const bytes = parseSize(maxLossBytes);
    if (bytes === undefined) throw badInput(`--max-loss-bytes ${maxLossBytes}: a size such as 64KiB or 16MiB`);
    result.bytes = bytes;
  }
  return Object.keys(result).length === 0 ? null : result;
}
