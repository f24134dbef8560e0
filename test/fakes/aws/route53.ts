/**
 * Route 53 with state: zones, record sets with its rules, changes that spread later, health checks with a status.
 * `records` is what the API knows; `served` what the zone's servers answer, which follows when a change is in sync.
 * Rules from the API reference of ChangeResourceRecordSets and UpdateHealthCheck.
 */
import { AwsError, type FakeService, list, type RestAnswer, type XmlElement, type XmlValue } from './protocol.ts';

export interface FakeRecord {
  name: string;
  type: string;
  id?: string;
  weight?: number;
  failover?: string;
  region?: string;
  ttl?: number;
  values?: string[];
  alias?: { zone: string; name: string; evaluate: boolean };
  healthCheck?: string;
}

export interface FakeCheck {
  id: string;
  version: number;
  type: string;
  disabled: boolean;
  inverted: boolean;
  /** What the checkers see. */
  healthy: boolean;
  /** They have not looked yet. */
  unseen: boolean;
}

export interface FakeZone {
  id: string;
  name: string;
  private: boolean;
  records: FakeRecord[];
  served: FakeRecord[];
  nameServers: string[];
  protections: Array<{ name: string; type: string }>;
  /** How often a change is PENDING before it is in sync. */
  pendingFor: number;
  /** Changes get in sync by the API and are never served. */
  deaf: boolean;
}

interface FakeChange {
  id: string;
  zone: FakeZone;
  records: FakeRecord[];
  left: number;
}

export class FakeRoute53 {
  readonly zones = new Map<string, FakeZone>();
  readonly checks = new Map<string, FakeCheck>();
  #changes = new Map<string, FakeChange>();
  #count = 0;

  addZone(zone: Partial<FakeZone> & Pick<FakeZone, 'id' | 'name' | 'records'>): FakeZone {
    const made: FakeZone = {
      private: false,
      nameServers: [],
      protections: [],
      pendingFor: 1,
      deaf: false,
      ...zone,
      served: structuredClone(zone.records),
    };
    this.zones.set(zone.id, made);
    return made;
  }

  addCheck(id: string, check: Partial<FakeCheck> = {}): FakeCheck {
    const made = {
      id,
      version: 1,
      type: 'HTTP',
      disabled: false,
      inverted: false,
      healthy: true,
      unseen: false,
      ...check,
    };
    this.checks.set(id, made);
    return made;
  }

  /** As Route 53 takes it: a check that is disabled counts as healthy, and `inverted` turns whatever it is. */
  isHealthy(id: string | undefined): boolean {
    const check = id === undefined ? undefined : this.checks.get(id);
    if (check === undefined) return true;
    return (check.disabled || check.healthy) !== check.inverted;
  }

  /** Somebody changes records behind everybody's back, and they are served at once. */
  edit(zoneId: string, change: (records: FakeRecord[]) => void): void {
    const zone = this.#zone(zoneId);
    change(zone.records);
    zone.served = structuredClone(zone.records);
  }

  service(): FakeService {
    return {
      scope: 'route53',
      protocol: 'rest-xml',
      namespace: 'https://route53.amazonaws.com/doc/2013-04-01/',
      routes: [
        ['GET', '/2013-04-01/hostedzone/{id}/rrset', 'ListResourceRecordSets'],
        ['POST', '/2013-04-01/hostedzone/{id}/rrset', 'ChangeResourceRecordSets'],
        ['POST', '/2013-04-01/hostedzone/{id}/rrset/', 'ChangeResourceRecordSets'],
        ['GET', '/2013-04-01/change/{id}', 'GetChange'],
        ['GET', '/2013-04-01/hostedzone/{id}', 'GetHostedZone'],
        ['GET', '/2013-04-01/hostedzonesbyname', 'ListHostedZonesByName'],
        ['GET', '/2013-04-01/hostedzone/{id}/rrsetprotection', 'ListResourceRecordSetProtections'],
        ['GET', '/2013-04-01/healthcheck/{id}', 'GetHealthCheck'],
        ['GET', '/2013-04-01/healthcheck/{id}/status', 'GetHealthCheckStatus'],
        ['POST', '/2013-04-01/healthcheck/{id}', 'UpdateHealthCheck'],
      ],
      operations: {
        ListResourceRecordSets: ({ input, http }) => this.#list(input.id, http.query),
        ChangeResourceRecordSets: (call) => this.#change(call.input.id, call.xml()),
        GetChange: ({ input }) => answer('GetChangeResponse', { ChangeInfo: this.#poll(input.id) }),
        GetHostedZone: ({ input }) => this.#getZone(input.id),
        ListHostedZonesByName: ({ http }) => this.#byName(http.query.get('dnsname') ?? ''),
        ListResourceRecordSetProtections: ({ input }) =>
          answer('ListResourceRecordSetProtectionsResponse', {
            ResourceRecordSetProtections: list(
              'ResourceRecordSetProtection',
              this.#zone(input.id).protections.map(({ name, type }) => ({
                RecordName: dotted(name),
                RecordType: type,
              })),
            ),
          }),
        GetHealthCheck: ({ input }) =>
          answer('GetHealthCheckResponse', { HealthCheck: checkXml(this.#check(input.id)) }),
        GetHealthCheckStatus: ({ input }) => this.#status(input.id),
        UpdateHealthCheck: (call) => this.#updateCheck(call.input.id, call.xml()),
      },
      snapshot: () => {
        const zones = structuredClone([...this.zones]);
        const checks = structuredClone([...this.checks]);
        const changes = new Map(this.#changes);
        return () => {
          for (const [id, zone] of zones) Object.assign(this.zones.get(id)!, zone);
          for (const [id, check] of checks) Object.assign(this.checks.get(id)!, check);
          this.#changes = changes;
        };
      },
    };
  }

  #zone(id: string): FakeZone {
    const zone = this.zones.get(id);
    if (zone === undefined) throw new AwsError('NoSuchHostedZone', `No hosted zone found with ID: ${id}`, 404);
    return zone;
  }

  #check(id: string): FakeCheck {
    const check = this.checks.get(id);
    if (check === undefined) throw new AwsError('NoSuchHealthCheck', `No health check exists with the ID ${id}`, 404);
    return check;
  }

  #list(zoneId: string, query: URLSearchParams): RestAnswer {
    const start = [reversed(query.get('name') ?? ''), query.get('type') ?? '', query.get('identifier') ?? ''].join(
      '\0',
    );
    const size = Number(query.get('maxitems') ?? 100);
    const all = this.#zone(zoneId).records.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const rest = query.has('name') ? all.filter((one) => keyOf(one) >= start) : all;
    const next = rest[size];
    return answer('ListResourceRecordSetsResponse', {
      ResourceRecordSets: list('ResourceRecordSet', rest.slice(0, size).map(recordXml)),
      IsTruncated: next !== undefined,
      ...(next && { NextRecordName: dotted(next.name), NextRecordType: next.type, NextRecordIdentifier: next.id }),
      MaxItems: size,
    });
  }

