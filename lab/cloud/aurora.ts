/** A global database: the emulator says who the writer is, and two PostgreSQL servers do what it says. */
import { LAB_DATABASE, urlOf, withClient } from '../postgres/pair.ts';
import { HOME_REGION, nodeName, type RegionSpec, regionOf, type WorldSpec } from '../world/spec.ts';
import { ACCOUNT, AWS_REGIONS, type ProviderClients } from './clients.ts';
import type { Change } from './front.ts';
import { closeWriter, copyAnew, cutWriter, openWriter, rejoin, roleOf } from './servers.ts';

export const GLOBAL_CLUSTER = 'orders-global';
const ENGINE = { Engine: 'aurora-postgresql', EngineVersion: '16.9' };
/** Instances that the emulator knows of a cluster: without one it is headless. */
const INSTANCE = { DBInstanceClass: 'db.r6g.large', Engine: ENGINE.Engine };

/** The emulator has no global writer endpoint. The lab has one: the writer endpoint of the world, under this name. */
export function withEndpoint(operation: string, answer: Buffer): Buffer {
  if (operation !== 'DescribeGlobalClusters') return answer;
  const id = `<GlobalClusterIdentifier>${GLOBAL_CLUSTER}</GlobalClusterIdentifier>`;
  const endpoint = `<Endpoint>${GLOBAL_CLUSTER}.global-a1b2c3.global.rds.amazonaws.com</Endpoint>`;
  return Buffer.from(answer.toString('utf8').replace(id, `${id}${endpoint}`));
}

export const clusterOf = (region: string): string => `orders-${AWS_REGIONS[region]}`;

/** Makes the global cluster with the home region's cluster as its writer. */
export async function createGlobal(spec: WorldSpec, { rds }: ProviderClients): Promise<void> {
  const { CreateGlobalClusterCommand, CreateDBClusterCommand, CreateDBInstanceCommand } = await import(
    '@aws-sdk/client-rds'
  );
  const home = rds[HOME_REGION]!;
  await home.send(new CreateGlobalClusterCommand({ GlobalClusterIdentifier: GLOBAL_CLUSTER, ...ENGINE }));
  // The first member is the writer.
  const regions = [...spec.regions].sort((a, b) => Number(b.name === HOME_REGION) - Number(a.name === HOME_REGION));
  for (const { name } of regions) {
    const client = rds[name]!;
    const first = name === HOME_REGION ? { MasterUsername: 'postgres', MasterUserPassword: 'not-used-here' } : {};
    const cluster = { DBClusterIdentifier: clusterOf(name), GlobalClusterIdentifier: GLOBAL_CLUSTER };
    await client.send(new CreateDBClusterCommand({ ...cluster, ...ENGINE, ...first, BackupRetentionPeriod: 7 }));
    const instance = { DBInstanceIdentifier: `${clusterOf(name)}-1`, DBClusterIdentifier: clusterOf(name) };
    await client.send(new CreateDBInstanceCommand({ ...instance, ...INSTANCE }));
  }
}

/**
 * Gives the database what Aurora has and PostgreSQL has not: how far each region is, from the servers' own view of
 * their replication.
 */
