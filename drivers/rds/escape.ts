/** The way out by hand, for when nothing of Rampart runs: `aws` and `psql`, from any machine that reaches the target. */
import type { StoreEscape } from '../ports.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { serverOf } from './instance.ts';

export async function escapeCommands(fleet: Fleet, from: string, to: string): Promise<StoreEscape> {
  const [old, next] = [sideOf(fleet, from), sideOf(fleet, to)];
  const { database } = fleet.config;
  return {
    now: [
      `# Set PGPASSWORD to the password of ${fleet.config.user}, and AWS credentials.`,
      `# 1. ${old.name}: keep the service out, if it can be reached at all. Repeat the second command until it ends nobody.`,
      psql(fleet, old, `ALTER DATABASE "${database}" WITH CONNECTION LIMIT 0`),
      psql(
        fleet,
        old,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND usename <> 'rdsadmin'`,
      ),
      psql(fleet, old, 'SELECT pg_current_wal_insert_lsn()'),
      `# 2. ${next.name}: it must have applied that position. If ${old.name} cannot be asked, what it shows is what you will have.`,
      psql(fleet, next, 'SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()'),
      `# 3. Promote. There is no way back from here. RDS refuses while the status is backing-up: wait for it.`,
      `${aws(next)} promote-read-replica --db-instance-identifier ${next.instance}`,
      '# 4. Repeat until the source is None and the status available (right after the call it still says available, with a source).',
      `${aws(next)} describe-db-instances --db-instance-identifier ${next.instance} --query 'DBInstances[0].[DBInstanceStatus,ReadReplicaSourceDBInstanceIdentifier]' --output text`,
      psql(fleet, next, 'SELECT pg_is_in_recovery()'),
      '# 5. The limit came along with the data: let the service in here.',
      psql(fleet, next, `ALTER DATABASE "${database}" WITH CONNECTION LIMIT -1`),
      '# Roles that a fence had to stop one by one, if it did: ALTER ROLE … LOGIN for those in this list.',
      psql(fleet, next, "SELECT value FROM rampart.suspended WHERE name = 'logins'"),
    ],
    later: [
      `# Protection: a new replica in ${old.awsRegion} under the old name. Rename the old instance first; keep it.`,
      `${aws(old)} modify-db-instance --db-instance-identifier ${old.instance} --new-db-instance-identifier ${old.instance.slice(0, 55)}-old --apply-immediately`,
      '# With the key, class, parameter and subnet group of the old instance; the account number is in its ARN:',
      `#   ${aws(old)} create-db-instance-read-replica --db-instance-identifier ${old.instance} --source-db-instance-identifier arn:aws:rds:${next.awsRegion}:ACCOUNT:db:${next.instance} --source-region ${next.awsRegion} --kms-key-id KEY --db-parameter-group-name GROUP --db-subnet-group-name SUBNETS`,
      `# Instead of all this, as long as nothing was promoted: let the service in on ${old.name} again.`,
      `#   ${psql(fleet, old, `ALTER DATABASE "${database}" WITH CONNECTION LIMIT -1`)}`,
    ],
  };
}

const aws = (side: Side): string =>
  `aws rds --region ${side.awsRegion}${side.endpoint === undefined ? '' : ` --endpoint-url ${side.endpoint}`}`;

function psql(fleet: Fleet, side: Side, sql: string): string {
  const server = serverOf(fleet, side, null);
  const { user, controlDatabase } = fleet.config;
  const host =
    server?.host ??
    `"$(${aws(side)} describe-db-instances --db-instance-identifier ${side.instance} --query 'DBInstances[0].Endpoint.Address' --output text)"`;
  return `psql -h ${host} -p ${server?.port ?? 5432} -U ${user} -d ${controlDatabase} -XAtc "${sql.replaceAll('"', '\\"')}"`;
}