  #change(zoneId: string, body: XmlElement): RestAnswer {
    const zone = this.#zone(zoneId);
    let records = structuredClone(zone.records);
    const problems: string[] = [];
    for (const change of body.child('ChangeBatch', 'Changes')?.all('Change') ?? []) {
      const record = readRecord(change.child('ResourceRecordSet')!);
      const action = change.value('Action');
      const present = records.find((one) => keyOf(one) === keyOf(record));
      const which = `[name='${dotted(record.name)}', type='${record.type}'${record.id ? `, set identifier='${record.id}'` : ''}]`;
      if (zone.protections.some((one) => one.name === record.name && one.type === record.type))
        problems.push(`Resource record set ${which} is protected`);
      if (record.name !== zone.name && !record.name.endsWith(`.${zone.name}`))
        problems.push(`RRSet with DNS name ${dotted(record.name)} is not permitted in zone ${dotted(zone.name)}`);
      if ((record.weight ?? 0) > 255) problems.push(`Invalid weight ${record.weight}`);
      if (action === 'CREATE' && present)
        problems.push(`Tried to create resource record set ${which} but it already exists`);
      if (action === 'DELETE' && !present)
        problems.push(`Tried to delete resource record set ${which} but it was not found`);
      if (action === 'DELETE' && present && JSON.stringify(recordXml(present)) !== JSON.stringify(recordXml(record)))
        problems.push(
          `Tried to delete resource record set ${which} but the values provided do not match the current values`,
        );
      records = records.filter((one) => one !== present);
      if (action !== 'DELETE') records.push(record);
    }
    for (const record of records)
      if (
        records.some(
          (one) => one.name === record.name && one.type === record.type && policyOf(one) !== policyOf(record),
        )
      )
        problems.push(
          `RRSet with DNS name ${dotted(record.name)}, type ${record.type}, cannot be created as other RRSets exist with the same name and type`,
        );
    if (problems.length > 0) throw new AwsError('InvalidChangeBatch', `[${[...new Set(problems)].join(', ')}]`, 400);
    zone.records = records;
    const id = `C${String(++this.#count).padStart(13, '0')}`;
    const made = { id, zone, records: structuredClone(records), left: zone.pendingFor };
    this.#changes.set(id, made);
    return answer('ChangeResourceRecordSetsResponse', { ChangeInfo: infoXml(made) });
  }

  #poll(id: string): XmlValue {
    const change = this.#changes.get(id);
    if (change === undefined) throw new AwsError('NoSuchChange', `Could not find resource with ID: ${id}`, 404);
    if (change.left > 0 && --change.left === 0 && !change.zone.deaf) change.zone.served = change.records;
    return infoXml(change);
  }

  #getZone(id: string): RestAnswer {
    const zone = this.#zone(id);
    return answer('GetHostedZoneResponse', {
      HostedZone: zoneXml(zone),
      DelegationSet: { NameServers: list('NameServer', zone.nameServers) },
    });
  }

  #byName(name: string): RestAnswer {
    const plain = name.replace(/\.$/, '');
    const zones = [...this.zones.values()].filter((zone) => reversed(zone.name) >= reversed(plain));
    return answer('ListHostedZonesByNameResponse', {
      HostedZones: list(
        'HostedZone',
        zones.toSorted((a, b) => (reversed(a.name) < reversed(b.name) ? -1 : 1)).map(zoneXml),
      ),
      IsTruncated: false,
      MaxItems: 100,
    });
  }

  #status(id: string): RestAnswer {
    const { type, healthy, disabled, unseen } = this.#check(id);
    if (['CALCULATED', 'CLOUDWATCH_METRIC', 'RECOVERY_CONTROL'].includes(type))
      throw new AwsError('InvalidInput', `A health check of type ${type} has no checkers`);
    const Status = healthy ? 'Success: HTTP Status Code 200, OK' : 'Failure: Connection refused.';
    const seen = disabled || unseen ? [] : ['us-east-1', 'eu-west-1', 'ap-southeast-1'];
    const observations = seen.map((Region) => ({ Region, StatusReport: { Status, CheckedTime: new Date(0) } }));
    return answer('GetHealthCheckStatusResponse', {
      HealthCheckObservations: list('HealthCheckObservation', observations),
    });
  }

  #updateCheck(id: string, body: XmlElement): RestAnswer {
    const check = this.#check(id);
    const version = body.value('HealthCheckVersion');
    if (version !== undefined && Number(version) !== check.version)
      throw new AwsError('HealthCheckVersionMismatch', `The health check ${id} has version ${check.version}`, 409);
    for (const [field, name] of [
      ['disabled', 'Disabled'],
      ['inverted', 'Inverted'],
    ] as const) {
      const value = body.value(name);
      if (value !== undefined) check[field] = value === 'true';
    }
    check.version += 1;
    return answer('UpdateHealthCheckResponse', { HealthCheck: checkXml(check) });
  }
}

