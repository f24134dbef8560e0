/** What the verbs about reports share: where the store is, and which keys count. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { DrillRecord } from '../../evidence/record.ts';
import type { RunEvidence } from '../../evidence/report.ts';
import { resolveSecret, stateDirectory } from '../local-context.ts';
import { readChain } from '../reports/file.ts';
import { folderStorage } from '../reports/folder.ts';
import type { StoredRun } from '../reports/history.ts';
import type { Subject } from '../reports/manifest.ts';
import { openStorage } from '../reports/open.ts';
import { type Signer, signerFrom, trustedKeyId } from '../reports/signature.ts';
import type { ReportStorage } from '../reports/storage.ts';
import type { Cli } from './cli.ts';
import { badInput } from './exit.ts';
import { findTopology } from './topology.ts';

/** `--store`, else RAMPART_REPORTS, else what the topology names, else a folder beside the state of this machine. */
export async function openStore(cli: Cli, given: string | undefined): Promise<ReportStorage> {
  const named = given || cli.io.env.RAMPART_REPORTS;
  const secret = (reference: string): Promise<string> => resolveSecret(reference, cli.io.env);
  const reports = (await findTopology(cli))?.reports;
  if (!named && reports !== undefined) return openStorage(reports, secret);
  const path = named || join(stateDirectory(cli.io.env), 'reports');
  if (!/^[a-z0-9]+:\/\//i.test(path)) return folderStorage(resolve(cli.io.cwd, path));
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)(?:\/(.+?))?\/?$/.exec(path) ?? [];
  if (bucket === undefined) throw badInput(`${path}: a report store is a folder, or s3://<bucket>/<prefix>`);
  // The topology knows how its own bucket is reached; any other is found as the AWS SDK finds it.
  const known =
    reports?.kind === 's3' && reports.bucket === bucket ? reports : { kind: 's3' as const, pathStyle: false };
  return openStorage({ ...known, bucket, prefix: prefix === '' ? '' : `${prefix}/` }, secret);
}

/** The key of RAMPART_REPORT_KEY, else the topology's, a reference as other secrets are; `null`: not signed. */
export async function signerOf(cli: Cli): Promise<Signer | null> {
  const reference = cli.io.env.RAMPART_REPORT_KEY || (await findTopology(cli))?.reports?.key;
  if (!reference) return null;
  if (!/^\$\{(env|file):[^}]+\}$/.test(reference))
    throw badInput('RAMPART_REPORT_KEY must be a reference to the key: ${file:/path/to/key.pem} or ${env:NAME}');
  const pem = await resolveSecret(reference, cli.io.env);
  try {
    return signerFrom(pem);
  } catch (error) {
    throw badInput(`RAMPART_REPORT_KEY: ${(error as Error).message}`);
  }
}

/**
 * Keys that count, from `--public-key` and RAMPART_REPORT_PUBLIC_KEY: files, or references.
 * @returns undefined when none is given: then every signature must fit its own key, whosever that is
 */
export async function trustedKeys(cli: Cli, given: readonly string[] | undefined): Promise<string[] | undefined> {
  const configured = cli.io.env.RAMPART_REPORT_PUBLIC_KEY;
  const named = given ?? (configured ? [configured] : []);
  if (named.length === 0) return undefined;
  return Promise.all(
    named.map(async (one) => {
      try {
        const text = one.startsWith('${')
          ? await resolveSecret(one, cli.io.env)
          : await readFile(resolve(cli.io.cwd, one), 'utf8');
        return trustedKeyId(text);
      } catch (error) {
        throw badInput(`--public-key ${one}: ${(error as Error).message}`);
      }
    }),
  );
}

/** Runs whose reports the store holds; a manifest that cannot be read is left out (`rampart report verify`). */
export async function storedRuns(storage: ReportStorage, service: string): Promise<StoredRun[]> {
  const { reports } = await readChain(storage, service);
  return reports.flatMap(({ number, manifest }) => (manifest === null ? [] : [{ number, summary: manifest.run }]));
}

/** What a report in the store was made from; `null` when it holds none of that run. */
export async function storedReport(
  storage: ReportStorage,
  service: string,
  runId: string | undefined,
): Promise<{ subject: Subject; number: number } | null> {
  const runs = await storedRuns(storage, service);
  const found = runId === undefined ? runs.at(-1) : runs.find(({ summary }) => summary.runId === runId);
  if (found === undefined) return null;
  const bytes = await storage.read(service, found.number, 'report.json');
  if (bytes === null) return null;
  const { drill, runs: [run] = [] } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
    drill?: DrillRecord;
    runs?: RunEvidence[];
  };
  if (drill !== undefined) return { subject: drill, number: found.number };
  return run === undefined ? null : { subject: { record: run.record, load: run.load ?? null }, number: found.number };
}
