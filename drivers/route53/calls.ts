/** Every call of this driver. All of them are Route 53's control plane: what goes on when it is down is DNS itself. */
import { apiCalls } from '../aws/calls.ts';
import type { ProviderCall } from '../ports.ts';

const call = (changes: boolean, name: string, resource: string, why: string): ProviderCall => ({
  changes,
  right: `route53:${name}`,
  resource,
  plane: 'control',
  where: "us-east-1, Route 53's own region",
  why,
});

const ZONE = 'arn:aws:route53:::hostedzone/*';
const HEALTH = 'arn:aws:route53:::healthcheck/*';

export const CALLS = apiCalls('route-53', {
  ListResourceRecordSets: call(false, 'ListResourceRecordSets', ZONE, 'the records of the name, and who claimed them'),
  ChangeResourceRecordSets: call(
    true,
    'ChangeResourceRecordSets',
    ZONE,
    'weights, roles and TTLs, with the claim, in one batch',
  ),
  GetChange: call(false, 'GetChange', 'arn:aws:route53:::change/*', 'whether a change has reached every server'),
  GetHostedZone: call(false, 'GetHostedZone', ZONE, "the zone's name, kind and authoritative servers"),
  ListHostedZonesByName: call(false, 'ListHostedZonesByName', '*', 'other zones of the same name'),
  ListResourceRecordSetProtections: call(
    false,
    'ListResourceRecordSetProtections',
    ZONE,
    'records that may not be changed',
  ),
  GetHealthCheck: call(false, 'GetHealthCheck', HEALTH, 'what a health check is, and its version'),
  GetHealthCheckStatus: call(false, 'GetHealthCheckStatus', HEALTH, 'whether a region counts as healthy'),
  UpdateHealthCheck: call(true, 'UpdateHealthCheck', HEALTH, 'a region is taken off, fenced, or put on again'),
});

export type Action = keyof typeof CALLS.calls;