const answer = (root: string, value: XmlValue): RestAnswer => ({ root, value });
const dotted = (name: string) => `${name.replace('*', '\\052')}.`;
const reversed = (name: string) => name.replace(/\.$/, '').replace('\\052', '*').split('.').reverse().join('.');
const keyOf = ({ name, type, id = '' }: FakeRecord) => [reversed(name), type, id].join('\0');

/** Records of one name and type are all of one policy, or one simple record alone. */
function policyOf({ weight, failover, region, id }: FakeRecord): string {
  if (weight !== undefined) return 'weighted';
  if (failover !== undefined) return 'failover';
  return region !== undefined ? 'latency' : `simple ${id}`;
}

function recordXml(record: FakeRecord): XmlValue {
  return {
    Name: dotted(record.name),
    Type: record.type,
    SetIdentifier: record.id,
    Weight: record.weight,
    Region: record.region,
    Failover: record.failover,
    TTL: record.ttl,
    ResourceRecords:
      record.values &&
      list(
        'ResourceRecord',
        record.values.map((Value) => ({ Value })),
      ),
    AliasTarget: record.alias && {
      HostedZoneId: record.alias.zone,
      DNSName: dotted(record.alias.name),
      EvaluateTargetHealth: record.alias.evaluate,
    },
    HealthCheckId: record.healthCheck,
  };
}

function readRecord(xml: XmlElement): FakeRecord {
  const number = (name: string) => (xml.value(name) === undefined ? undefined : Number(xml.value(name)));
  const alias = xml.child('AliasTarget');
  const values = xml
    .child('ResourceRecords')
    ?.all('ResourceRecord')
    .map((one) => one.value('Value') ?? '');
  const record: FakeRecord = {
    name: (xml.value('Name') ?? '').replace('\\052', '*').replace(/\.$/, ''),
    type: xml.value('Type') ?? '',
  };
  const optional = {
    id: xml.value('SetIdentifier'),
    weight: number('Weight'),
    failover: xml.value('Failover'),
    region: xml.value('Region'),
    ttl: number('TTL'),
    values,
    alias: alias && {
      zone: alias.value('HostedZoneId') ?? '',
      name: (alias.value('DNSName') ?? '').replace(/\.$/, ''),
      evaluate: alias.value('EvaluateTargetHealth') === 'true',
    },
    healthCheck: xml.value('HealthCheckId'),
  };
  return Object.assign(record, Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)));
}

function infoXml({ id, left }: FakeChange): XmlValue {
  return { Id: `/change/${id}`, Status: left > 0 ? 'PENDING' : 'INSYNC', SubmittedAt: new Date(0) };
}

function zoneXml(zone: FakeZone): XmlValue {
  return {
    Id: `/hostedzone/${zone.id}`,
    Name: dotted(zone.name),
    CallerReference: zone.id,
    Config: { PrivateZone: zone.private },
    ResourceRecordSetCount: zone.records.length,
  };
}

function checkXml(check: FakeCheck): XmlValue {
  return {
    Id: check.id,
    CallerReference: check.id,
    HealthCheckConfig: { Type: check.type, Inverted: check.inverted, Disabled: check.disabled },
    HealthCheckVersion: check.version,
  };
}