export async function addFunctions(spec: WorldSpec): Promise<void> {
  const regions = spec.regions.map(({ name }) => `('${nodeName(name)}', '${AWS_REGIONS[name]}')`).join(', ');
  const home = regionOf(spec, HOME_REGION);
  await withClient(urlOf({ port: home.databasePort }, 'rampart', LAB_DATABASE), (client) =>
    client.query(`CREATE FUNCTION aurora_global_db_status(
      OUT aws_region text, OUT highest_lsn_written bigint, OUT durability_lag_in_msec bigint,
      OUT rpo_lag_in_msec bigint, OUT last_lag_calculation_time timestamptz)
    RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
      own text := current_setting('cluster_name');
      zero pg_lsn := '0/0';
    BEGIN
      IF pg_is_in_recovery() THEN
        RETURN QUERY WITH regions(node, region) AS (VALUES ${regions})
          SELECT region, CASE WHEN node = own THEN pg_last_wal_receive_lsn() - zero
              ELSE (SELECT latest_end_lsn - zero FROM pg_stat_wal_receiver) END::bigint,
            CASE WHEN node = own THEN 0 ELSE -1 END::bigint, CASE WHEN node = own THEN 0 ELSE -1 END::bigint,
            COALESCE((SELECT last_msg_receipt_time FROM pg_stat_wal_receiver), '-infinity')
          FROM regions;
      ELSE
        RETURN QUERY WITH regions(node, region) AS (VALUES ${regions})
          SELECT region, CASE WHEN node = own THEN pg_current_wal_lsn() - zero ELSE s.flush_lsn - zero END::bigint,
            CASE WHEN node = own THEN -1 ELSE ms END::bigint, CASE WHEN node = own THEN -1 ELSE ms END::bigint,
            CASE WHEN node = own OR s.pid IS NOT NULL THEN clock_timestamp() ELSE '-infinity' END
          FROM regions LEFT JOIN pg_stat_replication s ON s.application_name = node AND s.state = 'streaming',
            LATERAL (SELECT COALESCE(extract(epoch FROM s.flush_lag) * 1000, 0)) AS lag(ms);
      END IF;
    END $$`),
  );
}

export interface GlobalDatabase {
  /** The provider was told something. */
  hear(change: Change): void;
  /** One pass of a follower. */
  look(): Promise<boolean>;
}

/** @param point lets the writer endpoint lead to a region */
export function globalDatabase(
  spec: WorldSpec,
  { rds }: ProviderClients,
  bin: string,
  point: (region: RegionSpec) => void,
): GlobalDatabase {
  /** The last switch that was asked for was a failover: what the old writer has not sent is given up. */
  let lossAllowed = false;
  /** Regions whose server has a history of its own. */
  const strayed = new Set<string>();

  async function writer(): Promise<RegionSpec> {
    const { DescribeGlobalClustersCommand } = await import('@aws-sdk/client-rds');
    const { GlobalClusters } = await rds[HOME_REGION]!.send(new DescribeGlobalClustersCommand({}));
    const arn = GlobalClusters?.[0]?.GlobalClusterMembers?.find((member) => member.IsWriter)?.DBClusterArn;
    const found = spec.regions.find(
      ({ name }) => arn === `arn:aws:rds:${AWS_REGIONS[name]}:${ACCOUNT}:cluster:${clusterOf(name)}`,
    );
    if (found === undefined) throw new Error(`the emulator names no writer that the lab knows: ${arn}`);
    return found;
  }

  async function look(): Promise<boolean> {
    const to = await writer();
    const [from] = spec.regions.filter((region) => region !== to) as [RegionSpec];
    const roles = { from: roleOf(from), to: roleOf(to) };
    // A server that was killed stays so: its region is lost until somebody starts it.
    if (roles.to === 'stopped') return true;
    if (roles.from === 'changing' || roles.to === 'changing') return false;
    let closed: 'whole' | 'cut' | null = null;
    if (roles.from === 'writer') {
      closed = lossAllowed || roles.to === 'writer' ? 'cut' : 'whole';
      if (closed === 'cut') await cutWriter(from);
      else if (!(await closeWriter(from, to, bin))) return false;
    } else if (roles.from === 'stopped' && roles.to === 'reader') {
      closed = 'cut';
      await cutWriter(from);
    }
    if (closed === 'cut') strayed.add(from.name);
    if (roles.to === 'reader') await openWriter(to);
    point(to);
    if (closed === 'whole') await rejoin(from, to, bin);
    // It comes back as a copy: at once when only its writing was ended, else when somebody starts it again.
    if (strayed.has(from.name) && roles.from !== 'stopped') {
      await copyAnew(from, to, bin);
      strayed.delete(from.name);
    }
    return true;
  }

  return {
    hear: ({ operation, body }) => {
      if (/^(Switchover|Failover)GlobalCluster$/.test(operation)) lossAllowed = body.includes('AllowDataLoss=true');
    },
    look,
  };
}
