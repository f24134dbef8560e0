import { apiCalls } from '../aws/calls.ts';

const CLUSTER = 'arn:aws:rds:*:*:cluster:*';
const GLOBAL = 'arn:aws:rds::*:global-cluster:*';
const look = { changes: false, plane: 'control' as const };
const act = { changes: true, plane: 'control' as const };
const SIDES = "each side's region";

/** Calls of the RDS API by both Aurora drivers. */
export const RDS_CALLS = apiCalls('rds', {
  DescribeGlobalClusters: {
    ...look,
    ...{ right: 'rds:DescribeGlobalClusters', resource: GLOBAL, where: SIDES },
    why: 'who the writer is, and what the provider is doing',
  },
  DescribeDBClusters: {
    ...look,
    ...{ right: 'rds:DescribeDBClusters', resource: CLUSTER, where: SIDES },
    why: 'state, endpoint, version and instances of a cluster; claim and journal in its tags',
  },
  DescribeEvents: {
    ...look,
    ...{ right: 'rds:DescribeEvents', resource: '*', where: SIDES },
    why: 'milestones of a switch, and how it ended',
  },
  DescribeDBClusterParameters: {
    ...look,
    ...{ right: 'rds:DescribeDBClusterParameters', resource: 'arn:aws:rds:*:*:cluster-pg:*', where: SIDES },
    why: 'preflight: rds.global_db_rpo, and settings that differ between the sides',
  },
  DescribeDBProxies: {
    ...look,
    ...{ right: 'rds:DescribeDBProxies', resource: '*', where: SIDES },
    why: 'preflight: proxies do not follow the writer to another region',
  },
  DescribeDBProxyTargets: {
    ...look,
    ...{ right: 'rds:DescribeDBProxyTargets', resource: 'arn:aws:rds:*:*:target-group:*', where: SIDES },
    why: 'preflight: which proxies stand in front of the cluster',
  },
  DescribeDBClusterSnapshots: {
    ...look,
    ...{ right: 'rds:DescribeDBClusterSnapshots', resource: CLUSTER, where: "the old primary's region" },
    why: 'the snapshot of what the old primary held when it was given up',
  },
  AddTagsToResource: {
    ...act,
    ...{ right: 'rds:AddTagsToResource', resource: CLUSTER, where: SIDES },
    why: 'claim and journal',
  },
  RemoveTagsFromResource: {
    ...act,
    ...{ right: 'rds:RemoveTagsFromResource', resource: CLUSTER, where: SIDES },
    why: 'parts of a longer journal that are not needed any more',
  },
  SwitchoverGlobalCluster: {
    ...act,
    ...{ right: 'rds:SwitchoverGlobalCluster', resource: GLOBAL, where: "the primary's region" },
    why: 'a planned switch, without loss',
  },
  FailoverGlobalCluster: {
    ...act,
    ...{ right: 'rds:FailoverGlobalCluster', resource: GLOBAL, where: "the target's region" },
    why: 'an unplanned switch; what has not arrived is lost',
  },
  FailoverDBCluster: {
    ...act,
    ...{ right: 'rds:FailoverDBCluster', resource: CLUSTER, where: "the cluster's region" },
    why: 'in-region: makes another instance the writer',
  },
});

/** Calls of CloudWatch, outside the primary's region. */
export const CLOUDWATCH_CALLS = apiCalls('cloudwatch', {
  ListMetrics: {
    ...look,
    ...{ right: 'cloudwatch:ListMetrics', resource: '*', where: "the secondary's region" },
    why: 'under which dimensions AuroraGlobalDBRPOLag is published',
  },
  GetMetricData: {
    ...look,
    ...{ right: 'cloudwatch:GetMetricData', resource: '*', where: "the secondary's region" },
    why: 'the lag when the primary cannot be asked',
  },
});
