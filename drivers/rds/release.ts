/** Lets go of instances that a rebuild kept: each is deleted, with a final snapshot that stays. */
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, Receipt } from '../ports.ts';
import { tokenOf } from '../store-claims.ts';
import { commands, describeInstance, rdsApi } from './api.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { type Instance, instanceFrom } from './instance.ts';
import { asFailure } from './reading.ts';
import { keptOf, withClaim } from './record.ts';

/** @throws PreconditionFailed for an instance that is protected, or that others replicate from */
export async function release(fleet: Fleet, at: At): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, at.region);
  const kept = await keptOf(fleet, side);
  for (const instance of kept) assertMayGo(instance);
  const snapshots: string[] = [];
  for (const instance of kept) snapshots.push(await remove(fleet, side, instance));
  const names = kept.map(({ id }) => id).join(', ');
  return {
    already: kept.length === 0,
    at: fleet.context.now(),
    summary:
      kept.length === 0 ? `${side.name} keeps nothing` : `deleted ${names}; final snapshots: ${snapshots.join(', ')}`,
    facts: { released: kept.map(({ id }) => id), snapshots },
  };
}

function assertMayGo(instance: Instance): void {
  if (instance.deletionProtection) {
    throw new RampartError('PreconditionFailed', `${instance.id} is protected against deletion`, {
      remedy: `If it may go: aws rds modify-db-instance --db-instance-identifier ${instance.id} --no-deletion-protection --apply-immediately; then release again.`,
    });
  }
  if (instance.replicas.length > 0) {
    throw new RampartError(
      'PreconditionFailed',
      `${instance.replicas.join(', ')} still replicates from ${instance.id}`,
      {
        remedy: 'Delete or promote that replica first; then release again.',
      },
    );
  }
}

/** @returns the final snapshot's identifier */
async function remove(fleet: Fleet, side: Side, instance: Instance): Promise<string> {
  const { context, config } = fleet;
  const snapshot = `${instance.id}-final`;
  const api = await rdsApi(fleet, side);
  const { DeleteDBInstanceCommand, DescribeDBSnapshotsCommand } = await commands();
  await withClaim(fleet, side, { systemId: null, timeline: null }, async ({ instance: holder }) => {
    // It carries the claim as long as there is no new replica: then it is not the old one, but the only one.
    if (holder.id === instance.id) {
      throw new RampartError('PreconditionFailed', `${side.name} has no instance but ${instance.id}, which was kept`, {
        remedy: 'Rebuild the replica first.',
      });
    }
    if (instance.status === 'deleting') return;
    await api
      .call('DeleteDBInstance', (client, options) =>
        client.send(
          new DeleteDBInstanceCommand({ DBInstanceIdentifier: instance.id, FinalDBSnapshotIdentifier: snapshot }),
          options,
        ),
      )
      .catch((error: unknown) => {
        if (asFailure(error).details.maybeApplied !== true) throw error;
      });
  });
  const intervals = { intervalMs: config.poll, maxIntervalMs: config.poll * 5 };
  let status = '';
  const gone = await poll({ signal: context.signal, deadlineMs: config.rebuildTimeout, ...intervals }, async () => {
    const raw = await describeInstance(fleet, side, instance.id);
    status = raw === null ? 'gone' : instanceFrom(raw).status;
    context.heartbeat({ node: side.name, doing: `release: ${instance.id} is ${status}` });
    if (raw !== null && status !== 'deleting') {
      throw new RampartError('NotApplied', `${instance.id} is ${status}: RDS has not begun to delete it`, {
        remedy: 'It is tried again by itself; see the events of the instance.',
      });
    }
    return raw === null ? true : undefined;
  });
  const found = await api
    .call('DescribeDBSnapshots', (client, options) =>
      client.send(new DescribeDBSnapshotsCommand({ DBSnapshotIdentifier: snapshot }), options),
    )
    .catch((error: unknown) => {
      if (error instanceof AwsRefusal && error.code === 'DBSnapshotNotFoundFault') return { DBSnapshots: [] };
      throw error;
    });
  if (gone && found.DBSnapshots?.[0]?.Status === 'available') return snapshot;
  throw new RampartError(
    'NotApplied',
    `${instance.id} is ${status}, its final snapshot ${snapshot} is ${found.DBSnapshots?.[0]?.Status ?? 'not there'}`,
    {
      remedy: 'See the events of both in the console; the same step looks again.',
    },
  );
}
