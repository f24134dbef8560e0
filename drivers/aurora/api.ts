/** The two APIs, one client per region. SDK packages are loaded at the first call. */
import type { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import type { RDSClient } from '@aws-sdk/client-rds';
import { type AwsApi, awsApi } from '../aws/client.ts';
import { RampartError } from '../errors.ts';
import { CLOUDWATCH_CALLS, RDS_CALLS } from './calls.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';

export type RdsAction = keyof typeof RDS_CALLS.calls;

export function rdsApi(aurora: Aurora, node: AuroraNode): Promise<AwsApi<RDSClient, RdsAction>> {
  return awsApi({
    load: () =>
      import('@aws-sdk/client-rds').then(
        ({ RDSClient }) =>
          (base) =>
            new RDSClient(base),
      ),
    package: '@aws-sdk/client-rds',
    calls: RDS_CALLS,
    place: node.place,
    context: aurora.context,
    component: where(aurora, node),
  });
}

export function cloudwatchApi(
  aurora: Aurora,
  node: AuroraNode,
): Promise<AwsApi<CloudWatchClient, keyof typeof CLOUDWATCH_CALLS.calls>> {
  return awsApi({
    load: () =>
      import('@aws-sdk/client-cloudwatch').then(
        ({ CloudWatchClient }) =>
          (base) =>
            new CloudWatchClient(base),
      ),
    package: '@aws-sdk/client-cloudwatch',
    calls: CLOUDWATCH_CALLS,
    place: node.cloudwatch,
    context: aurora.context,
    component: where(aurora, node),
  });
}

/** Limits of one read. */
export const readLimit = ({ config }: Aurora): { timeoutMs: number } => ({ timeoutMs: config.apiTimeout });

/** A failure as a value: a region that does not answer is a fact. Anything but a RampartError is a bug, and is thrown. */
export function asFailure(error: unknown): RampartError {
  if (error instanceof RampartError) return error;
  throw error;
}
