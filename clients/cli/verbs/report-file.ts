import { isDrill } from '../../../evidence/drill.ts';
import { actionText, outcomeText } from '../../../evidence/format.ts';
import type { DrillRecord, RunRecord } from '../../../evidence/record.ts';
import { lockOf } from '../../../topology/model.ts';
import type { Temporal } from '../../connection.ts';
import { type Filed, fileReport } from '../../reports/file.ts';
import type { Signer } from '../../reports/signature.ts';
import type { ReportStorage } from '../../reports/storage.ts';
import { endedRun, filedRuns } from '../../reports/sweep.ts';
import { findRun, listRuns, type RunRef } from '../../runs.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode, failed } from '../exit.ts';
import { openStore, signerOf } from '../reports.ts';
import { withTemporal } from '../session.ts';
import { lockFor, requireTopology } from '../topology.ts';

/** So many runs of a service are looked at, newest first. */
const LIMIT = 500;

interface Left {
  workflowId: string;
  runId: string;
  why: string;
}

/** `rampart report file [service]`: files every run that is over and has no report yet, oldest first. */
export async function run(cli: Cli, args: string[], options: { store?: string; run?: string }): Promise<ExitCode> {
  const [service] = args as [string?];
  const storage = await openStore(cli, options.store);
  const signer = await signerOf(cli);
  const locks =
    service === undefined
      ? [...new Set(Object.values((await requireTopology(cli)).services).map(lockOf))]
      : [await lockFor(cli, service)];
  const known = await filedRuns(storage);
  return withTemporal(cli, service, async (temporal) => {
    const filed: Array<Filed & { runId: string }> = [];
    const left: Left[] = [];
    for (const lock of locks) {
      for (const ref of await closedRuns(temporal, lock, options.run)) {
        if (known.has(ref.runId)) continue;
        const { subject, text } = await endedRun(temporal, ref);
        if (subject === null) left.push({ workflowId: ref.workflowId, runId: ref.runId, why: text });
        // Services of one group share the lock.
        else if (!known.has(subject.runId) && (service === undefined || subject.service === service))
          filed.push({ ...(await file(cli, storage, subject, signer)), runId: subject.runId });
      }
    }
    cli.answer({ store: storage.where, filed, left });
    for (const { workflowId, runId, why } of left) cli.print(`Left out ${workflowId}, run ${runId}: ${why}`);
    if (filed.length === 0 && left.length === 0) cli.print(`Nothing to file in ${storage.where}.`);
    return EXIT.done;
  });
}

/** Oldest first; a run that went on as a new one has its record at its end. */
async function closedRuns(temporal: Temporal, lock: string, runId: string | undefined): Promise<RunRef[]> {
  if (runId === undefined) {
    const runs = await listRuns(temporal, lock, LIMIT);
    return runs.filter((one) => one.closedAt !== null && one.status !== 'CONTINUED_AS_NEW').reverse();
  }
  const found = await findRun(temporal, lock, runId);
  if (found === null) throw failed('noRun', `there is no run ${runId} under ${lock}`, 'rampart history');
  if (found.closedAt === null) throw failed('refused', `run ${runId} is still on; its report is filed when it is over`);
  return [found];
}

async function file(
  cli: Cli,
  storage: ReportStorage,
  subject: RunRecord | DrillRecord,
  signer: Signer | null,
): Promise<Filed> {
  const filed = await fileReport(storage, subject, { signer });
  const what = isDrill(subject)
    ? `drill, ${subject.verdict}`
    : `${actionText(subject.action)}, ${outcomeText(subject.outcome)}`;
  const where = storage.nameOf(subject.service, filed.number);
  cli.print(`${filed.already ? 'Was filed' : 'Filed'} ${where}: ${what}, run ${subject.runId}`);
  return filed;
}
