import { setTimeout as sleep } from 'node:timers/promises';
import { findOpenHalt, haltRecord } from '../../halts.ts';
import { asSignal, MessageNotTaken, MessageRefused, sendMessage } from '../../messages.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { speaker, withTemporal } from '../session.ts';
import { haltFor } from '../topology.ts';
import { type SayOptions, say } from './say.ts';

/** How long this waits for what the halt has stopped to be put back, in milliseconds: a replica is told for two minutes. */
const CLOSE_MS = 180_000;

/** `rampart resume <service>`: ends the halt of the service if there is one, else lets its paused run go on. */
export async function run(cli: Cli, args: string[], options: SayOptions): Promise<ExitCode> {
  const [service] = args as [string];
  const workflowId = await haltFor(cli, service);
  const ended = await withTemporal(cli, service, async (temporal) => {
    const halt = await findOpenHalt(temporal, workflowId);
    if (halt === null) return null;
    if (!options.reason)
      throw badInput(
        `${service} is halted: --reason must say what was found, it ends the record`,
        `rampart halt ${service}   what was kept`,
        `rampart resume ${service} --reason 'a bad import; rows restored'`,
      );
    const input = { by: speaker(cli, options.by), reason: options.reason };
    try {
      const { text, applied } = await sendMessage(temporal, halt, 'resume', input);
      cli.print(`${service}: ${text}`);
      if (!applied) return EXIT.failed;
    } catch (error) {
      if (error instanceof MessageRefused) throw failed('refused', error.message);
      if (error instanceof MessageNotTaken)
        throw failed(
          'noWorker',
          error.message,
          'A signal waits in the halt until a worker is back:',
          asSignal(workflowId, 'resume', input),
        );
      throw error;
    }
    for (const deadline = Date.now() + CLOSE_MS; Date.now() < deadline && !cli.io.signal.aborted; await sleep(200)) {
      if ((await findOpenHalt(temporal, workflowId)) !== null) continue;
      const record = await haltRecord(temporal, halt);
      cli.answer({ service, workflowId, state: 'closed', leftover: record?.leftover ?? [] });
      for (const line of record?.leftover ?? []) cli.print(line);
      if (record?.leftover.length) return EXIT.failed;
      cli.print('The halt is over.');
      return EXIT.done;
    }
    cli.answer({ service, workflowId, state: 'ending', leftover: [] });
    cli.print(`It still puts things back: rampart halt ${service}`);
    return EXIT.waiting;
  });
  return ended ?? say('resume')(cli, args, options);
}
