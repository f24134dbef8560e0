/** The calls of Route 53's API that the driver makes, as its own words. Everything it throws is a RampartError. */
import type {
  Change,
  HealthCheck,
  HostedZone,
  ResourceRecordSet,
  Route53Client,
  RRType,
} from '@aws-sdk/client-route-53';
import { awsApi } from '../aws/client.ts';
import { AwsRefusal } from '../aws/errors.ts';
import type { DriverContext } from '../ports.ts';
import { type Action, CALLS } from './calls.ts';
import type { Route53Config } from './config.ts';

/** A region counts as healthy when more than this part of the checkers says so ("How Route 53 determines …", Developer Guide). */
const HEALTHY_SHARE = 0.18;

/** What the zone holds of the component. */
export interface NameRecords {
  /** Every record set of the name, whatever its type. */
  sets: ResourceRecordSet[];
  claim: ResourceRecordSet | null;
}

export interface Zone {
  /** @throws ProviderUnavailable, AccessDenied, PreconditionFailed when there is no such zone */
  read(): Promise<NameRecords>;
  /** Sends one transactional batch, once. @returns the change's id. @throws AwsRefusal `InvalidChangeBatch`, … */
  submit(changes: Change[], comment: string): Promise<string>;
  /** `null`: the change is not known (any more). */
  inSync(change: string): Promise<boolean | null>;
  zone(): Promise<{ zone: HostedZone; nameServers: string[] }>;
  /** Zones of this name, the one of the topology among them. */
  namesakes(name: string): Promise<HostedZone[]>;
  /** `name type` of records under protection, of those asked for. */
  protectedRecords(wanted: ReadonlyArray<{ name: string; type: string }>): Promise<string[]>;
  healthCheck(id: string): Promise<HealthCheck>;
  /** What most checkers see, before `Inverted`; `null` where checkers say nothing (calculated, alarms, disabled). */
  seenHealthy(id: string): Promise<boolean | null>;
  /** @throws AwsRefusal `HealthCheckVersionMismatch` when somebody changed it since that version */
  setHealthCheck(check: HealthCheck, to: { disabled: boolean; inverted: boolean }): Promise<void>;
}

/** Lower case, without the final dot and with `\052` and the like read. */
export function plainName(name: string): string {
  return name
    .replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    .replace(/\.$/, '')
    .toLowerCase();
}

export function claimName(name: string): string {
  return `_rampart.${name}`;
}

