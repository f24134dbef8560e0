/** What verbs that talk to Temporal share: the connection's life, the run meant, who speaks. */
import { hostname, userInfo } from 'node:os';
import { connect, runLink, type Temporal } from '../connection.ts';
import { findRun, type RunRef } from '../runs.ts';
import type { Cli } from './cli.ts';
import { failed } from './exit.ts';
import { lockFor } from './topology.ts';

/** Connects, works, closes. */
export async function withTemporal<T>(
  cli: Cli,
  service: string | undefined,
  work: (temporal: Temporal) => Promise<T>,
): Promise<T> {
  const temporal = await connect(cli.io.env, service);
  try {
    return await work(temporal);
  } finally {
    // Not waited for: a call that nobody answers must not hold a person up.
    void temporal.close().catch(() => undefined);
  }
}

/** Who speaks: `--by`, else RAMPART_BY, else the login name and the machine. */
export function speaker(cli: Cli, by: string | undefined): string {
  const named = by?.trim() || cli.io.env.RAMPART_BY?.trim();
  if (named) return named;
  let user = cli.io.env.USER || 'unknown';
  try {
    user = userInfo().username;
  } catch {
    // A user id without an entry in the password file: the environment's name has to do.
  }
  return `${user}@${hostname()}`;
}

/** The run that holds the service's lock. @throws CliError when none is on */
export async function openRun(cli: Cli, temporal: Temporal, service: string): Promise<RunRef> {
  const lock = await lockFor(cli, service);
  const run = await findRun(temporal, lock);
  if (run === null) {
    throw failed(
      'noRun',
      `no run of ${service} is on: there has never been one under ${lock} in namespace ${temporal.namespace}`,
      `rampart status ${service}`,
    );
  }
  if (run.closedAt !== null) {
    throw failed(
      'noRun',
      `no run of ${service} is on: the last one ended ${new Date(run.closedAt).toISOString()}`,
      `rampart report ${service}`,
    );
  }
  return run;
}

/**
 * Names the run to whoever spoke of `service`: the services of a group have one lock and one run, asked for by the name
 * of one of them. Said before a word counts, so that nobody takes another's cut-over for the own.
 * @param owner the service that the run was asked for; `null` when it cannot be told
 */
export function runName(service: string, owner: string | null): string {
  if (owner === null || owner === service) return service;
  return service.startsWith('failover/') ? owner : `${owner} (one group with ${service})`;
}

/** Link to the run, for people: a line, or how to get links. */
export function linkLine(temporal: Temporal, run: RunRef): string {
  const link = runLink(temporal, run.workflowId, run.runId);
  return link ?? `set RAMPART_UI=<address of the Temporal Web UI> for a link (run ${run.runId})`;
}
