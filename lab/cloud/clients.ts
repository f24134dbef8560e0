/** Clients of the emulated provider's own: they go to the emulator, so that faults between places do not reach them. */
import type { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import type { ECSClient } from '@aws-sdk/client-ecs';
import type { RDSClient } from '@aws-sdk/client-rds';
import type { Route53Client } from '@aws-sdk/client-route-53';

/** Account of the lab; the emulator takes a key id of twelve digits for one. */
export const ACCOUNT = '123456789012';
/** Region of AWS that stands behind a region of the lab. */
export const AWS_REGIONS: Record<string, string> = { 'eu-west': 'eu-west-1', 'eu-central': 'eu-central-1' };

/** What workers and people need to call the provider of the lab. Nothing of it is a secret. */
export const LAB_CREDENTIALS = { AWS_ACCESS_KEY_ID: ACCOUNT, AWS_SECRET_ACCESS_KEY: 'lab' } as const;

export interface ProviderClients {
  rds: Record<string, RDSClient>;
  ecs: Record<string, ECSClient>;
  cloudwatch: Record<string, CloudWatchClient>;
  dns: Route53Client;
}

/** @param endpoint URL of the emulator @param regions regions of the lab, by which the clients are named */
export async function openClients(endpoint: string, regions: string[]): Promise<ProviderClients> {
  const [{ RDSClient }, { ECSClient }, { CloudWatchClient }, { Route53Client }] = await Promise.all([
    import('@aws-sdk/client-rds'),
    import('@aws-sdk/client-ecs'),
    import('@aws-sdk/client-cloudwatch'),
    import('@aws-sdk/client-route-53'),
  ]);
  const base = {
    endpoint,
    maxAttempts: 1,
    credentials: {
      accessKeyId: LAB_CREDENTIALS.AWS_ACCESS_KEY_ID,
      secretAccessKey: LAB_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
    },
  };
  const each = <T>(make: (region: string) => T): Record<string, T> =>
    Object.fromEntries(regions.map((name) => [name, make(AWS_REGIONS[name]!)]));
  return {
    rds: each((region) => new RDSClient({ ...base, region })),
    ecs: each((region) => new ECSClient({ ...base, region })),
    cloudwatch: each((region) => new CloudWatchClient({ ...base, region })),
    dns: new Route53Client({ ...base, region: 'us-east-1' }),
  };
}