/** Loads the SDK; does not connect. */
export async function openZone(config: Route53Config, component: string, context: DriverContext): Promise<Zone> {
  const api = await awsApi<Route53Client, Action>({
    load: async () => {
      const { Route53Client } = await import('@aws-sdk/client-route-53');
      return (base) => new Route53Client(base);
    },
    package: '@aws-sdk/client-route-53',
    calls: CALLS,
    place: { region: config.region, endpoint: config.endpoint },
    context,
    component,
  });
  const sdk = await import('@aws-sdk/client-route-53');
  const HostedZoneId = config.hostedZone;
  const limits = { timeoutMs: config.timeout };

  async function page(StartRecordName: string, StartRecordType?: RRType, StartRecordIdentifier?: string) {
    const input = { HostedZoneId, StartRecordName, StartRecordType, StartRecordIdentifier };
    return api.call(
      'ListResourceRecordSets',
      (client, options) => client.send(new sdk.ListResourceRecordSetsCommand(input), options),
      limits,
    );
  }

  async function read(): Promise<NameRecords> {
    const wanted = plainName(config.name);
    const beside = plainName(claimName(config.name));
    const sets: ResourceRecordSet[] = [];
    let claim: ResourceRecordSet | undefined;
    let whole = false;
    let at: [string, RRType?, string?] = [config.name];
    for (;;) {
      const found = await page(...at);
      const listed = found.ResourceRecordSets ?? [];
      for (const set of listed) {
        const name = plainName(set.Name ?? '');
        if (name === wanted) sets.push(set);
        if (name === beside && set.Type === 'TXT') claim = set;
      }
      whole = found.IsTruncated !== true || found.NextRecordName === undefined;
      const past = plainName(listed.at(-1)?.Name ?? '') !== wanted;
      if (whole || past) break;
      at = [found.NextRecordName!, found.NextRecordType, found.NextRecordIdentifier];
    }
    // The claim's name sorts behind the name's other children: usually it is on the same page.
    if (claim === undefined && !whole) {
      const [first] = (await page(claimName(config.name), 'TXT')).ResourceRecordSets ?? [];
      if (plainName(first?.Name ?? '') === beside && first?.Type === 'TXT') claim = first;
    }
    return { sets, claim: claim ?? null };
  }

  return {
    read,
    async submit(Changes, Comment) {
      const answer = await api.call(
        'ChangeResourceRecordSets',
        (client, options) =>
          client.send(
            new sdk.ChangeResourceRecordSetsCommand({ HostedZoneId, ChangeBatch: { Comment, Changes } }),
            options,
          ),
        limits,
      );
      return (answer.ChangeInfo?.Id ?? '').replace(/^\/change\//, '');
    },
    async inSync(Id) {
      try {
        const answer = await api.call(
          'GetChange',
          (client, options) => client.send(new sdk.GetChangeCommand({ Id }), options),
          limits,
        );
        return answer.ChangeInfo?.Status === 'INSYNC';
      } catch (error) {
        if (error instanceof AwsRefusal && error.code === 'NoSuchChange') return null;
        throw error;
      }
    },
    async zone() {
      const answer = await api.call(
        'GetHostedZone',
        (client, options) => client.send(new sdk.GetHostedZoneCommand({ Id: HostedZoneId }), options),
        limits,
      );
      return { zone: answer.HostedZone!, nameServers: answer.DelegationSet?.NameServers ?? [] };
    },
    async namesakes(name) {
      const answer = await api.call(
        'ListHostedZonesByName',
        (client, options) =>
          client.send(new sdk.ListHostedZonesByNameCommand({ DNSName: name, MaxItems: 20 }), options),
        limits,
      );
      return (answer.HostedZones ?? []).filter((zone) => plainName(zone.Name ?? '') === plainName(name));
    },
    async protectedRecords(wanted) {
      const found: string[] = [];
      for (const name of new Set(wanted.map((one) => one.name))) {
        const input = { HostedZoneId, StartRecordName: name };
        const answer = await api.call(
          'ListResourceRecordSetProtections',
          (client, options) => client.send(new sdk.ListResourceRecordSetProtectionsCommand(input), options),
          limits,
        );
        for (const { RecordName, RecordType } of answer.ResourceRecordSetProtections ?? [])
          if (wanted.some((one) => plainName(one.name) === plainName(RecordName ?? '') && one.type === RecordType))
            found.push(`${plainName(RecordName!)} ${RecordType}`);
      }
      return [...new Set(found)];
    },
    async healthCheck(HealthCheckId) {
      const answer = await api.call(
        'GetHealthCheck',
        (client, options) => client.send(new sdk.GetHealthCheckCommand({ HealthCheckId }), options),
        limits,
      );
      return answer.HealthCheck!;
    },
    async seenHealthy(HealthCheckId) {
      try {
        const answer = await api.call(
          'GetHealthCheckStatus',
          (client, options) => client.send(new sdk.GetHealthCheckStatusCommand({ HealthCheckId }), options),
          limits,
        );
        const seen = answer.HealthCheckObservations ?? [];
        if (seen.length === 0) return null;
        const well = seen.filter((one) => one.StatusReport?.Status?.startsWith('Success'));
        return well.length / seen.length > HEALTHY_SHARE;
      } catch (error) {
        // Checks of other kinds have no checkers to tell of.
        if (error instanceof AwsRefusal && error.code === 'InvalidInput') return null;
        throw error;
      }
    },
    async setHealthCheck(check, { disabled, inverted }) {
      const input = {
        HealthCheckId: check.Id,
        HealthCheckVersion: check.HealthCheckVersion,
        Disabled: disabled,
        Inverted: inverted,
      };
      await api.call(
        'UpdateHealthCheck',
        (client, options) => client.send(new sdk.UpdateHealthCheckCommand(input), options),
        limits,
      );
    },
  };
}
